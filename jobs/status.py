"""`lefi status`: how things are, read from the runs alone, without Delta or Polars, so that it answers at once."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from pages.advice import next_step
from schemas.quarantine import quarantine_id
from storage.documents import OF_COMMAND, document
from storage.running import running
from storage.runs import report_of, settled, unfinished
from storage.workspace import Catalog, Workspace

LISTED = 20  # rejected records, of those for people


def status_of(root: Path) -> dict[str, Any]:
    """The status of a workspace (contract, section 2)."""
    workspace = Workspace(root)
    catalog = workspace.catalog()
    done, unsettled = settled(workspace), unfinished(workspace)
    report: Mapping[str, Any] = report_of(workspace, done[-1]) if done else {}
    withheld = [{name: each[name] for name in ("benefit", "code", "since", "text")} for each in report.get("withheld", ())]
    return {
        "workspace": str(root),
        "last_night": str(catalog.business_date) if catalog.business_date else None,
        "nights": catalog.night,
        "unfinished": unsettled,
        "deliveries": {
            partner: {"sequence": each["sequence"], "records": each["records"], "receipts": each["receipts"]}
            for partner, each in report.get("deliveries", {}).items()
        },
        "withheld": withheld,
        "missed": missed(done),
        "quarantine": report.get("quarantine", []),
        "drops": [drop for drop in report.get("drops", ()) if drop["state"] != "consumed"],
        "refreshes": refreshes(workspace, report),
        "recalculations": recalculations(workspace, report),
        "audit": report.get("audit", {}),
        "running": running(root),
        "next": next(hindrances(workspace, catalog, unsettled), None)
        or next_step(str(root), catalog.business_date, unsettled, report, decided(workspace, report)),
    }


def hindrances(workspace: Workspace, catalog: Catalog, unsettled: Sequence[str]) -> Iterator[str]:
    """What is to be done before another night, beyond what reports say."""
    for what, command in workspace.interrupted():
        yield f"{what} was interrupted: lefi {command} {workspace.root}"
    if not unsettled:
        yield from workspace.lost_deliveries(catalog)


def given_since(workspace: Workspace, report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The commands that no night has taken yet, in order. LefiError when one is damaged."""
    for path in sorted((workspace.store / "commands").glob("*.json")):
        given = document(workspace, path, OF_COMMAND)
        if given["number"] > report.get("commands", 0):
            yield given


def decided(workspace: Workspace, report: Mapping[str, Any]) -> set[str]:
    """The drops accepted and the rejected records released since the last night."""
    given = [(each["name"], each["arguments"]) for each in given_since(workspace, report)]
    drops = {arguments["drop"] for name, arguments in given if name == "accept"}
    return drops | {quarantine_id(arguments["arrival"]) for name, arguments in given if name == "release"}


def refreshes(workspace: Workspace, report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that wait, in the order of the queue: as the last night left them, and what was queued by command since."""
    queued = [given for given in given_since(workspace, report) if given["name"] == "refresh"]
    return list(report.get("refreshes", ())) + [
        {
            "partner": given["arguments"]["partner"],
            "order_id": given["arguments"]["order_id"],
            "line_no": 1,
            "groups": given["rows"]["rows"],
            "waiting": given["rows"]["rows"],
            "slices": 0,
        }
        for given in queued
    ]


def recalculations(workspace: Workspace, report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How far those are that are not over: as the last night left them, and what was ordered or cancelled since."""
    standing = {each["source_run"]: each for each in report.get("recalculations", ()) if each["remaining"]}
    none = dict.fromkeys(("done", "decisions", "unchanged", "skipped"), 0) | {"waiting": None}
    for given in given_since(workspace, report):
        if given["name"] == "recalculate":
            wanted = given["arguments"]
            nights = len(wanted["slices"])
            said = {name: wanted[name] for name in ("source_run", "effective", "reason", "first_night")}
            standing[wanted["source_run"]] = said | none | {"nights": nights, "remaining": nights}
        elif given["name"] == "cancel":
            standing.pop(given["arguments"]["source_run"], None)
    return list(standing.values())


def missed(runs: Sequence[str]) -> list[str]:
    """The dates between two nights without one."""
    nights = sorted(date.fromisoformat(run[:10]) for run in runs)
    gaps = ((before + timedelta(days=1), after) for before, after in pairwise(nights))
    return [str(first + timedelta(days=day)) for first, after in gaps for day in range((after - first).days)]


def show(status: Mapping[str, Any]) -> None:
    """The status for people."""
    print(f"last night: {status['last_night'] or 'none yet'} (nights: {status['nights']})")
    if status["deliveries"]:
        head = ("partner", "sequence", "records", "receipts")
        rows = [
            (name, str(each["sequence"]), f"{each['records']:,}", f"{each['receipts']:,}") for name, each in status["deliveries"].items()
        ]
        for line in aligned([head, *rows]):
            print(line)
    if status["running"]:
        print(running_line(status["running"]))
    for each in status["withheld"]:
        print(f"withheld: {each['benefit']} since {each['since']}: {each['code']}")
    for each in status["quarantine"][:LISTED]:
        print(f"rejected {each['id']}: {each['benefit']} {each['code']} in {each['drop']}")
    if len(status["quarantine"]) > LISTED:
        print(f"and {len(status['quarantine']) - LISTED:,} more rejected records: --json lists them")
    for each in status["refreshes"]:
        done = each["groups"] - each["waiting"]
        print(f"refresh {each['order_id']} of {each['partner']}: {done:,} of {each['groups']:,} groups in {each['slices']} slices")
    for each in status["recalculations"]:
        waits = f"; waits for {each['waiting']}" if each["waiting"] else ""
        print(
            f"{each['source_run']} ({each['reason']}): {each['done']} of {each['nights']} nights, {each['decisions']:,} decisions, "
            f"{each['skipped']:,} skipped; first night {each['first_night']}{waits}",
        )
    for day in status["missed"]:
        print(f"no night was run for {day}")
    for drop in status["drops"]:
        print(f"drop {drop['drop']}: {drop['state']} {drop['code']}: {drop['text']}")
    print(f"next: {status['next']}")


def running_line(now: Mapping[str, Any]) -> str:
    """A command that is at work."""
    left = "" if now["seconds_left"] is None else f", about {now['seconds_left'] // 60}:{now['seconds_left'] % 60:02d} left"
    speed = f"{now['rows_per_second']:,} rows/s, {now['bytes_per_second'] / 1e6:.1f} MB/s, {now['peak_mib']:,} MiB"
    return f"running: {now['command']}, {now['share']:.0%} done{left}; {speed}"


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines of a table: the first column to the left, numbers to the right."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    for name, *numbers in rows:
        yield "  ".join([name.ljust(first), *(number.rjust(width) for number, width in zip(numbers, others, strict=True))])
