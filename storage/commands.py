"""What operators told the service to do: numbered files in store/commands, read by the nights that follow, and kept (they are the audit trail)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from schemas.errors import RefusedError
from storage import durable, tables
from storage.tables import TableFile
from storage.workspace import Workspace


@dataclass(frozen=True)
class Command:
    """A command. number: counts up from 1; rows: a file with what it names, fixed when it was given."""

    number: int
    name: str
    arguments: dict[str, Any]
    rows: TableFile | None = None


def folder(workspace: Workspace) -> Path:
    """Where commands lie."""
    return workspace.store / "commands"


def read(workspace: Workspace) -> tuple[Command, ...]:
    """All commands ever given, in order."""
    return tuple(parse(workspace, path) for path in sorted(folder(workspace).glob("*.json")))


def parse(workspace: Workspace, path: Path) -> Command:
    """A command from its file."""
    value = json.loads(path.read_text("utf-8"))
    rows = value["rows"] and TableFile(**value["rows"] | {"path": str(workspace.root / value["rows"]["path"])})
    return Command(value["number"], value["name"], value["arguments"], rows)


def give(workspace: Workspace, name: str, arguments: dict[str, Any], rows: pl.DataFrame | None = None) -> Command:
    """Write the next command durably. The caller holds the workspace's lock."""
    number = 1 + max((command.number for command in read(workspace)), default=0)
    staged = None
    if rows is not None:
        staged = tables.stage(folder(workspace) / f"{number:06d}.parquet", rows)
        durable.sync_folder(folder(workspace))
    path = folder(workspace) / f"{number:06d}.json"
    relative = staged and staged.to_json() | {"path": str(Path(staged.path).relative_to(workspace.root))}
    value = {"number": number, "name": name, "arguments": arguments, "rows": relative}
    if not durable.put_if_absent(path, durable.to_json(value)):
        raise RefusedError(f"{path.name} is there already: another command was given at the same time")
    return Command(number, name, arguments, staged)
