"""Which engine runs the pipelines."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from schemas.errors import UsageError


@dataclass(frozen=True)
class Engine:
    """A runner and its options. The embedded runner is named: `DirectRunner` would first try to download another one, and its
    multi-threaded mode loses elements. at_once: how many files, bites or partners one worker is given at a time."""

    runner: Callable[[], Any]
    at_once: int
    arguments: tuple[str, ...] = ()

    def options(self) -> PipelineOptions:
        """Beam's options; never those of the command line."""
        return PipelineOptions(list(self.arguments))


ENGINES = {"embedded": Engine(FnApiRunner, at_once=1024)}


def options(name: str) -> Engine:
    """The engine of a name. UsageError when there is none."""
    if name not in ENGINES:
        raise UsageError(f"--runner {name}: this version runs on {', '.join(ENGINES)} only")
    return ENGINES[name]
