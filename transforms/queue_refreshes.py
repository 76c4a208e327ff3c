"""Whose turn it is: the queue of refreshes, worked off first come, first served, under each partner's throttle (R17)."""

from collections.abc import Mapping

import polars as pl

from schemas.frames import SUBSCRIPTION_KEY

QUEUE = pl.Schema(
    {
        "bucket": pl.Int32(),
        "refresh": pl.Int64(),
        "partner": pl.String(),
        "person": pl.String(),
        "benefit": pl.String(),
        "state": pl.Enum(["READY", "PASSED", "GONE"]),
    }
)


def choose_slice(queue: pl.DataFrame, current: list[str], throttles: Mapping[str, int], first_buckets: int) -> pl.DataFrame:
    """The members of tonight's slices, of each partner at most its throttle of persons.

    queue: QUEUE, every member that waits: READY, PASSED (frozen, or gets another snapshot) or GONE (no subscription any more).
    current: benefits that are not withheld; the groups of others stay. Refreshes are served in order, within one by bucket and person; a person
    counts once, and is served in full for the refreshes that have their turn. first_buckets: how many buckets there were at first; by these
    they are ordered, so that it does not change anybody's turn when buckets are doubled.
    """
    ready = queue.filter(pl.col("state") == "READY", pl.col("benefit").is_in(current)).sort(
        "partner", "refresh", pl.col("bucket") % first_buckets, "person", "benefit"
    )
    turns = ready.unique(["partner", "person"], keep="first", maintain_order=True).select(
        "partner", "person", pl.col("person").cum_count().over("partner").alias("turn")
    )
    room = pl.col("partner").replace_strict(throttles, default=0, return_dtype=pl.Int64)
    chosen = ready.join(turns, on=["partner", "person"], maintain_order="left").filter(pl.col("turn") <= room)
    unserved = ready.join(chosen, on=["partner", "person"], how="anti").group_by("partner").agg(pl.min("refresh").alias("stuck"))
    return (
        chosen.join(unserved, on="partner", how="left", maintain_order="left")
        .filter(pl.col("stuck").is_null() | (pl.col("refresh") <= pl.col("stuck")))
        .drop("turn", "stuck")
    )


def settle_queue(queue: pl.DataFrame, chosen: pl.DataFrame, current: list[str]) -> pl.DataFrame:
    """The members that wait no longer: served tonight by this or another refresh, passed over, or gone."""
    served = queue.join(chosen.select(SUBSCRIPTION_KEY), on=SUBSCRIPTION_KEY, how="semi")
    over = queue.filter((pl.col("state") == "GONE") | ((pl.col("state") == "PASSED") & pl.col("benefit").is_in(current)))
    return pl.concat([served, over])
