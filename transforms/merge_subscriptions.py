"""When two persons become one, so do their subscriptions (R12)."""

from collections.abc import Mapping

import polars as pl

from schemas.frames import SUBSCRIPTION_KEY


def merge_subscriptions(standing: pl.DataFrame, moves: Mapping[str, str]) -> pl.DataFrame:
    """Keep one subscription of each (partner, person, benefit).

    standing: frames.SUBSCRIPTIONS, the rows of `moves` under their new key already. The earliest from_date remains as it is (tie: no end before
    an end, then the later end); what was told to either counts as told to the one that stays.
    """
    if not moves:
        return standing
    ranked = standing.sort(
        *SUBSCRIPTION_KEY,
        "from_date",
        pl.col("end_date").is_not_null(),
        "end_date",
        descending=[False] * 5 + [True],
        maintain_order=True,
    )
    told = (
        ranked.filter(pl.struct(SUBSCRIPTION_KEY).is_duplicated())
        .group_by(SUBSCRIPTION_KEY)
        .agg(
            pl.col("numbers").explode().unique().sort().alias("all_numbers"),
            pl.col("deviation_number").drop_nulls().first().alias("any_deviation"),
        )
    )
    return (
        ranked.unique(SUBSCRIPTION_KEY, keep="first", maintain_order=True)
        .join(told, on=SUBSCRIPTION_KEY, how="left", maintain_order="left")
        .with_columns(
            pl.coalesce("all_numbers", "numbers").alias("numbers"),
            pl.coalesce("deviation_number", "any_deviation").alias("deviation_number"),
        )
        .drop("all_numbers", "any_deviation")
    )
