"""Which groups are frozen by a rejected record (R36)."""

import polars as pl

FROZEN = pl.Schema({"person": pl.String, "benefit": pl.String, "frozen": pl.String})


def freeze(rejected: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """(person, benefit, frozen): the code of the first rejected record that still freezes. The arguments are those of `freezing`."""
    first = freezing(rejected, held).group_by("person", pl.col("drop_benefit").alias("benefit"), maintain_order=True)
    return first.agg(pl.first("code").alias("frozen"))


def freezing(rejected: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """The rejected records that freeze their person and benefit, as they arrived.

    rejected: frames.QUARANTINE without those that were released or retracted; held: frames.FACTS as `hold` gives them. A record freezes until
    a valid one of the same fact holds with an equal or higher version (after a VERSION_CONFLICT: higher).
    """
    versions = held.select("person", pl.col("benefit").alias("drop_benefit"), "fact_id", pl.col("version").alias("held_version"))
    has, rejected_version = pl.col("held_version"), pl.col("version")  # one more than the highest version that there is would be no version
    cured = (has > rejected_version) | ((has == rejected_version) & (pl.col("code") != "VERSION_CONFLICT"))
    return (
        rejected.filter(pl.col("code") != "INVALID_PERSONNUMMER")
        .join(versions, on=["person", "drop_benefit", "fact_id"], how="left")
        .filter(~cured.fill_null(False))
        .sort("arrival")
    )
