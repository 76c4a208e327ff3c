"""`lefi compact`: tell what was folded."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from jobs.terminal import console


def show(summary: Mapping[str, Any]) -> None:
    """The summary for people: of each table the files joined, and to how many."""
    terminal = console()
    if summary["tables"]:
        table = Table(title=f"folded after night {summary['night']}", title_justify="left")
        for column in ("table", "files before", "after"):
            table.add_column(column, justify="left" if column == "table" else "right")
        for name, counted in summary["tables"].items():
            table.add_row(name, str(counted["files"]), str(counted["folds"]))
        terminal.print(table)
    else:
        terminal.print("no table has enough small files: nothing to fold")
    if summary["removed"]:
        terminal.print(f"{summary['removed']} files that no table names any more were removed")
