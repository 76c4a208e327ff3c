"""Faults that nothing of ours would make: rows of the state changed behind its back."""

from collections.abc import Callable

import polars as pl

from schemas.frames import TABLES
from storage.agreement import table_folder
from storage.workspace import Workspace
from tests.kit import World


def rewrite(world: World, table: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> int:
    """Change the rows of a table's files where they lie; how many rows went or were changed."""
    changed = 0
    for path in sorted(table_folder(Workspace(world.root), table).glob("*.parquet")):
        rows = pl.read_parquet(path)
        left = change(rows)
        if not left.equals(rows):
            changed += max(rows.height - left.height, 1)
            left.write_parquet(path, compression="lz4")
    assert set(TABLES) >= {table}
    assert changed, f"nothing of {table} was changed"
    return changed
