"""Reading a table: which rows, in which order, and how much of its files is read for them."""

from pathlib import Path

import polars as pl
import pytest

from schemas.buckets import bucket_of
from storage import tables
from storage.tables import FEW, ROW_GROUP_ROWS, TableFile

SCHEMA = pl.Schema({"bucket": pl.Int32(), "person": pl.String(), "value": pl.Int64()})
BUCKETS = 4
EACH = 20  # rows of a person


def rows_of_persons(count: int) -> pl.DataFrame:
    """A table of `count` persons, each with EACH rows."""
    persons = pl.DataFrame({"person": [f"p{number:06d}" for number in range(count)]})
    keyed = persons.with_columns(bucket_of(pl.col("person"), BUCKETS).alias("bucket"))
    rows = keyed.join(pl.DataFrame({"nth": range(EACH)}), how="cross").with_columns(value=pl.int_range(pl.len(), dtype=pl.Int64()))
    return rows.select(list(SCHEMA)).sort("bucket", "person", maintain_order=True)


@pytest.fixture
def table(tmp_path: Path) -> list[TableFile]:
    """Two files: one of the first two buckets, one of the others; each with several row groups to a bucket."""
    rows = rows_of_persons(ROW_GROUP_ROWS)
    halves = [rows.filter(pl.col("bucket") < 2), rows.filter(pl.col("bucket") >= 2)]
    return [tables.stage(tmp_path / f"{number}.parquet", half) for number, half in enumerate(halves)]


def asked(table: list[TableFile], count: int) -> pl.DataFrame:
    """(bucket, person) of some persons that are there, spread over the table, and of one that is not."""
    there = pl.concat([pl.read_parquet(file.path) for file in table]).select("bucket", "person").unique().sort("person")
    nobody = pl.DataFrame({"person": ["nobody"]}).select(bucket_of(pl.col("person"), BUCKETS).alias("bucket"), "person")
    return pl.concat([there.gather_every(there.height // count)[:count], nobody])


def bytes_read() -> int:
    """How much this process has read so far, as the kernel counts it."""
    said = dict(line.split(": ") for line in Path("/proc/self/io").read_text("utf-8").splitlines())
    return int(said["rchar"])


@pytest.mark.parametrize("count", [1, 7, FEW, 3 * FEW])
def test_the_rows_of_some_persons_are_theirs_in_the_order_of_the_table(table: list[TableFile], count: int) -> None:
    who = asked(table, count)
    expected = tables.read(table, SCHEMA, persons=who["person"])
    assert expected.height == count * EACH
    assert tables.read_of(table, SCHEMA, who).equals(expected)


def test_nobody_has_no_rows(table: list[TableFile]) -> None:
    nobody = asked(table, 1).clear()
    assert tables.read_of(table, SCHEMA, nobody).equals(pl.DataFrame(schema=SCHEMA))


def test_for_one_person_one_row_group_is_read_and_no_other_file_is_opened(table: list[TableFile]) -> None:
    who = asked(table[:1], 1)[:1]
    Path(table[1].path).unlink()
    before = bytes_read()
    assert tables.read_of(table, SCHEMA, who).height == EACH
    assert bytes_read() - before < Path(table[0].path).stat().st_size / 3
