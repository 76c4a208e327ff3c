"""Rows taken out of a table for good: its files are written anew without them, and the old ones removed from the disk."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
from deltalake.transaction import AddAction, RemoveAction

from storage import durable, folds, tables
from storage.failpoints import reach
from storage.folds import FOLDING, SETTLED, Unit
from storage.place import place
from storage.tables import TableFile

APPLICATION = "lefi-erase"
ERASED = re.compile(r"x\d{6}\.parquet$")  # how names end that an erasure gave
Left = Callable[[pl.LazyFrame], pl.LazyFrame]  # the rows that stay, in their order
Chosen = Callable[[int, int], Left]  # those of buckets `first` to `last`, both included


def count(folder: Path, schema: pl.Schema, chosen: Chosen, buckets: int) -> Counter[Unit]:
    """How many rows would go from each unit of a table."""
    live = folds.units(tables.files(folder))
    gone: Counter[Unit] = Counter()
    for first, last in pieces(live, schema, buckets):
        left = chosen(first, last)
        for unit in live:
            rows = folds.rows_of([unit], schema, first, last)
            gone[unit] += rows.height - left(rows.lazy()).select(pl.len()).collect().item()
    return +gone


def pieces(live: Sequence[Unit], schema: pl.Schema, buckets: int) -> list[tuple[int, int]]:
    """The runs of buckets that are worked on at once."""
    return folds.ranges(live, buckets) if "bucket" in schema else [(0, buckets)]


def thin(folder: Path, schema: pl.Schema, chosen: Chosen, buckets: int, night: int, number: int, added: pl.DataFrame | None = None) -> int:
    """Take rows out of a table, in one Delta commit; units of which none goes stay as they are. The caller holds the workspace.

    night: the last settled one; number: of the erasure, which new files are named after; added: rows of `schema` that are put in at the end.
    Returns how many rows went. The old files lie there until `purge`.
    """
    gone = count(folder, schema, chosen, buckets)
    live = folds.units(tables.files(folder))
    if added is not None and live:
        gone[live[-1]] += 0
    if not gone:
        return 0
    folds.clear(folder)
    runs, edition = pieces(live, schema, buckets), folds.next_edition(folder)
    staged: list[TableFile] = []
    for unit in gone:
        for piece, (first, last) in enumerate(runs, 1):
            rows = chosen(first, last)(folds.rows_of([unit], schema, first, last).lazy()).collect()
            if added is not None and unit == live[-1]:
                rows = with_added(rows, added, unit.last, first, last)
            name = f"fold-{unit.first:06d}-{unit.last:06d}-{piece:04d}of{len(runs):04d}-e{edition}x{number:06d}.parquet"
            staged.append(tables.stage(folder / FOLDING / name, rows))
    reach(f"erase.{folder.name}")
    actions: list[AddAction | RemoveAction] = [tables.move_in(file, folder / Path(file.path).name, schema) for file in staged]
    stamp = max(action.modification_time for action in actions if isinstance(action, AddAction))
    old = [file for unit in gone for file in unit.files]
    actions[:0] = [RemoveAction(Path(file.path).name, True, stamp, place(file.path).stat().st_size) for file in old]
    tables.commit(folder, actions, schema, night, "append", APPLICATION)
    folds.clear(folder)
    return gone.total()


def with_added(rows: pl.DataFrame, added: pl.DataFrame, night: int, first: int, last: int) -> pl.DataFrame:
    """Rows of a unit with some more, as of its last night."""
    here = added.filter(pl.col("bucket").is_between(first, last)).with_columns(pl.lit(night, pl.Int32()).alias(SETTLED))
    return pl.concat([rows, here.select(rows.columns).cast(rows.schema)]).sort("bucket", maintain_order=True)


def is_thinned(folder: Path, number: int) -> bool:
    """Whether a table has files of an erasure."""
    return any(Path(file.path).name.endswith(f"x{number:06d}.parquet") for file in tables.files(folder))


def purge(folder: Path, up_to: int) -> int:
    """Remove files that the table does not name any more: those that an erasure has replaced, and all whose last night is `up_to` or before it.

    The caller holds the workspace. Returns how many were removed.
    """
    live = {file.path for file in tables.files(folder)}
    thinned = [folds.nights_of(path) or (0, 0) for path in live if ERASED.search(Path(path).name)]
    gone = []
    for path in sorted(folder.glob("*.parquet")):
        nights = folds.nights_of(path)
        if str(path) not in live and nights and (nights[1] <= up_to or any(a <= nights[1] and nights[0] <= b for a, b in thinned)):
            path.unlink()
            reach("erase.purge", path)
            gone.append(path)
    folds.clear(folder)
    if folder.exists():
        durable.sync_folder(folder)
    return len(gone)
