"""Compaction: join the small files that the nights add to each table, in the shadow of the nights. What partners get does not depend on it (R28)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.run import REPLACED
from schemas.frames import TABLES
from storage import folds, tables
from storage.agreement import require_agreement, require_finished, table_folder
from storage.folds import Unit
from storage.lock import only_compaction, only_writer
from storage.tables import TableFile
from storage.workspace import Workspace

Say = Callable[[str], None]
Fold = Callable[[Path, Sequence[Unit], pl.Schema, int], list[TableFile]]


def compact(workspace: Workspace, say: Say, *, everything: bool = False, fold: Fold = folds.fold) -> Mapping[str, Any]:
    """Fold the tables that have enough small files; with `everything`, each to one fold. Returns, by table, files before and after; and files removed.

    The workspace is held only while a fold takes the place of what it joins, so a night can run meanwhile. Killed anywhere, every table is as it
    was or as it is to be, and the same command goes on. fold: writes one beside its table, here or on a cluster.
    RefusedError while another command writes just then, or another compaction is at work.
    """
    with only_compaction(workspace):
        with only_writer(workspace):
            catalog = workspace.catalog()
            require_finished(workspace)
            require_agreement(workspace, catalog)
            swept = sum(folds.sweep(table_folder(workspace, name), catalog.night) for name in TABLES)
        folded: dict[str, dict[str, int]] = {}
        for name, schema in TABLES.items():
            folder = table_folder(workspace, name)
            folds.clear(folder)
            joined = [] if name in REPLACED else chosen(folds.units(tables.files(folder)), everything)
            if not joined:
                continue
            staged = fold(folder, joined, schema, catalog.buckets)
            with only_writer(workspace):
                if folds.commit(folder, joined, staged, schema, workspace.catalog().night):
                    folded[name] = {"files": sum(len(unit.files) for unit in joined), "folds": len(staged)}
            folds.clear(folder)
        if folded:
            say(f"folded {sum(each['files'] for each in folded.values())} files of {len(folded)} tables")
        return {"night": catalog.night, "tables": folded, "removed": swept}


def chosen(units: list[Unit], everything: bool) -> list[Unit]:
    """What of a table is folded."""
    if not everything:
        return folds.worth_folding(units)
    return units if len(units) > 1 else []
