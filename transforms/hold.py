"""Which record of each fact holds (R20)."""

import polars as pl

FACT_KEY = ("person", "benefit", "fact_id")


def hold(facts: pl.DataFrame) -> pl.DataFrame:
    """One row per fact: the highest version; of equal ones the later recorded_at, then the later arrival.

    facts: frames.FACTS. Result: sorted by bucket, person, benefit and fact_id.
    """
    ordered = facts.sort("bucket", *FACT_KEY, "version", "recorded_at", "arrival")
    return ordered.filter(pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(-1)) for name in FACT_KEY))
