"""A memory budget (`--memory`), and how much it lets in at a time. What is delivered does not depend on it: smaller bites, the same bytes (R28).

The figures were measured (docs/benchmarks.md, "A memory budget"); they are on the safe side.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl

from schemas.errors import UsageError
from storage.conf import read_machine
from storage.workspace import Workspace

MIB = 1 << 20
BASE_BYTES = 375 * MIB  # a night of next to nothing takes 327 (interpreter, libraries, Beam); what the allocator keeps differs by thirty
FACT_BYTES = 3_000  # of a fact that is being compared, at the worst moment
PIECE_BYTES = 1_000  # of a record that is being decoded and cut
DIGEST_BYTES = 1_500  # of a delivered record that is decoded and digested
LEAST_FACTS = 10_000  # with fewer at a time everything takes too long


@dataclass(frozen=True)
class Room:
    """How much may be in memory at a time. memory_bytes: the budget of the whole process; None: as much as is fast."""

    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.memory_bytes is not None and self.facts < LEAST_FACTS:
            raise UsageError(f"--memory {shown(self.memory_bytes)}: at least {shown(needed(LEAST_FACTS))} is needed")

    @property
    def facts(self) -> int:
        """Facts that may be compared at one time, by all threads together."""
        assert self.memory_bytes is not None
        return (self.memory_bytes - BASE_BYTES) // FACT_BYTES

    def bite_rows(self, most: int) -> int:
        """Facts of a bite, or of a portion of one; at most `most`. Two go at a time."""
        return most if self.memory_bytes is None else min(most, self.facts // 2)

    def piece_rows(self, most: int) -> int:
        """Records that are cut at a time; at most `most`. Two files go at a time."""
        return most if self.memory_bytes is None else min(most, (self.memory_bytes - BASE_BYTES) // PIECE_BYTES // 2)

    def digest_rows(self, most: int) -> int:
        """Delivered records that are read back at a time; at most `most`. Two files go at a time."""
        return most if self.memory_bytes is None else min(most, (self.memory_bytes - BASE_BYTES) // DIGEST_BYTES // 2)

    def require(self, facts: int, whose: str) -> None:
        """Refuse what cannot be taken in smaller bites. UsageError says how much is needed."""
        if self.memory_bytes is not None and facts > self.facts:
            raise UsageError(
                f"--memory {shown(self.memory_bytes)}: {whose}, for which {shown(needed(facts))} is needed: give as much, or more"
            )

    def require_block(self, where: str, rows: int) -> None:
        """Refuse a block of so many records for which there is no room: it is decoded as a whole. UsageError says how much is needed."""
        if self.memory_bytes is not None and rows > self.piece_rows(rows):
            need = shown(BASE_BYTES + 2 * rows * PIECE_BYTES)
            raise UsageError(
                f"--memory {shown(self.memory_bytes)}: {where} has a block of {rows:,} records, for which {need} is needed: "
                "give as much, or more, or have it written with smaller blocks"
            )


def room_of(workspace: Workspace, memory_bytes: int | None) -> Room:
    """The room of a command: what it was given, else that of conf/machine.yaml. UsageError when that is wrong, or this is no workspace."""
    workspace.catalog()
    return Room(read_machine(workspace.conf).memory_bytes if memory_bytes is None else memory_bytes)


def needed(facts: int) -> int:
    """Bytes of memory for so many facts at a time."""
    return BASE_BYTES + facts * FACT_BYTES


def shown(size_bytes: int) -> str:
    """A size as it can be given to --memory, rounded up."""
    return f"{-(-size_bytes // MIB)}MiB"


class WeightedSemaphore:
    """Lets work in as long as there is room for it; what is larger than the room goes alone."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.inside, self.changed = capacity, 0, threading.Condition()

    @contextmanager
    def passed(self, weight: int) -> Iterator[None]:
        """Wait for room, and give it back at the end."""
        with self.changed:
            self.changed.wait_for(lambda: not self.inside or self.inside + weight <= self.capacity)
            self.inside += weight
        try:
            yield
        finally:
            with self.changed:
                self.inside -= weight
                self.changed.notify_all()


def portions(counted: pl.DataFrame, rows: int) -> list[pl.Series]:
    """Persons in runs of at most so many facts, each run one person at least, in their order. counted: (person, facts), sorted by person."""
    found: list[pl.Series] = []
    start = total = 0
    for place, facts in enumerate(counted["facts"]):
        if place > start and total + facts > rows:
            found.append(counted["person"][start:place])
            start, total = place, 0
        total += facts
    return [*found, counted["person"][start:]] if counted.height else []
