"""`lefi rehearse`: a night and a release, tried out."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from jobs import progress
from jobs.terminal import console
from pipelines.rehearse import rehearse as try_out
from pipelines.room import room_of
from storage.workspace import Workspace

SHOWN = 3  # windows of a sample


def rehearse(
    workspace: Path,
    business_date: date,
    partner: str | None,
    conf: Path | None,
    runner: str,
    say: Callable[[str], None],
    memory_bytes: int | None = None,
) -> dict[str, Any]:
    """Try a night out. Returns the keys of `nightly` for a night that did not happen, with totals, and `release`."""
    place = Workspace(workspace)
    room = room_of(place, memory_bytes)
    with progress.command("rehearse", workspace) as watch:
        found = try_out(place, business_date, partner, conf, runner, say, room)
        work = watch.work(found["amount"])
    return {
        "business_date": found["business_date"],
        "deliveries": {
            name: {key: each[key] for key in ("sequence", "records", "receipts", "totals", "withheld")}
            for name, each in found["deliveries"].items()
            if partner in (None, name)
        },
        "withheld": found["withheld"],
        "quarantined": sum(sum(codes.values()) for codes in found["rejected"].values()),
        "drops": [drop for drop in found["drops"] if drop["state"] != "consumed"],
        "release": found["release"],
        "work": work,
    }


def show(summary: Mapping[str, Any]) -> None:
    """The summary for people: the night, then the release."""
    out = console()
    out.print(f"the night of {summary['business_date']} would deliver:")
    table = Table()
    for column in ("partner", "sequence", "benefit", "action", "records"):
        table.add_column(column, justify="right" if column in ("sequence", "records") else "left")
    for partner, delivery in summary["deliveries"].items():
        told = [(benefit, action, f"{count:,}") for benefit, actions in delivery["totals"].items() for action, count in actions.items()]
        for benefit, action, count in told or [("", "nothing", "0")]:
            table.add_row(partner, str(delivery["sequence"]), benefit, action, count)
        if delivery["receipts"]:
            table.add_row(partner, str(delivery["sequence"]), "", "receipts", f"{delivery['receipts']:,}")
    out.print(table)
    for each in summary["withheld"]:
        out.print(f"withheld: {each['benefit']} since {each['since']}: {each['code']}: {each['text']}", markup=False)
    for each in summary["drops"]:
        out.print(f"drop {each['drop']}: {each['state']} {each['code']}: {each['text']}", markup=False)
    if summary["quarantined"]:
        out.print(f"{summary['quarantined']:,} records would be rejected")
    show_release(out, summary["release"])
    out.print("nothing was changed")


def show_release(out: Console, release: Mapping[str, Any]) -> None:
    """What this code and conf would change of what was told."""
    if release["by"]:
        out.print("this code and conf would change of what was told:")
        table = Table()
        for column in ("partner", "benefit", "action", "count"):
            table.add_column(column, justify="right" if column == "count" else "left")
        for each in release["by"]:
            table.add_row(each["partner"], each["benefit"], each["action"], f"{each['count']:,}")
        out.print(table)
        for each in release["samples"]:
            out.print(tree_of(each))
    else:
        out.print("release: this code and conf would change nothing of what was told")
    for each in release["ended"]:
        out.print(f"conf would end {each['count']:,} subscriptions of {each['partner']} to {each['benefit']} (R12)")
    if release["not_compared"]:
        out.print(f"not compared, as not current: {', '.join(release['not_compared'])}")
    if release["by"]:
        out.print(
            "a night tells these only where something else touches the person; `lefi reconcile --heal` after the release tells them all",
            soft_wrap=True,
        )


def tree_of(sample: Mapping[str, Any]) -> Tree:
    """A sample and what would be other."""
    told = f", told in delivery {sample['told']['sequence']}, record {sample['told']['record_no']}" if sample["told"] else ""
    about = f"{sample['kind']} {sample['fact_id']}" if sample["fact_id"] else "the group as a whole"
    tree = Tree(Text(f"{sample['partner']} {sample['benefit']} {sample['action']}: {about}{told}"))
    for name, (before, after) in sample["changes"].items():
        tree.add(Text(f"{name}: {short(before)} -> {short(after)}"))
    return tree


def short(value: Any) -> str:
    """A value of the content, on one line."""
    if isinstance(value, list):
        windows = [f"{each['first']}..{each['last']} {each['extent_permille']} {each['units']} units" for each in value[:SHOWN]]
        more = ", ..." if len(value) > SHOWN else ""
        return f"{len(value)} {'window' if len(value) == 1 else 'windows'} ({', '.join(windows)}{more})"
    return "none" if value is None else str(value)
