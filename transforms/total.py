"""Control totals: what is counted on the way in and again on the way out, per bucket and benefit, so that nothing is lost unseen (S08)."""

import polars as pl

PLACE = ("bucket", "benefit")
TOTAL = pl.Schema({"bucket": pl.Int32(), "benefit": pl.String(), "facts": pl.Int64(), "days": pl.Int64()})
UNEQUAL = pl.Schema({**TOTAL, "facts_other": pl.Int64(), "days_other": pl.Int64()})
DAYS = (pl.col("last") - pl.col("first")).dt.total_days() + 1


def total_facts(facts: pl.DataFrame) -> pl.DataFrame:
    """Facts and days of all their spans: TOTAL. facts: at least bucket, benefit and spans."""
    days = facts.select(*PLACE, "spans").explode("spans").unnest("spans")
    counted = facts.group_by(PLACE).agg(pl.len().cast(pl.Int64()).alias("facts"))
    return with_days(counted, days)


def total_decided(held: pl.DataFrame) -> pl.DataFrame:
    """Decisions that hold and days of their spans that are compensated: what their windows must come to (R30). TOTAL."""
    decisions = held.filter(pl.col("kind") == "DECISION", ~pl.col("withdrawn"), pl.col("unit") != "EVENT")
    spans = decisions.select(*PLACE, "spans").explode("spans").unnest("spans")
    return with_days(decisions.group_by(PLACE).agg(pl.len().cast(pl.Int64()).alias("facts")), spans.filter(~pl.col("waiting")))


def total_windows(contents: pl.DataFrame) -> pl.DataFrame:
    """Decisions with windows and the days of these: TOTAL."""
    decisions = contents.filter(pl.col("kind") == "DECISION", pl.col("unit") != "EVENT")
    windows = decisions.select(*PLACE, "windows").explode("windows").unnest("windows")
    return with_days(decisions.group_by(PLACE).agg(pl.len().cast(pl.Int64()).alias("facts")), windows)


def with_days(counted: pl.DataFrame, ranges: pl.DataFrame) -> pl.DataFrame:
    """Counts with the days of some ranges beside them, sorted."""
    days = ranges.group_by(PLACE).agg(DAYS.sum().alias("days"))
    return counted.join(days, on=PLACE, how="left").with_columns(pl.col("days").fill_null(0)).select(list(TOTAL)).sort(PLACE)


def unequal(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """The places where two totals differ, with facts and days of both: UNEQUAL. Empty when all is well."""
    both = one.join(other, on=PLACE, how="full", coalesce=True, suffix="_other").with_columns(pl.exclude(PLACE).fill_null(0))
    return both.filter((pl.col("facts") != pl.col("facts_other")) | (pl.col("days") != pl.col("days_other"))).sort(PLACE)
