"""Count compensated days the slow and obvious way, date by date (R30, R33)."""

import polars as pl


def count_days(payments: pl.DataFrame, decisions: pl.DataFrame, weekly: bool, layered: bool) -> pl.Series:
    """Units of each payment by the decisions that are held and not withdrawn. Both are frames of facts.DRAFT.

    weekly: at most five dates of an ISO week; layered: spans on one date count each.
    """
    rows = payments.select("person", "case", first="period_from", last="period_to").with_row_index("row")
    days = rows.with_columns(day=pl.date_ranges("first", "last")).explode("day").select("row", "person", "case", "day")
    by = decisions.select("person", "case", "period_from", "period_to", "recorded", "version", "nr", "spans")
    deciding = (
        days.join(by, on=["person", "case"])
        .filter((pl.col("day") >= pl.col("period_from")) & (pl.col("day") <= pl.col("period_to").fill_null(pl.date(9999, 12, 31))))
        .sort("row", "day", "recorded", "version", "nr")
        .unique(["row", "day"], keep="last", maintain_order=True)
    )
    spans = deciding.explode("spans").drop_nulls("spans").with_columns(pl.col("spans").struct.unnest())
    counted = spans.filter(~pl.col("waiting") & (pl.col("day") >= pl.col("first")) & (pl.col("day") <= pl.col("last"))).select("row", "day")
    dates = counted if layered else counted.unique()
    if weekly:
        weeks = dates.group_by("row", pl.col("day").dt.truncate("1w")).len()
        units = weeks.group_by("row").agg(units=pl.min_horizontal("len", 5).sum())
    else:
        units = dates.group_by("row").agg(units=pl.len())
    return rows.join(units, on="row", how="left", maintain_order="left")["units"].fill_null(0).cast(pl.Int32)
