"""New decisions where a rule change touches old ones (R40)."""

from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from schemas.contracts import BENEFIT_FACT
from schemas.errors import RefusedError
from schemas.frames import FACTS
from schemas.rules import GuaranteeRules
from transforms.guarantee import yearly_guarantee
from transforms.hold import hold

BENEFIT = "FK:SA"
NEW, UNCHANGED, NO_PERSON, NO_YEARS, OUT_OF_RANGE = "NEW", "UNCHANGED", "NO_PERSON", "NO_YEARS", "OUT_OF_RANGE"
SKIPPED = (NO_PERSON, NO_YEARS, OUT_OF_RANGE)  # why no new decision can be made
MONEY = BENEFIT_FACT.frame["amount"]
LARGEST_SEK, LAST_VERSION = 9_999_999_999, (1 << 31) - 1  # that a fact can hold
RESULT = pl.Enum([NEW, UNCHANGED, *SKIPPED])
CASES = pl.Schema({"person": pl.String(), "case_id": pl.String()})
# A decision that a recalculation looked at. before, after: the monthly amount in kronor.
OUTCOMES = pl.Schema(
    {"bucket": pl.Int32(), "person": pl.String(), "case_id": pl.String(), "result": RESULT, "before": MONEY, "after": MONEY}
)


@dataclass(frozen=True)
class Rate:
    """What a recalculation reckons with: the rules, and the date on which the new decisions take effect."""

    rules: GuaranteeRules
    effective: date

    def __post_init__(self) -> None:
        """RefusedError when conf has no factor or no base amount for the date."""
        if self.rules.bands_on(self.effective) is None:
            raise RefusedError(f"R41: conf/rules/guarantee.yaml has no factor for {self.effective}")
        if self.rules.base_amount_on(self.effective) is None:
            raise RefusedError(f"R41: conf/rules/guarantee.yaml has no base amount for {self.effective.year}")


@dataclass(frozen=True)
class Recalculated:
    """decisions: frames.FACTS, `arrival` null, sorted by bucket, person and fact_id; outcomes: OUTCOMES, a row for each decision looked at."""

    decisions: pl.DataFrame
    outcomes: pl.DataFrame


def recalculate(
    facts: pl.DataFrame,
    rejected: pl.DataFrame,
    named: pl.DataFrame,
    rate: Rate,
    reason: str,
    source_run: str,
    recorded_at: datetime,
    done: pl.DataFrame,
) -> Recalculated:
    """Decide anew for every case that has a deciding decision with a guarantee on the effective date.

    facts: frames.FACTS of whole persons, all versions received; rejected: frames.FACTS and `drop_benefit` of rejected records; named: name_persons.NAMED;
    done: CASES that were looked at before.
    """
    received = facts.filter(pl.col("benefit") == BENEFIT)
    deciding = deciding_on(hold(received), rate.effective).filter(pl.col("guarantee").is_not_null())
    deciding = deciding.join(done, on=["person", "case_id"], how="anti", maintain_order="left")
    reckoned = reckon(with_version(deciding, received, rejected, rate.effective), named, rate)
    fresh = reckoned.filter(pl.col("result") == NEW)
    after = pl.when(pl.col("result") != OUT_OF_RANGE).then("monthly").cast(MONEY).alias("after")
    return Recalculated(
        decide(fresh, rate.effective, reason, source_run, recorded_at),
        reckoned.select("bucket", "person", "case_id", "result", pl.col("amount").alias("before"), after),
    )


def deciding_on(held: pl.DataFrame, on: date) -> pl.DataFrame:
    """The decision that decides in each case on a date (R30). held: as `hold` gives them."""
    covers = (pl.col("period_from").is_null() | (pl.col("period_from") <= on)) & (
        pl.col("period_to").is_null() | (pl.col("period_to") >= on)
    )
    standing = held.filter(pl.col("kind") == "DECISION", ~pl.col("withdrawn"), covers)
    ordered = standing.sort("recorded_at", "version", "fact_id")
    return ordered.unique(["person", "case_id"], keep="last").sort("bucket", "person", "fact_id")


def reckon(deciding: pl.DataFrame, named: pl.DataFrame, rate: Rate) -> pl.DataFrame:
    """Add `yearly` and `monthly` in kronor, and `result`. deciding: with `highest`, as `with_version` adds it."""
    bands, base = rate.rules.bands_on(rate.effective), rate.rules.base_amount_on(rate.effective)
    assert bands is not None
    assert base is not None
    guarantee = pl.col("guarantee").struct
    yearly = yearly_guarantee(
        pl.col("birth_date"),
        guarantee.field("insurance_years"),
        pl.col("extent_permille"),
        guarantee.field("income_related_yearly"),
        rate.effective,
        bands,
        base,
    )
    known = deciding.join(named.select("person", "birth_date"), on="person", how="left", maintain_order="left")
    result = (
        pl.when(pl.col("birth_date").is_null())
        .then(pl.lit(NO_PERSON))
        .when(pl.col("yearly").is_null())
        .then(pl.lit(NO_YEARS))
        .when(pl.col("monthly") == pl.col("amount"))
        .then(pl.lit(UNCHANGED))
        .when((pl.col("yearly") > LARGEST_SEK) | (pl.col("highest") == LAST_VERSION))
        .then(pl.lit(OUT_OF_RANGE))
        .otherwise(pl.lit(NEW))
    )
    return (
        known.with_columns(yearly.alias("yearly"))
        .with_columns((pl.col("yearly") // 12).alias("monthly"))
        .with_columns(result.cast(RESULT).alias("result"))
    )


def with_version(deciding: pl.DataFrame, received: pl.DataFrame, rejected: pl.DataFrame, effective: date) -> pl.DataFrame:
    """Add `refers_to`, the fact that a new decision is made of, `new_id`, and `highest`: the last version of that over all that was received, also
    what was rejected or withdrawn; 0 when there is none."""
    suffix = f"@{effective}"
    refused = rejected.filter(pl.col("drop_benefit") == BENEFIT)
    versions = pl.concat([rows.select("person", pl.col("fact_id").alias("new_id"), "version") for rows in (received, refused)])
    highest = versions.group_by("person", "new_id").agg(pl.max("version").alias("highest"))
    old = pl.col("fact_id").str.strip_suffix(suffix)
    placed = deciding.with_columns(old.alias("refers_to"), (old + suffix).alias("new_id"))
    return placed.join(highest, on=["person", "new_id"], how="left", maintain_order="left").with_columns(pl.col("highest").fill_null(0))


def decide(fresh: pl.DataFrame, effective: date, reason: str, source_run: str, recorded_at: datetime) -> pl.DataFrame:
    """The new decisions: frames.FACTS. fresh: the deciding ones, with what `with_version` and `reckon` add."""
    start = pl.lit(effective)
    span = pl.element().struct
    cut_span = pl.struct(
        pl.max_horizontal(span.field("first"), start).alias("first"),
        *(span.field(name) for name in ("last", "extent_permille", "level", "waiting")),
    )
    guarantee = pl.col("guarantee").struct
    renewed = fresh.with_columns(
        pl.col("new_id").alias("fact_id"),
        (pl.col("highest") + 1).cast(FACTS["version"]).alias("version"),
        pl.col("spans").list.eval(cut_span.filter(span.field("last") >= start)),
        pl.struct(
            guarantee.field("insurance_years"),
            guarantee.field("income_related_yearly"),
            pl.col("yearly").cast(MONEY).alias("yearly_amount"),
        ).alias("guarantee"),
        pl.col("monthly").cast(MONEY).alias("amount"),
        start.alias("period_from"),
        pl.lit(reason).alias("reason"),
        pl.lit(source_run).alias("source_run"),
        pl.lit(recorded_at).cast(FACTS["recorded_at"]).alias("recorded_at"),
        pl.lit(None, FACTS["arrival"]).alias("arrival"),
    )
    return renewed.select(list(FACTS)).sort("bucket", "person", "fact_id")
