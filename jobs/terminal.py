"""The terminal that summaries for people are written to."""

import sys

from rich.console import Console

WIDE = 1000


def console() -> Console:
    """Stdout: as wide as the terminal, or without wrapping where a file or another program reads it."""
    return Console(width=None if sys.stdout.isatty() else WIDE)
