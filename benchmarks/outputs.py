"""Are they the same records? Outputs are compared as multisets of digests over what a partner learns; order and record numbers do not count."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from polars_avro._avro_rs import AvroSource
from polars_hash import hash_rows

from schemas.contracts import DELIVERY_RECORD

READ_ROWS = 65_536
NOT_COMPARED = ("record_no", "supersedes")
SHOWN = 5
SHOWN_COLUMNS = ("partner", "benefit", "action", "fact_id", "version", "kind", "period_from", "period_to", "windows", "units", "deviation")


@dataclass(frozen=True)
class Outcome:
    """A multiset of records: how many, and the sum of their 128-bit digests as two halves."""

    records: int
    digest: tuple[int, int]


def batches(out: Path) -> Iterator[pl.DataFrame]:
    """The records below OUT/<partner>/, with `partner` and `digest`; a deviation is its code."""
    for path in sorted(out.rglob("part-*.avro")):
        partner = path.relative_to(out).parts[0].removeprefix("partner=")
        for batch in AvroSource([str(path)], False, False).batch_iter(READ_ROWS, None):
            frame = pl.DataFrame(batch).with_columns(pl.lit(partner).alias("partner"))
            wanted = {name: dtype for name, dtype in DELIVERY_RECORD.frame.items() if name not in NOT_COMPARED}
            known = frame.select("partner", *(pl.col(name).cast(dtype) for name, dtype in wanted.items()))
            known = known.with_columns(pl.col("deviation").struct.field("code").alias("deviation"))
            yield known.with_columns(hash_rows(*known.columns).nchash.murmur128(return_binary=True).alias("digest"))


def outcome(out: Path) -> Outcome:
    """Digest an output."""
    records, total = 0, np.zeros(2, np.uint64)
    for batch in batches(out):
        records += batch.height
        total += np.frombuffer(b"".join(batch["digest"]), np.uint64).reshape(-1, 2).sum(axis=0, dtype=np.uint64)
    return Outcome(records, (int(total[0]), int(total[1])))


def differences(one: Path, other: Path) -> str:
    """Say what two outputs do not share: how many records each has alone, by partner and benefit, and some of them."""
    frames = [pl.concat(batches(out)) for out in (one, other)]
    numbered = [frame.with_columns(copy=pl.int_range(pl.len()).over("digest")) for frame in frames]
    said = []
    for name, here, there in (("first", *numbered), ("second", *reversed(numbered))):
        alone = here.join(there, on=["digest", "copy"], how="anti")
        counted = alone.group_by("partner", "benefit", "action").len().sort("len", descending=True)
        with pl.Config(tbl_cols=20, fmt_str_lengths=60, tbl_width_chars=240, fmt_table_cell_list_len=6):
            said.append(
                f"only in the {name}: {alone.height}\n{counted.head(SHOWN)}\n{alone.select(SHOWN_COLUMNS).sort('fact_id').head(SHOWN)}"
            )
    return "\n".join(said)
