"""Progress of long work: one line on the terminal that is written over, with the time left. Where no terminal is, nothing is written."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

EVERY_SECONDS = 0.2
WIDTH = 24
CLEAR = "\r\x1b[K"


class Line:
    """The line. what: is being done; done and total in units of any kind."""

    def __init__(self, what: str) -> None:
        self.what, self.began, self.drawn = what, time.monotonic(), 0.0
        self.shown = sys.stderr.isatty()

    def at(self, share: float, said: str = "") -> None:
        """Show how far it is (0 to 1), not more often than the eye can see."""
        now = time.monotonic()
        if not self.shown or now - self.drawn < EVERY_SECONDS:
            return
        self.drawn = now
        full = round(WIDTH * min(share, 1))
        print(
            f"{CLEAR}{self.what} {'█' * full}{'·' * (WIDTH - full)} {share:4.0%} {said} {left(now - self.began, share)}",
            end="",
            file=sys.stderr,
            flush=True,
        )

    def end(self) -> None:
        """Take the line away."""
        if self.shown and self.drawn:
            print(CLEAR, end="", file=sys.stderr, flush=True)


def left(seconds: float, share: float) -> str:
    """The time left, once a little is done: by the speed so far."""
    if share < 0.02 or seconds < 1:
        return ""
    remaining = round(seconds * (1 - share) / share)
    return f"about {remaining // 60}:{remaining % 60:02d} left"


@contextmanager
def counted(what: str, total: int) -> Iterator[Callable[[str], None]]:
    """A line for work of many like pieces. Yields what is to be called after each of them, with its name."""
    line, done = Line(what), 0

    def step(name: str) -> None:
        nonlocal done
        done += 1
        line.at(done / max(total, done), f"{done:,} of {total:,}  {name[-40:]}")

    try:
        yield step
    finally:
        line.end()


@contextmanager
def night(staging: Path, buckets: int) -> Iterator[None]:
    """A line for a night, by the buckets whose files lie under staging: those taken, then those of which deliveries were made."""
    line, over = Line("stage"), Event()

    def look() -> None:
        while not over.wait(EVERY_SECONDS):
            taken, delivered = covered(staging, "*/subscriptions/*"), covered(staging, "*/parts/*/*")
            line.at((taken + delivered) / (2 * buckets), f"{taken:,} of {buckets:,} buckets taken, {delivered:,} compared")

    watcher = Thread(target=look, daemon=True)
    if line.shown:
        watcher.start()
    try:
        yield
    finally:
        over.set()
        if line.shown:
            watcher.join()
        line.end()


def covered(staging: Path, files: str) -> int:
    """How many buckets the bites have that left files."""
    names = {path.stem for path in staging.glob(files)}
    return sum(int(name[6:11]) - int(name[:5]) + 1 for name in names if len(name) == 11 and name[5] == "-")
