"""Which decision decides which days of a payment (R30): what `compensate` works with, for whoever asks why."""

import polars as pl

from transforms.compensate import ranges, rank_decisions, rule

DECIDED = pl.Schema(
    {
        "person": pl.String(),
        "benefit": pl.String(),
        "payment": pl.String(),
        "decision": pl.String(),
        "first": pl.Date(),
        "last": pl.Date(),
    }
)


def attribute(facts: pl.DataFrame) -> pl.DataFrame:
    """Name, for each payment, the deciding decisions and their days; days that no decision covers are left out.

    facts: held facts (frames.FACTS and `unit`), withdrawn ones too, sorted by person and benefit. Result: DECIDED, by payment and day.
    """
    pair = pl.struct("person", "benefit").rle_id().alias("pair")
    shown = facts.with_columns(pair).filter(~pl.col("withdrawn")).with_row_index("row")
    ranged = ranges(shown)
    payments = ranged.filter(pl.col("kind") == "PAYMENT", pl.col("unit") != "EVENT")
    reigns = rule(payments, rank_decisions(shown, ranged))
    named = reigns.join(shown.select("row", "person", "benefit", pl.col("fact_id").alias("payment")), on="row").join(
        shown.select(pl.col("row").alias("decision"), pl.col("fact_id").alias("named")), on="decision"
    )
    days = named.with_columns(pl.col("named").alias("decision"), pl.col("first").cast(pl.Date()), pl.col("last").cast(pl.Date()))
    return days.select(list(DECIDED)).sort("person", "benefit", "payment", "first")
