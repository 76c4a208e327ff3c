"""What was told to a person whose key ceased counts as told to the one that stays, and no more than that (R12, R15)."""

import polars as pl

from schemas.frames import SUBSCRIPTION_KEY, TOLD


def carry_told(told: pl.DataFrame, active: pl.DataFrame, night: int) -> pl.DataFrame:
    """The part of a ledger that counts, as of a night: the newest row of each fact of the active subscriptions, since their last snapshot.

    told: frames.TOLD of the keys that ceased; active: frames.SUBSCRIPTIONS of the same keys, without those that have ended. What was told to a
    subscription that has ended is forgotten, and must not be found under the key that stays: the subscriptions that move get `night` as their
    snapshot_night, so that older rows under that key do not count for them either. Result: frames.TOLD, under the old keys.
    """
    counting = told.join(active.select(*SUBSCRIPTION_KEY, "snapshot_night"), on=SUBSCRIPTION_KEY).filter(
        pl.col("night") >= pl.col("snapshot_night")
    )
    newest = counting.sort(*SUBSCRIPTION_KEY, "fact_id", "night").unique([*SUBSCRIPTION_KEY, "fact_id"], keep="last", maintain_order=True)
    return newest.with_columns(pl.lit(night, pl.Int32()).alias("night")).select(list(TOLD))


def with_carried(told: pl.DataFrame, carried: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """A night's rows of the ledger: what it has told itself, and what was carried over.

    told, carried: frames.TOLD; said: at least partner, person, benefit and action of the night's records. A snapshot in the night of the merge says
    everything anew: what it left out is not known any more (R23). What counts no more after the night gets the number of the night before, and is
    history. Result: frames.TOLD, by bucket, person, benefit, fact, partner and night.
    """
    snapped = said.filter(pl.col("action").cast(pl.String()).is_in(["SNAPSHOT", "EMPTY"]))
    counting = carried.join(snapped, on=SUBSCRIPTION_KEY, how="anti").join(told, on=[*SUBSCRIPTION_KEY, "fact_id"], how="anti")
    history = carried.join(counting, on=[*SUBSCRIPTION_KEY, "fact_id"], how="anti").with_columns(pl.col("night") - 1)
    return pl.concat([told, counting, history]).sort("bucket", "person", "benefit", "fact_id", "partner", "night")
