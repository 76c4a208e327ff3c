"""Judge the facts that wait (R20, R35): which are new, which repeat, which break a rule."""

from collections.abc import Collection
from datetime import date

import polars as pl

from schemas.frames import FACTS
from schemas.personnummer import valid

NEW, SAME = "NEW", "SAME"  # what a record is that no rule rejects: it says something, or repeats what is there
NEVER = pl.lit(False)
CALENDAR = (date.min, date.max)  # Avro's dates reach further than the years 1 to 9999, which receivers can read
NOT_COMPARED = ("bucket", "person", "personnummer", "reason", "recorded_at", "source_run", "arrival")
KEY = ("person", "benefit", "fact_id", "version")
NO_SPAN_FAULTS = (pl.lit(None, pl.Boolean()).alias("misplaced"), pl.lit(None, pl.Boolean()).alias("excessive"))


def with_fault(waiting: pl.DataFrame, overlapping_allowed: Collection[str], premature: pl.Expr) -> pl.DataFrame:
    """Add `code`: the first reason of R35 that a record has by itself, else null.

    waiting: frames.FACTS and `drop_benefit`; overlapping_allowed: the benefits whose spans may overlap (unit WORKING_TIME); premature: R45, never null.
    """
    first, last, benefit = pl.col("period_from"), pl.col("period_to"), pl.col("drop_benefit")
    money = pl.col("kind").is_in(pl.Series(["PAYMENT", "RECOVERY_CLAIM"], dtype=FACTS["kind"]).implode())
    numbers = waiting.select(pl.col("personnummer").unique()).filter(~valid(pl.col("personnummer")))["personnummer"]
    spans = span_faults(waiting.select("arrival", "drop_benefit", "period_from", "period_to", "spans"), overlapping_allowed)
    extent = pl.col("extent_permille")
    code = (
        pl.when(pl.col("personnummer").is_in(numbers.implode()))
        .then(pl.lit("INVALID_PERSONNUMMER"))
        .when(pl.col("benefit") != benefit)
        .then(pl.lit("WRONG_BENEFIT"))
        .when((pl.col("case_id") == "") | (pl.col("fact_id") == ""))
        .then(pl.lit("MISSING_FIELD"))
        .when((last < first) | (money & (first.is_null() | last.is_null())) | ~first.is_between(*CALENDAR) | ~last.is_between(*CALENDAR))
        .then(pl.lit("INVALID_PERIOD"))
        .when("misplaced")
        .then(pl.lit("INVALID_SPAN"))
        .when(pl.col("excessive") | ~extent.is_between(1, 1000))
        .then(pl.lit("INVALID_EXTENT"))
        .when(premature)
        .then(pl.lit("PREMATURE_BLOCK"))
    )
    judged = waiting.join(spans, on="arrival", how="left", maintain_order="left") if spans.height else waiting.with_columns(NO_SPAN_FAULTS)
    return judged.with_columns(code.alias("code")).drop("misplaced", "excessive")


def span_faults(records: pl.DataFrame, overlapping_allowed: Collection[str]) -> pl.DataFrame:
    """(arrival, misplaced, excessive) of the records that have a span with a fault: INVALID_SPAN, INVALID_EXTENT."""
    spans = records.explode("spans").unnest("spans").sort("arrival", "first")
    again = pl.col("arrival") == pl.col("arrival").shift()
    overlaps = again & (pl.col("first") <= pl.col("last").shift()) & ~pl.col("drop_benefit").is_in(list(overlapping_allowed))
    outside = (pl.col("last") < pl.col("first")) | (pl.col("first") < pl.col("period_from")) | (pl.col("last") > pl.col("period_to"))
    nowhere = ~pl.col("first").is_between(*CALENDAR) | ~pl.col("last").is_between(*CALENDAR)
    marked = spans.select(
        "arrival",
        (outside | nowhere | overlaps).alias("misplaced"),
        (~pl.col("extent_permille").is_between(1, 1000)).alias("excessive"),
    )
    return marked.filter(pl.col("misplaced") | pl.col("excessive")).group_by("arrival").agg(pl.any("misplaced", "excessive"))


def judge(waiting: pl.DataFrame, held: pl.DataFrame, overlapping_allowed: Collection[str], premature: pl.Expr = NEVER) -> pl.DataFrame:
    """Add `code` to waiting facts: null = new and sound, SAME = a repeat (R20), else the reason for rejection (R35).

    waiting: frames.FACTS and `drop_benefit`, of some buckets, every drop judged as if those before it were consumed.
    held: frames.FACTS that the store has in the same versions, and maybe more; premature: which of the waiting facts R45 rejects.
    Result: sorted by bucket, person, benefit, fact_id, version and arrival.
    """
    judged = with_fault(waiting, overlapping_allowed, premature).sort("bucket", "person", "benefit", "fact_id", "version", "arrival")
    sound = judged.lazy().filter(pl.col("code").is_null())
    again = pl.all_horizontal(pl.col(name) == pl.col(name).shift() for name in KEY)  # judged is sorted by KEY
    repeated = sound.select(*KEY).filter(again)
    known_again = sound.select(*KEY).join(held.lazy(), on=KEY, how="semi")
    doubtful = pl.concat([repeated, known_again]).collect()
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
    others = everything.filter(~pl.col("measure")).select(*KEY, "arrival", "content")
    return (
        others.join(measures, on=KEY)
        .group_by("arrival")
        .agg((pl.col("content").eq_missing(pl.col("measured"))).any().alias("same"))
        .select("arrival", pl.when("same").then(pl.lit(SAME)).otherwise(pl.lit("VERSION_CONFLICT")).alias("twin"))
    )
