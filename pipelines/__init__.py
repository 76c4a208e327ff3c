"""Whole dataflows as functions of sources and sinks."""
