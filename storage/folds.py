"""Folds: many small files of a table joined to few, sorted as these are. No row is left out, and each keeps the number of the night that wrote it.

A fold's name says what it stands for, `fold-<first night>-<last night>-<number>of<count>.parquet`, so that it can be taken in again without a log.
Beside the table's own columns it has `settled`, the night that wrote a row, so that a past state can be cut out of it. Where rows were changed while
they were joined (pipelines/upgrade.py), or taken out (storage/thin.py), the fold is one of the same nights once more, a later *edition*: `-e2` and so
on before `.parquet`, for an erasure with its number, `-e2x000001`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import polars as pl
from deltalake.transaction import RemoveAction

from storage import durable, tables
from storage.failpoints import reach
from storage.place import place
from storage.tables import TableFile

SETTLED = "settled"
APPLICATION = "lefi-fold"
FOLDING = "_folding"  # below a table's folder, where Delta looks past what begins with an underscore
SORTED_BY = ("bucket", "person")
NIGHTS = 8  # written since the last fold: so many are joined
GROWTH = 4  # a fold before them is joined with them when it has at most so many times their rows
FILE_ROWS = 500_000
NAME = re.compile(
    r"(?:night-(?P<night>\d{6})-\d{4}|fold-(?P<first>\d{6})-(?P<last>\d{6})-(?P<number>\d{4})of(?P<count>\d{4})(?:-e(?P<edition>\d+)(?:x\d{6})?)?)\.parquet"
)


@dataclass(frozen=True)
class Unit:
    """What one night, or one fold of several, has in a table. first, last: nights, both included."""

    first: int
    last: int
    files: tuple[TableFile, ...]

    @property
    def rows(self) -> int:
        """Of all its files."""
        return sum(file.rows for file in self.files)

    @property
    def folded(self) -> bool:
        """Whether it is a fold."""
        return Path(self.files[0].path).name.startswith("fold-")


def nights_of(path: str | Path) -> tuple[int, int] | None:
    """The first and the last night that a file of a table holds rows of, by its name; None for any other file."""
    found = NAME.fullmatch(str(path).rpartition("/")[2])
    if not found:
        return None
    return (int(found["night"]),) * 2 if found["night"] else (int(found["first"]), int(found["last"]))


def units(files: Iterable[TableFile]) -> list[Unit]:
    """A table's files by night or fold, oldest first."""
    known = ((nights_of(file.path) or (0, 0), file) for file in files)
    grouped = groupby(sorted(known, key=lambda each: (each[0], each[1].path)), key=lambda each: each[0])
    return [Unit(first, last, tuple(file for _, file in of)) for (first, last), of in grouped]


def worth_folding(of: Sequence[Unit]) -> list[Unit]:
    """The newest units, if enough nights have written since the last fold; and before them those that are not much larger than all that is joined.

    So a row is written again only when its fold has grown by a good part, and the number of folds grows with the logarithm of the rows.
    """
    start = len(of)
    while start and not of[start - 1].folded and of[start - 1].first > 1:
        start -= 1
    if len(of) - start < NIGHTS:
        return []
    rows = sum(unit.rows for unit in of[start:])
    while start and of[start - 1].rows <= GROWTH * rows:
        start -= 1
        rows += of[start].rows
    return list(of[start:])


def ranges(joined: Sequence[Unit], buckets: int) -> list[tuple[int, int]]:
    """Runs of buckets that hold about FILE_ROWS rows each."""
    rows, count = sum(unit.rows for unit in joined), 1
    while count < buckets and rows / count > FILE_ROWS:
        count *= 2
    return [(first, first + buckets // count - 1) for first in range(0, buckets, buckets // count)]


def fold(folder: Path, joined: Sequence[Unit], schema: pl.Schema, buckets: int) -> list[TableFile]:
    """Write the fold of some units beside the table; files that an interrupted attempt has finished are written over, with the same rows."""
    return write(folder / FOLDING, folder.name, joined, schema, buckets)


def write(
    into: Path,
    table: str,
    joined: Sequence[Unit],
    schema: pl.Schema,
    buckets: int,
    edition: int = 1,
    changed: Callable[[pl.DataFrame], pl.DataFrame] = lambda rows: rows,
) -> list[TableFile]:
    """Write the fold of some units into a folder. changed: what is made of its rows, as many and in their order."""
    pieces = ranges(joined, buckets) if "bucket" in schema else [(0, buckets)]
    staged = []
    for number, (first, last) in enumerate(pieces, 1):
        rows = changed(rows_of(joined, schema, first, last))
        staged.append(tables.stage(into / file_name(joined, number, len(pieces), edition), rows))
        reach(f"fold.{table}")
    return staged


def file_name(joined: Sequence[Unit], number: int, count: int, edition: int = 1) -> str:
    """What a file of the fold of some units is called. number: from 1 to `count`."""
    again = f"-e{edition}" if edition > 1 else ""
    return f"fold-{joined[0].first:06d}-{joined[-1].last:06d}-{number:04d}of{count:04d}{again}.parquet"


def next_edition(folder: Path) -> int:
    """A number that no fold in a table's folder has yet."""
    names = (NAME.fullmatch(path.name) for path in folder.glob("fold-*.parquet"))
    return 1 + max((int(name["edition"] or 1) for name in names if name), default=0)


def rows_of(joined: Sequence[Unit], schema: pl.Schema, first: int, last: int) -> pl.DataFrame:
    """The rows of some buckets as they stand in a fold: sorted, those of one person in the order in which they were written."""
    on_disk = {**tables.stored(schema), SETTLED: pl.Int32()}
    frames = [pl.LazyFrame(schema=on_disk)]
    for unit in joined:
        for file in unit.files:
            if "bucket" in schema and not (file.first_bucket <= last and first <= file.last_bucket):
                continue
            rows = pl.scan_parquet(file.path)
            rows = rows if unit.folded else rows.with_columns(pl.lit(unit.first, pl.Int32()).alias(SETTLED))
            frames.append(rows.select(list(on_disk)))
    together, paths = pl.concat(frames), [file.path for unit in joined for file in unit.files]
    if "bucket" in schema:
        by = [name for name in SORTED_BY if name in schema]
        together = together.filter(pl.col("bucket").is_between(first, last)).sort(by, maintain_order=True)
    return tables.collected(together, paths)


def commit(folder: Path, joined: Sequence[Unit], staged: Sequence[TableFile], schema: pl.Schema, night: int) -> bool:
    """Put a fold in the place of what it joins, in one Delta commit. The caller holds the workspace. night: the last settled one.

    False, and nothing is changed, when the table is not what it was when the fold was written.
    """
    live = {file.path for file in tables.files(folder)}
    old = [file for unit in joined for file in unit.files]
    if not live.issuperset(file.path for file in old) or sum(file.rows for file in staged) != sum(file.rows for file in old):
        return False
    added = [tables.move_in(file, folder / Path(file.path).name, schema, data_change=False) for file in staged]
    stamp = max(action.modification_time for action in added)
    removed = [RemoveAction(Path(file.path).name, False, stamp, place(file.path).stat().st_size) for file in old]
    tables.commit(folder, [*removed, *added], schema, night, "append", APPLICATION)
    reach(f"fold.committed:{folder.name}")
    return True


def sweep(folder: Path, night: int) -> int:
    """Remove files that the table does not name any more: those folded or replaced before night `night` was settled, which nobody can be reading.

    The caller holds the workspace. Returns how many were removed.
    """
    table = tables.opened(folder)
    if table is None or night <= tables.last_of(table, APPLICATION):
        return 0
    live = {file.path for file in tables.files_of(table, folder)}
    gone = [path for path in sorted(folder.glob("*.parquet")) if str(path) not in live and is_over(path, night)]
    for path in gone:
        reach(f"fold.sweep:{folder.name}", path)
        path.unlink()
    return len(gone)


def is_over(path: Path, night: int) -> bool:
    """Whether a file's last night lies before night `night`."""
    nights = nights_of(path)
    return nights is not None and nights[1] < night


def whole_from(folder: Path, night: int) -> Unit | None:
    """The longest fold that begins with a night and whose files all lie in a table's folder, with or without a log; of two alike the newer edition."""
    found: dict[tuple[int, int, int, int], list[Path]] = {}
    for path in sorted(folder.glob(f"fold-{night:06d}-*.parquet")):
        name = NAME.fullmatch(path.name)
        if name:
            key = int(name["first"]), int(name["last"]), int(name["edition"] or 1), int(name["count"])
            found.setdefault(key, []).append(path)
    whole = [(key, paths) for key, paths in found.items() if len(paths) == key[-1]]
    if not whole:
        return None
    (first, last, *_), paths = max(whole)
    return Unit(first, last, tuple(describe(path) for path in paths))


def describe(path: Path) -> TableFile:
    """A fold's file as a table's log has it."""
    scan, paths = pl.scan_parquet(path), [str(path)]
    if "bucket" not in tables.collected(scan.head(0), paths).columns:
        return TableFile(str(path), int(tables.collected(scan.select(pl.len()), paths).item()), 0, 0)
    ends = scan.select(pl.len(), pl.min("bucket").alias("first"), pl.max("bucket").alias("last"))
    rows, first, last = tables.collected(ends, paths).row(0)
    return TableFile(str(path), rows, first or 0, last or 0)


def take_in(folder: Path, whole: Unit, schema: pl.Schema, *, replace: bool = False) -> None:
    """Commit a fold that lies in a table's folder as what its nights wrote. replace: it is all that the table then has."""
    added = [tables.move_in(file, place(file.path), schema) for file in whole.files]
    tables.commit(folder, list(added), schema, whole.last, "overwrite" if replace else "append")


def between(files: Iterable[TableFile], first: int, last: int, staging: Path) -> Iterator[TableFile]:
    """What nights `first` to `last`, both included, wrote into a table; where a fold holds more, that is cut out of it and staged."""
    for file in files:
        low, high = nights_of(file.path) or (0, 0)
        if first <= low and high <= last:
            yield file
        elif low <= last and first <= high:
            path = staging / f"{Path(file.path).stem}-{first:06d}-{last:06d}.parquet"
            rows = pl.scan_parquet(file.path).filter(pl.col(SETTLED).is_between(first, last))
            yield tables.stage(path, tables.collected(rows, [file.path]))


def clear(folder: Path) -> None:
    """Remove what an attempt has left beside a table."""
    durable.remove(folder / FOLDING)
