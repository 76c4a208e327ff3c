"""`lefi erase`: what is no longer kept, or persons on demand."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipelines.erase import erase_by_schedule, erase_persons
from schemas.errors import UsageError, masked
from schemas.personnummer import is_valid
from storage.workspace import Workspace

LISTED = 20


def erase(workspace: Path, person: str | None, end_subscriptions: bool, plan: bool, say: Callable[[str], None]) -> Mapping[str, Any]:
    """Erase by the schedule, or the persons that a file names; returns the summary. UsageError for a file that is none, or a line that is no number."""
    if person is None:
        if end_subscriptions:
            raise UsageError("--end-subscriptions goes with --person")
        return erase_by_schedule(Workspace(workspace), plan, say)
    return erase_persons(Workspace(workspace), numbers_in(person), end_subscriptions, plan, say)


def numbers_in(file: str) -> list[str]:
    """The personnummer that a file, or stdin, has on its lines; empty lines count for nothing."""
    if file != "-" and masked(file) != file:
        raise UsageError("--person takes a file, or - for stdin: a personnummer on the command line is seen by everybody on the machine")
    try:
        lines = (sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--person {file}: cannot be read as text") from error
    found = [(place, line.strip()) for place, line in enumerate(lines, 1) if line.strip()]
    for place, line in found:
        if not is_valid(line):
            raise UsageError(f"--person: line {place} is not a personnummer (R10): 12 digits, a real date, the right check digit")
    if not found:
        raise UsageError("--person: there is no personnummer in it")
    return [line for _, line in found]


def show(summary: Mapping[str, Any]) -> None:
    """The summary for people."""
    for line in told(summary):
        print(line)


def told(summary: Mapping[str, Any]) -> Iterator[str]:
    """Its lines."""
    will = "would be erased" if summary["plan"] else "erased"
    for name, rows in summary["rows"].items():
        yield f"{name}: {rows:,} rows {will}"
    by_partner: dict[str, list[int]] = {}
    for each in summary["deliveries"]:
        by_partner.setdefault(each["partner"], []).append(each["sequence"])
    for partner, sequences in by_partner.items():
        yield f"outbox/{partner}: files of {len(sequences):,} deliveries {will}, {min(sequences):08d} to {max(sequences):08d}; manifests stay"
    if summary["files"]:
        yield f"{summary['files']:,} old files of tables removed from the disk"
    if not summary["rows"] and not summary["deliveries"]:
        yield "nothing to erase"
    if summary["watched"]:
        yield f"subscriptions of {', '.join(summary['watched'])} {will}: these partners are told nothing more"
    for each in summary["remains"][:LISTED]:
        yield f"outbox/{each['partner']}/{each['sequence']:08d} names them, maybe not fetched yet: give the command again on {each['erasable_from']} or later"
    if summary["inbox"]:
        yield f"next: the inbox is its sources', so take these drops out of it: {', '.join(summary['inbox'][:LISTED])}" + (
            f" and {len(summary['inbox']) - LISTED} more" if len(summary["inbox"]) > LISTED else ""
        )
    if summary["plan"]:
        yield "nothing was changed"
