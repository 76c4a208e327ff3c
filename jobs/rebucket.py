"""`lefi rebucket`: double the number of buckets, and tell."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jobs import progress
from jobs.terminal import console
from pipelines.rebucket import rebucket as double
from storage.workspace import Workspace


def rebucket(workspace: Path, to: int | None, say: Callable[[str], None]) -> Mapping[str, Any]:
    """Double them; returns the summary."""
    place = Workspace(workspace)
    place.catalog()
    with progress.command("rebucket", workspace) as watch:
        done = dict(double(place, to, say))
        return done | {"work": watch.work(done.pop("amount"))}


def show(summary: Mapping[str, Any]) -> None:
    """The summary for people."""
    if summary["before"] == summary["after"]:
        console().print(f"there are {summary['after']:,} buckets: nothing to do")
    else:
        console().print(f"{summary['before']:,} buckets are {summary['after']:,} now; the next night's records are numbered by these")
