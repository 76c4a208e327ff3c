"""`lefi reconcile`: every difference between what is visible, what was told, and what was delivered."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs import progress
from pipelines.reconcile import reconcile as compare
from pipelines.room import room_of
from storage.workspace import Workspace


def reconcile(
    workspace: Path, partner: str | None, heal: bool, runner: str, say: Callable[[str], None], memory_bytes: int | None = None
) -> dict[str, Any]:
    """Compare everybody; the summary of contract section 2. The persons stand in the command's file, if one was given."""
    place = Workspace(workspace)
    room = room_of(place, memory_bytes)
    with progress.command("reconcile", workspace) as watch:
        found = dict(compare(place, partner, heal, runner, say, room))
        found.pop("found")
        return found | {"work": watch.work(found.pop("amount"))}


def show(summary: Mapping[str, Any]) -> None:
    """The summary for people."""
    console = Console()
    for place in summary["store"]:
        console.print(
            f"bucket {place['bucket']}, {place['benefit']}: the store has {place['facts_found']:,} facts, {place['facts']:,} were put there",
            soft_wrap=True,
        )
    if not summary["differences"]:
        console.print("no difference: every partner has been told what is visible, and the files say so")
        return
    table = Table(title=f"{summary['differences']} differences about {summary['persons']} persons", title_justify="left")
    for column in ("partner", "benefit", "what", "count"):
        table.add_column(column, justify="right" if column == "count" else "left")
    for each in summary["by"]:
        table.add_row(each["partner"], each["benefit"], each["what"], f"{each['count']:,}")
    console.print(table)
    if summary["healing"]:
        console.print("the next night delivers just these, with trigger HEAL")
    else:
        console.print("next: look why, then `lefi reconcile --heal` has the next night deliver just these")
