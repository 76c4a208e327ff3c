"""The account of what `lefi erase` erased: numbered files in store/erasures, kept for the auditor. They name no person."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage import durable
from storage.documents import Shape, document
from storage.workspace import Workspace

OF_ACCOUNT: Shape = {"number": int, "night": int, "business_date": str, "persons": int, "rows": dict}
OF_MERGED = frozenset(
    {"facts", "told", "quarantine", "persons"}
)  # a person's rows moved in a merge, which cannot be made anew without its identities


def folder(workspace: Workspace) -> Path:
    """Where they lie."""
    return workspace.store / "erasures"


def read(workspace: Workspace) -> list[dict[str, Any]]:
    """All of them, in order. LefiError when one is damaged."""
    return [document(workspace, path, OF_ACCOUNT) for path in sorted(folder(workspace).glob("*.json"))]


def next_number(workspace: Workspace) -> int:
    """The number of the next one."""
    return 1 + max((each["number"] for each in read(workspace)), default=0)


def keep(workspace: Workspace, account: Mapping[str, Any]) -> None:
    """Keep an account under its number."""
    durable.write_file(folder(workspace) / f"{account['number']:06d}.json", durable.to_json(account))


def thinned(workspace: Workspace, night: int) -> set[str]:
    """The tables of which rows of a night may have been erased."""
    later = [each for each in read(workspace) if each["night"] >= night]
    moved = OF_MERGED if any("identities" in each["rows"] for each in later) else frozenset()
    return {name for each in later for name in each["rows"]} | moved
