"""`lefi rebuild`: tell what was made anew."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs import progress
from pipelines.rebuild import rebuild as make
from storage.workspace import Workspace


def rebuild(workspace: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
    """Make anew what is lost; returns the summary, and what the work came to."""
    with progress.command("rebuild", workspace) as watch:
        made = dict(make(Workspace(workspace), say))
        return made | {"work": watch.work(made.pop("amount"))}


def show(summary: Mapping[str, Any]) -> None:
    """The summary for people: of each table the nights taken in again and those made anew."""
    console = Console()
    if summary["tables"]:
        table = Table(title=f"rebuilt up to night {summary['night']}, {summary['business_date']}", title_justify="left")
        for column in ("table", "nights found", "nights made anew"):
            table.add_column(column, justify="left" if column == "table" else "right")
        for name, counted in summary["tables"].items():
            table.add_row(name, str(counted["found"]), str(counted["rebuilt"]))
        console.print(table)
    else:
        console.print("all tables are of the last night: nothing to rebuild")
    if summary["catalog"]:
        console.print("store/catalog.json is that of the last run again")
    for note in summary["notes"]:
        console.print(note, soft_wrap=True)
    console.print("next: `lefi reconcile` expects no difference; then the next night")
