"""`lefi recalculate`: order it, look ahead at it, or stop it."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs import progress
from pipelines.recalculate import Wish, cancel, forecast, order
from schemas.errors import UsageError
from storage.workspace import Workspace


def recalculate(
    workspace: Path,
    rule: str | None,
    effective: date | None,
    reason: str | None,
    first_night: date | None,
    nights: int | None,
    plan: bool,
    stop: str | None,
    page: Path | None,
) -> Mapping[str, Any]:
    """Do one of the three; returns its summary. UsageError when an option is missing, or does not fit the others."""
    wanted = {"--rule": rule, "--effective": effective, "--reason": reason, "--first-night": first_night, "--nights": nights}
    if stop is not None:
        others = [name for name, value in {**wanted, "--plan": plan or None, "--page": page}.items() if value is not None]
        if others:
            raise UsageError(f"--cancel stands alone, without {', '.join(others)}")
        return cancel(Workspace(workspace), stop)
    if page is not None and not plan:
        raise UsageError("--page goes with --plan")
    missing = [name for name, value in wanted.items() if value is None]
    if rule is None or effective is None or reason is None or first_night is None or nights is None:
        raise UsageError(f"{', '.join(missing)}: missing")
    wish = Wish(rule, effective, reason, first_night, nights)
    with progress.command("recalculate", workspace) as watch:
        foreseen = dict((forecast if plan else order)(Workspace(workspace), wish))
        foreseen["work"] = watch.work(foreseen.pop("amount"))
    if not plan:
        return foreseen
    outcomes = foreseen.pop("outcomes")
    if page is not None:
        from jobs.recalculation_page import write_page

        write_page(page, wish, foreseen, outcomes)
    return foreseen


def show(summary: Mapping[str, Any]) -> None:
    """The summary for people."""
    console = Console()
    if "stopped" in summary:
        console.print(f"{summary['source_run']}: {summary['done']} nights are done, {summary['stopped']} will not be run")
    elif summary["source_run"]:
        console.print(
            f"{summary['source_run']}: {summary['persons']:,} persons in {summary['nights']} nights, as it looks now; `lefi status` shows how far it is"
        )
    else:
        show_plan(console, summary)


def show_plan(console: Console, summary: Mapping[str, Any]) -> None:
    """What would happen, as tables."""
    console.print(
        f"{summary['persons']:,} persons, {summary['decisions']:,} new decisions; {summary['unchanged']:,} unchanged, {summary['skipped']:,} skipped"
    )
    amounts = summary["amounts"]
    table = Table(title="kronor a month", title_justify="left")
    for column in ("", *amounts["before"]):
        table.add_column(column.replace("_", " "), justify="right" if column else "left")
    for name in ("before", "after", "change"):
        table.add_row(name, *(value or "" for value in amounts[name].values()))
    console.print(table)
    table = Table(title="records and share of the partner's throttle", title_justify="left")
    for column in ("night", "persons", "partner", "records", "of throttle"):
        table.add_column(column, justify="left" if column == "partner" else "right")
    for night in summary["slices"]:
        table.add_row(str(night["slice"]), f"{night['persons']:,}", "", "", "")
        for partner, load in night["partners"].items():
            table.add_row("", "", partner, f"{load['records']:,}", f"{load['percent_of_throttle']} %")
    console.print(table)
    console.print("nothing has changed: give the same command without --plan to order it")
