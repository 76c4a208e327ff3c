"""`lefi nightly`: run a night and tell what came of it."""

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs import progress
from pipelines.compact import compact
from pipelines.room import room_of
from pipelines.run import run_night
from schemas.errors import LefiError
from storage.pace import Amount
from storage.seals import signer_from
from storage.workspace import Workspace


def nightly(
    workspace: Path,
    business_date: date,
    runner: str,
    say: Callable[[str], None],
    signing_key: str | None = None,
    unsigned: bool = False,
    memory_bytes: int | None = None,
) -> Mapping[str, Any]:
    """Run the night; returns the summary of contract section 2. signing_key: a file, or PEM text; memory_bytes: see pipelines/room.py."""
    place = Workspace(workspace)
    with progress.command("nightly", workspace) as watch:
        report = run_night(
            place, business_date, runner, say, partial(signer_from, signing_key), unsigned, partial(room_of, place, memory_bytes)
        )
        work = watch.work(Amount(**report.get("amount", {})))
    compact_after(Workspace(workspace), say)
    rejected = {name: sum(codes.values()) for name, codes in report["rejected"].items()}
    return {
        "run": report["run"],
        "business_date": report["business_date"],
        "deliveries": {
            partner: {"sequence": d["sequence"], "records": d["records"], "receipts": d["receipts"]}
            for partner, d in report["deliveries"].items()
        },
        "withheld": report["withheld"],
        "quarantined": sum(rejected.values()),
        "drops": [drop for drop in report["drops"] if drop["state"] != "consumed"],
        "report": f"runs/{report['run']}/report.json",
        "work": work,
    }


def compact_after(workspace: Workspace, say: Callable[[str], None]) -> None:
    """Fold what the nights have added, if it is enough. The night is done: what goes wrong here is said, and left to the next one."""
    try:
        compact(workspace, say)
    except (LefiError, OSError) as error:
        say(f"the night is done; folding its tables was put off: {error}")


def show(summary: Mapping[str, Any], workspace: Path) -> None:
    """The summary for people: what each partner got, what is withheld."""
    table = Table(title=f"{summary['business_date']}: {len(summary['deliveries'])} deliveries", title_justify="left")
    for column, side in (("partner", "left"), ("sequence", "right"), ("records", "right"), ("receipts", "right")):
        table.add_column(column, justify="right" if side == "right" else "left")
    for partner, delivery in summary["deliveries"].items():
        table.add_row(partner, str(delivery["sequence"]), f"{delivery['records']:,}", f"{delivery['receipts']:,}")
    console = Console(markup=False, highlight=False)
    console.print(table)
    for each in summary["withheld"]:
        console.print(f"withheld: {each['benefit']} since {each['since']}: {each['code']}: {each['text']}", soft_wrap=True)
    console.print(f"see {workspace}/runs/{summary['run']}/report.html", soft_wrap=True)
