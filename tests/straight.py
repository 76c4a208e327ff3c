"""Pipelines without Beam: each step is called as the pipeline names it, one after the other, in this thread.

What stands for Beam here has as much of it as `pipelines/` uses. The pipelines and all their steps are the real ones; only Beam's machinery is left
out, of which building alone takes longer than a small night. An error comes out as it was raised, also one that stands for SIGKILL.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines import nightly, reconcile, rehearse, run, side_by_side

USES_BEAM = (nightly, reconcile, rehearse, run, side_by_side)


class Elements(list[Any]):
    """What a step has given."""

    def __or__(self, step: "Step") -> "Elements":
        """Call the next step."""
        return Elements(step.call(self))


class Pipeline:
    """Where the first steps begin."""

    def __init__(self, runner: Any = None, options: Any = None) -> None:
        """Runner and options are none."""

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        """All has been done already."""

    def __or__(self, step: "Step") -> Elements:
        """Call a step that takes nothing."""
        return Elements(step.call(()))


class Step:
    """A step that waits for its elements."""

    def __init__(self, call: Callable[[Iterable[Any]], Iterable[Any]]) -> None:
        self.call = call

    def __rrshift__(self, label: str) -> "Step":
        """A label changes nothing."""
        return self


class Beside:
    """A side input. Its value is there already."""

    def __init__(self, value: Any) -> None:
        self.value = value


def create(values: Iterable[Any], reshuffle: bool = True) -> Step:
    """beam.Create."""
    return Step(lambda _: values)


def flat_map(step: Callable[..., Iterable[Any]], *arguments: Any) -> Step:
    """beam.FlatMap."""
    given = [each.value if isinstance(each, Beside) else each for each in arguments]
    return Step(lambda elements: [made for element in elements for made in step(element, *given)])


def as_is(elements: Iterable[Any]) -> Iterable[Any]:
    """What beam.Reshuffle gives."""
    return elements


def only(elements: Elements) -> Beside:
    """beam.pvalue.AsSingleton."""
    (value,) = elements
    return Beside(value)


BEAM = SimpleNamespace(
    Pipeline=Pipeline,
    Create=create,
    FlatMap=flat_map,
    Map=lambda step, *arguments: flat_map(lambda element, *given: [step(element, *given)], *arguments),
    Reshuffle=lambda: Step(as_is),
)


@contextmanager
def straight() -> Iterator[None]:
    """Have all pipelines run in this thread."""
    with pytest.MonkeyPatch.context() as patch:
        for module in [module for name, module in sys.modules.items() if name.startswith("pipelines.")]:
            for name, stands_for in (("beam", BEAM), ("AsList", Beside), ("AsSingleton", only)):
                if hasattr(module, name):
                    patch.setattr(module, name, stands_for)
        patch.setattr(side_by_side, "THREADS", 1)
        yield
