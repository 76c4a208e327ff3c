"""Leave out what a retracted source run brought: it counts as never received (R44)."""

from collections.abc import Sequence

import polars as pl

RETRACTED = pl.Schema({"source_run": pl.String(), "before": pl.Int64(), "retraction": pl.String(), "turn": pl.UInt32()})
GONE = ("person", "benefit", "fact_id")


def retractions_frame(retractions: Sequence[tuple[str, int, str]]) -> pl.DataFrame:
    """(source run, first arrival that is new again, reason) of each retraction, in the order in which they were given."""
    rows = [(*each, turn) for turn, each in enumerate(retractions)]
    return pl.DataFrame(rows, schema=RETRACTED, orient="row")


def retracted_rows(records: pl.DataFrame, retractions: pl.DataFrame) -> pl.DataFrame:
    """The records that were retracted, with `retraction`, the reason, and `turn`."""
    return records.join(retractions, on="source_run").filter(pl.col("arrival") < pl.col("before"))


def without_retracted(records: pl.DataFrame, retractions: pl.DataFrame) -> pl.DataFrame:
    """The records that still count."""
    if retractions.is_empty():
        return records
    return records.join(retracted_rows(records, retractions).select("arrival"), on="arrival", how="anti", maintain_order="left")


def gone_reasons(records: pl.DataFrame, retractions: pl.DataFrame) -> pl.DataFrame:
    """(person, benefit, fact_id, retraction): why a fact lost records; of several retractions the last one."""
    lost = retracted_rows(records, retractions).sort("turn")
    return lost.group_by(GONE).agg(pl.last("retraction"))
