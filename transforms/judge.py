"""Judge the facts that wait (R20, R35): which are new, which repeat, which break a rule."""

from collections.abc import Collection

import polars as pl

from schemas.frames import FACTS
from schemas.personnummer import valid

SAME = "SAME"
NOT_COMPARED = ("bucket", "person", "personnummer", "reason", "recorded_at", "source_run", "arrival")
KEY = ("person", "benefit", "fact_id", "version")


def fault(benefit: pl.Expr, overlapping_allowed: Collection[str]) -> pl.Expr:
    """The first code of R35 that one record has by itself, else null.

    benefit: the drop's benefit; overlapping_allowed: the benefits whose spans may overlap (unit WORKING_TIME).
    """
    first, last, spans = pl.col("period_from"), pl.col("period_to"), pl.col("spans")
    money = pl.col("kind").cast(pl.String).is_in(["PAYMENT", "RECOVERY_CLAIM"])
    extents = spans.list.eval(pl.element().struct.field("extent_permille").is_between(1, 1000))
    outside = spans.list.eval(pl.element().struct.field("last") < pl.element().struct.field("first")).list.any()
    before = spans.list.eval(pl.element().struct.field("first")).list.min() < first
    after = spans.list.eval(pl.element().struct.field("last")).list.max() > last
    by_first = spans.list.eval(pl.element().sort_by(pl.element().struct.field("first")))
    overlap = by_first.list.eval(
        pl.element().struct.field("last").cum_max().shift(1) >= pl.element().struct.field("first"),
    ).list.any()
    return (
        pl.when(~valid(pl.col("personnummer")))
        .then(pl.lit("INVALID_PERSONNUMMER"))
        .when(pl.col("benefit") != benefit)
        .then(pl.lit("WRONG_BENEFIT"))
        .when((pl.col("case_id") == "") | (pl.col("fact_id") == ""))
        .then(pl.lit("MISSING_FIELD"))
        .when((last < first).fill_null(False) | (money & (first.is_null() | last.is_null())))
        .then(pl.lit("INVALID_PERIOD"))
        .when(
            outside.fill_null(False)
            | before.fill_null(False)
            | after.fill_null(False)
            | (overlap.fill_null(False) & ~benefit.is_in(list(overlapping_allowed)))
        )
        .then(pl.lit("INVALID_SPAN"))
        .when(~extents.list.all().fill_null(True) | ~pl.col("extent_permille").is_between(1, 1000).fill_null(True))
        .then(pl.lit("INVALID_EXTENT"))
        .otherwise(None)
    )


def judge(waiting: pl.DataFrame, held: pl.DataFrame, overlapping_allowed: Collection[str]) -> pl.DataFrame:
    """Add `code` to waiting facts: null = new and sound, SAME = a repeat (R20), else the reason for rejection (R35).

    waiting: frames.FACTS and `drop_benefit`, of some buckets, every drop judged as if those before it were consumed.
    held: frames.FACTS that the store has of the same persons. Result: sorted by bucket, person, benefit, fact_id, version and arrival.
    """
    judged = waiting.with_columns(fault(pl.col("drop_benefit"), overlapping_allowed).alias("code"))
    judged = judged.sort("bucket", "person", "benefit", "fact_id", "version", "arrival")
    sound = judged.lazy().filter(pl.col("code").is_null())
    known = held.lazy().select(*KEY).unique()
    repeated = sound.filter(pl.struct(KEY).is_duplicated()).select(*KEY).unique()
    known_again = sound.select(*KEY).unique().join(known, on=KEY, how="semi")
    doubtful = pl.concat([repeated, known_again]).unique().collect()
    if doubtful.is_empty():
        return judged
    verdicts = compare_twins(
        judged.filter(pl.col("code").is_null()).join(doubtful, on=KEY, how="semi"), held.join(doubtful, on=KEY, how="semi")
    )
    return (
        judged.join(verdicts, on="arrival", how="left", maintain_order="left")
        .with_columns(pl.coalesce("code", "twin").alias("code"))
        .drop("twin")
    )


def compare_twins(waiting: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """(arrival, twin) of waiting facts whose key and version are there already: SAME or VERSION_CONFLICT.

    Held records are the measure; where there are none, the first to arrive is new and is the measure for the others.
    """
    content = [name for name in FACTS if name not in (*NOT_COMPARED, *KEY)]
    everything = pl.concat([waiting.select(list(FACTS)).with_columns(waits=True), held.select(list(FACTS)).with_columns(waits=False)])
    first_waiting = (pl.col("arrival") == pl.col("arrival").min().over(KEY)) & pl.col("waits").all().over(KEY)
    everything = everything.with_columns((~pl.col("waits") | first_waiting).alias("measure"), pl.struct(content).alias("content"))
    measures = everything.filter("measure").select(*KEY, pl.col("content").alias("measured"))
    others = everything.filter("waits", ~pl.col("measure")).select(*KEY, "arrival", "content")
    return (
        others.join(measures, on=KEY)
        .group_by("arrival")
        .agg((pl.col("content").eq_missing(pl.col("measured"))).any().alias("same"))
        .select("arrival", pl.when("same").then(pl.lit(SAME)).otherwise(pl.lit("VERSION_CONFLICT")).alias("twin"))
    )
