"""Reading a table: which rows, in which order, and how much of its files is read for them."""

from pathlib import Path

import polars as pl
import pytest
from pyarrow.parquet import ParquetFile

from pipelines.ingest import group_rows
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


def test_files_of_several_tables_are_read_for_what_they_have_in_common(table: list[TableFile], tmp_path: Path) -> None:
    wider = rows_of_persons(3).with_columns(also=pl.lit("x")).select("also", *SCHEMA)
    other = tables.scratch(tmp_path / "wider [1].parquet", wider)  # brackets in a path are no pattern
    read = tables.read([table[0], other], SCHEMA)
    assert read.equals(pl.concat([tables.read(table[:1], SCHEMA), wider.select(list(SCHEMA))]))


@pytest.mark.parametrize(("buckets", "most_decoded"), [(64, ROW_GROUP_ROWS), (512, 2_048), (8_192, 2_048)])
def test_a_piece_is_decoded_for_a_bucket_by_a_few_rows_and_not_by_as_many_as_any_table(
    tmp_path: Path, buckets: int, most_decoded: int
) -> None:
    keyed = rows_of_persons(ROW_GROUP_ROWS).with_columns(bucket_of(pl.col("person"), buckets).alias("bucket")).sort("bucket", "person")
    piece = tables.scratch(tmp_path / "piece.parquet", keyed, group_rows(buckets))
    groups = ParquetFile(piece.path).metadata
    assert max(groups.row_group(number).num_rows for number in range(groups.num_row_groups)) == most_decoded
    last = buckets - 1
    assert tables.read([piece], SCHEMA, (last, last)).equals(keyed.filter(pl.col("bucket") == last))
