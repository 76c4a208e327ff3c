"""What operators told the service to do: numbered files in store/commands, read by the nights that follow, and kept (they are the audit trail)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from schemas.errors import RefusedError
from storage import durable, tables
from storage.documents import OF_COMMAND, document
from storage.place import place
from storage.tables import TableFile
from storage.workspace import Workspace

TURNS = frozenset({"cancel", "rebucket"})  # after one of these the same words are another command


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


def require_kept(workspace: Workspace, taken: int) -> None:
    """Each command up to the last that a night has taken must be there. RefusedError names the first that is not."""
    kept = {path.stem for path in folder(workspace).glob("*.json")}
    lost = next((name for name in map("{:06d}".format, range(1, taken + 1)) if name not in kept), None)
    if lost:
        raise RefusedError(
            f"store/commands/{lost}.json is not there, and a night has taken it: restore store/commands from a backup, then give this command again"
        )


def parse(workspace: Workspace, path: Path) -> Command:
    """A command from its file. LefiError when it is damaged."""
    value = document(workspace, path, OF_COMMAND)
    rows = value["rows"] and TableFile(**value["rows"] | {"path": str(workspace.root / value["rows"]["path"])})
    return Command(value["number"], value["name"], value["arguments"], rows)


def give(
    workspace: Workspace, name: str, arguments: dict[str, Any], rows: pl.DataFrame | None = None, numbered: Mapping[str, str] | None = None
) -> Command:
    """Write the next command durably. The caller holds the workspace's lock.

    numbered: further arguments, into which the command's number is put. A command once more, before a night has taken it, is that command:
    whoever was killed while giving it can give it again.
    """
    given = read(workspace)
    for command in reversed(given):
        if command.number <= workspace.catalog().commands:
            break
        if says(command, name, arguments, rows, numbered or {}):
            return command
        if command.name in TURNS:
            break
    number = 1 + max((command.number for command in given), default=0)
    staged = None
    durable.make_folder(folder(workspace))
    if rows is not None:
        staged = tables.stage(folder(workspace) / f"{number:06d}.parquet", rows)
        durable.sync_folder(folder(workspace))
    path = folder(workspace) / f"{number:06d}.json"
    relative = staged and staged.to_json() | {"path": str(place(staged.path).relative_to(workspace.root))}
    whole = arguments | {key: text.format(number) for key, text in (numbered or {}).items()}
    value = {"number": number, "name": name, "arguments": whole, "rows": relative}
    if not durable.put_if_absent(path, durable.to_json(value)):
        raise RefusedError(f"{path.name} is there already: another command was given at the same time")
    return Command(number, name, whole, staged)


def says(command: Command, name: str, arguments: Mapping[str, Any], rows: pl.DataFrame | None, numbered: Mapping[str, str]) -> bool:
    """Whether a command is of a name, with these arguments (but for those made of its number) and rows."""
    written = json.loads(durable.to_json(arguments))  # as they are read again: a tuple is a list there
    same = command.name == name and {key: value for key, value in command.arguments.items() if key not in numbered} == written
    if not same or rows is None or command.rows is None:
        return same and rows is None and command.rows is None
    return rows_of(command.rows.path).equals(rows.cast(tables.stored(rows.schema)))


def rows_of(path: str) -> pl.DataFrame:
    """What a command names. LefiError when the file is damaged."""
    return tables.collected(pl.scan_parquet(path), [path])
