"""What the deliveries in the outbox say of facts: each record by its place, with the digest of its content."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.side_by_side import Description
from schemas.buckets import FIRST_RECORD_NO
from schemas.contracts import DELIVERY_RECORD
from storage import avro, tables
from storage.delivered import naming
from storage.place import place
from storage.tables import TableFile
from storage.workspace import Workspace
from transforms.digest import with_digest

READ_BACK_ROWS = 65_536  # records of a part that are digested at a time: 1.4 KB each at the worst moment, and two parts go at a time
# A delivered record. bucket: the record's, by its number.
DELIVERED = pl.Schema(
    {"bucket": pl.Int32(), "partner": pl.String(), "sequence": pl.Int32(), "record_no": pl.Int64(), "delivered": pl.Binary()}
)


@dataclass(frozen=True)
class PartFile(Description):
    """A part of a published delivery."""

    partner: str
    sequence: int
    path: str


def published(workspace: Workspace) -> list[PartFile]:
    """Every part that lies in the outbox, also of partners that conf does not have any more."""
    parts = sorted(workspace.outbox.glob("*/*/part-*.avro"))
    return [PartFile(path.parent.parent.name, int(path.parent.name), str(path)) for path in parts]


def digested(records: pl.DataFrame) -> pl.DataFrame:
    """Delivered records with `digest`, that of their content; `deviation` is its code alone."""
    return with_digest(records.with_columns(pl.col("deviation").struct.field("code").alias("deviation")))


def read_part(part: PartFile, rows_at_once: int) -> Iterator[pl.DataFrame]:
    """A part's records. BrokenFileError, which names it, when it is damaged."""
    path = place(part.path)
    with naming(path):
        yield from avro.batches(path, DELIVERY_RECORD, rows_at_once)


def stage_delivered(part: PartFile, folder: Path, rows_at_once: int = READ_BACK_ROWS) -> list[TableFile]:
    """Write a part's records that show a fact into a folder: DELIVERED."""
    staged = []
    for number, batch in enumerate(read_part(part, rows_at_once)):
        facts = batch.filter(pl.col("fact_id").is_not_null(), pl.col("action").cast(pl.String()) != "ANNULLED")
        rows = digested(facts).select(
            (pl.col("record_no") // FIRST_RECORD_NO).cast(pl.Int32()).alias("bucket"),
            pl.lit(part.partner).alias("partner"),
            pl.lit(part.sequence, pl.Int32()).alias("sequence"),
            "record_no",
            pl.col("digest").alias("delivered"),
        )
        name = f"{part.partner}-{part.sequence:08d}-{Path(part.path).stem}-{number:05d}.parquet"
        staged.append(tables.scratch(folder / name, rows))
    return staged
