"""Invents a population that a partner can test with."""
