"""Several elements at once on one worker: Polars, the codec and the disk let go of the interpreter, so two threads keep two cores busy.

Beam's embedded runner works on one element after the other, and its own multi-threaded mode loses some (DESIGN 2). Here a step gets a batch, and
is done when each of its members is: nothing is handed from thread to thread behind Beam's back.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import apache_beam as beam

Result = TypeVar("Result")
THREADS = 2
BATCH = 64


def batched() -> Any:
    """A transform that gathers elements into batches, as they come to a worker."""
    return beam.BatchElements(min_batch_size=BATCH, max_batch_size=BATCH)


def side_by_side(step: Callable[..., Result], size: Callable[[Any], int] = lambda _: 0) -> Callable[..., list[Result]]:
    """A step for a batch: that step for each member, some at a time, the largest first. An error of any of them is raised."""

    def run(batch: Sequence[Any], *arguments: Any) -> list[Any]:
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(lambda element: step(element, *arguments), sorted(batch, key=size, reverse=True)))

    run.__name__ = step.__name__  # not all of functools.wraps: Beam would take the step's types for those of the batch
    return run
