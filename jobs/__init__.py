"""Command line and other entry points."""
