"""What has outlived the schedule of conf/retention.yaml: of each table the rows that stay when all that is too old is gone."""

from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache

import polars as pl

from pipelines.bites import Bite, load
from pipelines.plan import Plan
from pipelines.view import TOLD_KEY
from schemas.config import Retention
from schemas.frames import (
    FACTS,
    IDENTITIES,
    MEMBER_KEY,
    MEMBERS,
    QUARANTINE,
    RUNS,
    SUBSCRIPTION_KEY,
    SUBSCRIPTION_ROWS,
    TOLD,
)
from storage import tables
from storage.thin import Chosen, Left
from transforms.freeze import freezing
from transforms.hold import hold


def limit(plan: Plan, days: int) -> date:
    """The last business date that is `days` or more before the last night."""
    return date.fromordinal(max(1, plan.business_date.toordinal() - days)) if plan.night > 1 else date.min


def last_night(plan: Plan, days: int) -> int:
    """The last night that is `days` or more before the last one; 0 when there is none."""
    runs = tables.read(plan.files["runs"], RUNS).filter(pl.col("business_date") <= limit(plan, days))
    return int(runs["night"].max() or 0)  # type: ignore[arg-type]  # Int32 values


def scheduled(plan: Plan, retention: Retention) -> dict[str, Chosen]:
    """What stays of each table when all that is too old is gone."""
    over = ended(plan, last_night(plan, retention.subscriptions.days))
    replaced = last_night(plan, retention.ledger.days)
    rejected = last_night(plan, retention.quarantine.days)

    def told(first: int, last: int) -> Left:
        gone, since = over(first, last), holding(plan, "told", TOLD, TOLD_KEY, replaced, first, last)
        return lambda rows: from_then_on(without(rows, gone), since, TOLD_KEY)

    def subscriptions(first: int, last: int) -> Left:
        gone, since = over(first, last), holding(plan, "subscriptions", SUBSCRIPTION_ROWS, SUBSCRIPTION_KEY, replaced, first, last)
        return lambda rows: from_then_on(without(rows, gone), since, SUBSCRIPTION_KEY)

    def members(first: int, last: int) -> Left:
        gone, since = over(first, last), holding(plan, "members", MEMBERS, MEMBER_KEY, replaced, first, last, done=~pl.col("waits"))
        return lambda rows: from_then_on(without(rows, gone), since, MEMBER_KEY)

    def quarantine(first: int, last: int) -> Left:
        still = freezing_arrivals(plan, first, last)
        return lambda rows: rows.filter((pl.col("night") > rejected) | pl.col("arrival").is_in(still.implode()))

    return {"told": told, "members": members, "quarantine": quarantine, "subscriptions": subscriptions}


def ended(plan: Plan, night: int) -> Callable[[int, int], pl.DataFrame]:
    """The keys of subscriptions that had ended by a night, by run of buckets."""

    @lru_cache(maxsize=2)
    def keys(first: int, last: int) -> pl.DataFrame:
        rows = tables.newest(tables.read(plan.files["subscriptions"], SUBSCRIPTION_ROWS, (first, last)), SUBSCRIPTION_KEY)
        return rows.filter("gone", pl.col("night") <= night).select(SUBSCRIPTION_KEY)

    return keys


def without(rows: pl.LazyFrame, keys: pl.DataFrame) -> pl.LazyFrame:
    """Rows of other subscriptions than these."""
    return rows.join(keys.lazy(), on=SUBSCRIPTION_KEY, how="anti", maintain_order="left")


def holding(
    plan: Plan,
    name: str,
    schema: pl.Schema,
    key: Sequence[str],
    night: int,
    first: int,
    last: int,
    done: pl.Expr | None = None,
) -> pl.DataFrame:
    """Of each key that had several rows by a night, the night (`since`) of the one that held then. done: when it held nothing any more: none is needed."""
    of = pl.Schema(
        {each: schema[each] for each in dict.fromkeys(["bucket", *key, "night", *(done.meta.root_names() if done is not None else ())])}
    )
    rows = tables.read(plan.files[name], of, (first, last)).filter(pl.col("night") <= night).sort("night", maintain_order=True)
    over = pl.lit(False) if done is None else done
    grouped = rows.with_columns(over.alias("over")).group_by(list(key)).agg(pl.max("night").alias("since"), pl.last("over"))
    return grouped.select(*key, (pl.col("since") + pl.col("over").cast(pl.Int32())).alias("since"))


def from_then_on(rows: pl.LazyFrame, since: pl.DataFrame, key: Sequence[str]) -> pl.LazyFrame:
    """Rows without those of nights before `since`."""
    joined = rows.join(since.lazy(), on=list(key), how="left", maintain_order="left")
    return joined.filter(pl.col("since").is_null() | (pl.col("night") >= pl.col("since"))).drop("since")


def freezing_arrivals(plan: Plan, first: int, last: int) -> pl.Series:
    """The rejected records that still freeze somebody (R36)."""
    bite = Bite(first, last)
    ceased = tables.read(plan.files["identities"], IDENTITIES)["number"].unique()  # what lies under such a key has moved
    rejected = load(plan, "quarantine", QUARANTINE, bite).filter(~pl.col("person").is_in(ceased.implode()).fill_null(False))
    rejected = tables.newest(rejected, ["arrival"])
    held = hold(load(plan, "facts", FACTS, bite, persons=rejected["person"].drop_nulls().unique().sort()))
    return freezing(rejected, held)["arrival"]
