"""Progress of long work: how much is done, how fast, how long it will take and what memory it has had.

On a terminal one line is written over; where none is, nothing is written. `lefi status` shows a command on a workspace while it runs, and each
summary has at its end what the work came to.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

from schemas.errors import if_storage_lets_us
from storage import durable, pace
from storage.pace import Amount
from storage.running import file_of, now_running

EVERY_SECONDS = 0.2
SAID_EVERY_SECONDS = 1.0
WIDTH = 24
CLEAR = "\r\x1b[K"
MIB = 1 << 20
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


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


def seconds_left(seconds: float, share: float) -> int | None:
    """The time left, once a little is done: by the speed so far."""
    return None if share < 0.02 or seconds < 1 else round(seconds * (1 - share) / share)


def left(seconds: float, share: float) -> str:
    """The same, for people."""
    remaining = seconds_left(seconds, share)
    return "" if remaining is None else f"about {remaining // 60}:{remaining % 60:02d} left"


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


@dataclass(frozen=True)
class Far:
    """How far some work is: a share from 0 to 1, what was gone through, and words for it."""

    share: float
    amount: Amount
    said: str


class Watch:
    """Work that is being watched. far: says how far it is."""

    def __init__(self, what: str, far: Callable[[], Far], place: Path | None) -> None:
        self.line, self.far, self.place = Line(what), far, place
        self.began, self.said, self.peak_bytes, self.over = time.monotonic(), time.monotonic(), resident_bytes(), Event()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    def look(self) -> None:
        """Look again and again, until it is over."""
        while not self.over.wait(EVERY_SECONDS):
            self.peak_bytes = max(self.peak_bytes, resident_bytes())
            say_it = self.place is not None and time.monotonic() - self.said > SAID_EVERY_SECONDS
            if not (self.line.shown or say_it):
                continue
            with if_storage_lets_us():
                self.say(say_it)

    def say(self, noted: bool) -> None:
        """Say how far it is. noted: in the file for `lefi status`, too."""
        far = self.far()
        self.line.at(far.share, f"{far.said}, {speeds(self.work(far.amount))},")
        if noted and self.place:
            self.said = time.monotonic()
            running = self.work(far.amount) | {"share": round(far.share, 3), "seconds_left": seconds_left(self.seconds, far.share)}
            durable.try_write(self.place, json.dumps(now_running(self.line.what) | running).encode())

    def work(self, amount: Amount) -> dict[str, Any]:
        """What the work came to, so far: schemas.summaries.Work."""
        seconds = max(self.seconds, 1e-3)
        return {
            "rows": amount.rows,
            "bytes": amount.bytes,
            "seconds": round(seconds, 3),
            "rows_per_second": round(amount.rows / seconds),
            "bytes_per_second": round(amount.bytes / seconds),
            "peak_mib": max(self.peak_bytes, pace.peak_bytes()) // MIB,
        }


def speeds(work: dict[str, Any]) -> str:
    """How fast, and with how much memory, for people."""
    return f"{work['rows_per_second']:,} rows/s, {work['bytes_per_second'] / 1e6:.1f} MB/s, {work['peak_mib']:,} MiB"


@contextmanager
def watched(what: str, far: Callable[[], Far], root: Path | None = None) -> Iterator[Watch]:
    """Watch some work: a line on the terminal, and for `lefi status`, if a workspace is given, a file as long as it lasts."""
    place = file_of(root) if root else None
    watch = Watch(what, far, place)
    watcher = Thread(target=watch.look, daemon=True)
    watcher.start()
    try:
        yield watch
    finally:
        watch.over.set()
        watcher.join()
        watch.line.end()
        if place:
            with if_storage_lets_us():
                place.unlink()


@contextmanager
def command(what: str, root: Path) -> Iterator[Watch]:
    """Watch a command on a workspace, by what its steps note under staging (storage/pace.py)."""

    def far() -> Far:
        folders = [path for path in (root / "staging").glob("*") if path.is_dir()]
        steps, expected = pace.done(folders), pace.expected(folders)
        done = ", ".join(f"{steps.get(step, Amount()).units:,} of {of:,} {WORDS.get(step, step)}" for step, of in expected.items() if of)
        return Far(pace.share(steps, expected), sum(steps.values(), Amount()), done)

    with watched(what, far, root) as watch:
        yield watch


class Tally:
    """Work in this process, counted as it is done. total: bytes that there are."""

    def __init__(self) -> None:
        self.amount, self.total = Amount(), 0

    def expect(self, size_bytes: int) -> None:
        """Say how much there is."""
        self.total = size_bytes

    def add(self, _name: str, rows: int, size_bytes: int) -> None:
        """Say that something more is done."""
        self.amount += Amount(0, rows, size_bytes)

    def far(self) -> Far:
        """How far it is, by bytes."""
        share = self.amount.bytes / self.total if self.total else 0.0
        return Far(share, self.amount, f"{self.amount.bytes / 1e6:,.1f} of {self.total / 1e6:,.1f} MB, {self.amount.rows:,} records")


# What a line says of the units of a step.
WORDS = {
    "cut_file": "rows cut",
    "take_bite": "buckets taken",
    "deliver_bite": "compared",
    "read_delivered": "parts read",
    "reconcile_bite": "buckets compared",
    "compare_bite": "buckets compared with what was told",
    "rebuild": "nights of tables",
    "rebucket": "tables renumbered",
    "look_ahead": "buckets looked at",
}


def resident_bytes() -> int:
    """Resident memory of this process and all below it."""
    pids = [os.getpid()]
    for pid in pids:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                pids += map(int, children.read_text().split())
    return sum(map(resident_bytes_of, pids))


def resident_bytes_of(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0
