"""Several elements at once on one worker: Polars, the codec and the disk let go of the interpreter, so two threads keep two cores busy.

Beam's embedded runner works on one element after the other, and its own multi-threaded mode loses some (DESIGN 2). Here the elements are batches,
made when they are made, and a step is done with one when it is done with each of its members: nothing is handed from thread to thread behind Beam's back.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from apache_beam.runners.worker.statecache import CacheAware

from pipelines.room import Room, WeightedSemaphore
from storage import pace
from storage.pace import Amount
from storage.tables import TableFile

Element = TypeVar("Element")
Result = TypeVar("Result")
THREADS = 2


class Description(CacheAware):
    """What travels between steps: it tells of data, and has none. Beam need not walk through it to know that it is small (a tenth of a small night)."""

    def get_referents_for_cache(self) -> list[Any]:
        """Nothing that would be worth measuring."""
        return []

    @property
    def units(self) -> int:
        """How much of its step's work it is, when it goes in."""
        return 1

    @property
    def facts(self) -> int:
        """About how many facts must be in memory to work on it, where that is many."""
        return 0

    @property
    def amount(self) -> Amount:
        """What was gone through to make it, when it comes out."""
        return Amount()


def in_batches(elements: Iterable[Element], size: int) -> list[tuple[Element, ...]]:
    """Elements as batches of at most `size`: as many as a worker is to be given at once."""
    rest = iter(elements)
    return list(iter(lambda: tuple(islice(rest, size)), ()))


def side_by_side(step: Callable[..., Result], size: Callable[[Any], int] = lambda _: 0) -> Callable[..., list[Result]]:
    """A step for a batch: that step for each member, some at a time, the largest first. An error of any of them is raised.

    The last argument is the plan, under whose run it is noted what is done, and which knows how much room there is.
    """

    def one(element: Any, *arguments: Any) -> Any:
        result = step(element, *arguments)
        note(step.__name__, element, result, arguments[-1].of_run)
        return result

    def run(batch: Sequence[Any], *arguments: Any) -> list[Any]:
        room: Room = arguments[-1].room
        gate = WeightedSemaphore(room.facts) if room.memory_bytes else None

        def let_in(element: Any) -> Any:
            with gate.passed(element.facts if isinstance(element, Description) else 0) if gate else nullcontext():
                return one(element, *arguments)

        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(let_in, sorted(batch, key=size, reverse=True)))

    run.__name__ = step.__name__  # not all of functools.wraps: Beam would take the step's types for those of the batch
    return run


def note(step: str, element: Any, result: Any, staging: Path) -> None:
    """Note what a step has done with an element. Of one that comes again, as Beam may have it, it counts once."""
    made = result if isinstance(result, list) else [result]
    amount = sum((each.amount for each in made if isinstance(each, Description | TableFile)), Amount())
    units = element.units if isinstance(element, Description) else 1
    piece = hashlib.sha256(repr(element).encode()).hexdigest()[:16]
    pace.note(staging, step, piece, Amount(units, amount.rows, amount.bytes))
