"""Windows, units and deviations for bare Polars (R30-R34): one benefit at a time, so that its unit is known. Written for speed alone.

Facts are numbered by `row`; sums and counts by row are numpy's bincount, running values by row are one running value over
row * STEP + value, since grouped ones are slow.
"""

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from schemas.frames import WINDOWS

STEP = 1 << 32
DAY_UNITS = ("CALENDAR_DAY", "FIVE_DAY_WEEK", "WORKING_TIME")
PIECES = ("row", "first", "last", "extent", "level")


def compensate(facts: pl.DataFrame, unit: str) -> pl.DataFrame:
    """Give the held facts of a benefit that are not withdrawn their `windows`, `units` and `deviation`."""
    shown = facts.filter(~pl.col("withdrawn")) if facts["withdrawn"].any() else facts
    shown = shown.with_row_index("row")
    decisions = shown.filter(pl.col("kind") == "DECISION")
    payments = shown.filter(pl.col("kind") == "PAYMENT").select(
        "row", "person", "case_id", *ends("period_from", "period_to"), "extent_permille"
    )
    spans = spans_of(decisions)
    overlaps = overlap(payments, decisions)
    if unit == "EVENT":
        windows = spans.clear().drop("waiting").with_columns(units=pl.lit(0, pl.Int32))
    else:
        pieces = pl.concat([spans.filter(~pl.col("waiting")).select(PIECES), within(overlaps, spans)])
        if unit == "MONTH":
            pieces = pl.concat([pieces, without_spans(payments, decisions, spans)])
        windows = count(join_neighbours(layer(pieces) if unit == "WORKING_TIME" else pieces), unit)
    return attach(facts, shown, windows, overlaps, unit)


def ends(first: str, last: str) -> list[pl.Expr]:
    """Both ends as day numbers."""
    return [pl.col(first).cast(pl.Int32).alias("first"), pl.col(last).cast(pl.Int32).alias("last")]


def spans_of(decisions: pl.DataFrame) -> pl.DataFrame:
    """(row, first, last, extent, level, waiting) of the decisions' spans."""
    exploded = decisions.select("row", "spans").explode("spans", empty_as_null=False).unnest("spans")
    return exploded.select("row", *ends("first", "last"), pl.col("extent_permille").alias("extent"), "level", "waiting")


def overlap(payments: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """(row, decision, first, last, and what ranks it): where payments and decisions of a case lie over each other."""
    deciding = decisions.select(
        pl.col("row").alias("decision"),
        "person",
        "case_id",
        pl.col("period_from").cast(pl.Int32).fill_null(-(2**31)).alias("from"),
        pl.col("period_to").cast(pl.Int32).fill_null(2**31 - 2).alias("to"),
        "recorded_at",
        "version",
        "fact_id",
    )
    pairs = payments.drop("extent_permille").join(deciding, on=["person", "case_id"])
    return pairs.filter(pl.col("from") <= pl.col("last"), pl.col("first") <= pl.col("to")).select(
        "row",
        "decision",
        pl.max_horizontal("first", "from").alias("first"),
        pl.min_horizontal("last", "to").alias("last"),
        "recorded_at",
        "version",
        "fact_id",
    )


def within(overlaps: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """The pieces of payments: the spans of the deciding decision of each day (R30)."""
    rivals = overlaps.filter(overlaps["row"].is_duplicated())
    ruling = overlaps.select("row", "decision", "first", "last")
    if rivals.height:
        ruling = pl.concat([ruling.filter(~overlaps["row"].is_duplicated()), reign(rivals)])
    inside = ruling.join(spans.rename({"row": "decision", "first": "from", "last": "to"}), on="decision")
    return inside.filter(~pl.col("waiting"), pl.col("from") <= pl.col("last"), pl.col("first") <= pl.col("to")).select(
        "row", pl.max_horizontal("first", "from").alias("first"), pl.min_horizontal("last", "to").alias("last"), "extent", "level"
    )


def reign(rivals: pl.DataFrame) -> pl.DataFrame:
    """(row, decision, first, last) where several decisions lie over a payment: the latest decides."""
    days = pl.concat([rivals.select("row", "first"), rivals.select("row", first=pl.col("last") + 1)]).unique().sort("row", "first")
    same = pl.col("row") == pl.col("row").shift(-1)
    stretches = days.with_columns(pl.when(same).then(pl.col("first").shift(-1) - 1).alias("last")).drop_nulls()
    return (
        stretches.join(rivals, on="row", suffix="_of")
        .filter(pl.col("first_of") <= pl.col("first"), pl.col("last") <= pl.col("last_of"))
        .sort("recorded_at", "version", "fact_id")
        .unique(["row", "first"], keep="last", maintain_order=True)
        .select("row", "decision", "first", "last")
    )


def without_spans(payments: pl.DataFrame, decisions: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """The periods of the MONTH payments none of whose case's decisions has a span (R32)."""
    spanned = decisions.join(spans.select("row").unique(), on="row", how="semi").select("person", "case_id")
    return payments.join(spanned, on=["person", "case_id"], how="anti").select(
        "row", "first", "last", pl.col("extent_permille").fill_null(1000).alias("extent"), pl.lit(None, pl.String).alias("level")
    )


def layer(pieces: pl.DataFrame) -> pl.DataFrame:
    """Cut pieces of equal extent and level that lie over each other into layers: `layer` k has the days with at least k of them (R31)."""
    key = ["row", "extent", "level"]
    step = [pl.lit(1, pl.Int32).alias("step"), pl.lit(-1, pl.Int32).alias("step")]
    edges = pl.concat([pieces.select(*key, "first", step[0]), pieces.select(*key, (pl.col("last") + 1).alias("first"), step[1])])
    edges = edges.group_by(*key, "first").agg(pl.sum("step")).sort(*key, "first")
    depths = edges.with_columns(pl.col("step").cum_sum().alias("depth"), (pl.col("first").shift(-1) - 1).alias("last"))
    layers = depths.filter(pl.col("depth") > 0).with_columns(pl.int_ranges(1, pl.col("depth") + 1, dtype=pl.Int32).alias("layer"))
    return layers.explode("layer").select(*PIECES, "layer")


def join_neighbours(pieces: pl.DataFrame) -> pl.DataFrame:
    """The windows, in the contract's order (R31)."""
    key = [name for name in ("row", "extent", "level", "layer") if name in pieces.columns]
    pieces = pieces.sort(*key, "first")
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in key) & (pl.int_range(pl.len()) > 0)
    goes_on = pieces.select(same & (pl.col("first") <= pl.col("last").shift() + 1)).to_series()
    if goes_on.any():
        starts = np.flatnonzero(~goes_on.to_numpy())
        lasts = pieces["last"].gather(np.append(starts[1:], pieces.height) - 1)
        pieces = pieces[starts].with_columns(lasts)
    return pieces.select(PIECES).sort(
        "row", "first", "last", "extent", "level", descending=[False, False, False, True, False], nulls_last=False
    )


def count(windows: pl.DataFrame, unit: str) -> pl.DataFrame:
    """Add `units` (R33)."""
    if unit == "MONTH":
        month = [pl.col(end).cast(pl.Date).dt.year() * 12 + pl.col(end).cast(pl.Date).dt.month() for end in ("first", "last")]
        floor = pl.col("row").cast(pl.Int64) * STEP
        before = (floor + month[1]).cum_max().shift().fill_null(0) - floor
        return windows.with_columns((month[1] - pl.max_horizontal(month[0], before + 1) + 1).clip(0).cast(pl.Int32).alias("units"))
    if unit == "FIVE_DAY_WEEK":
        weeks = windows.with_row_index("window").with_columns(
            pl.int_ranges((pl.col("first") + 3) // 7, (pl.col("last") + 3) // 7 + 1).alias("week")
        )
        weeks = weeks.select("window", "row", "first", "last", "week").explode("week")
        monday = pl.col("week") * 7 - 3
        weeks = weeks.with_columns(days=pl.min_horizontal("last", monday + 6) - pl.max_horizontal("first", monday) + 1)
        begins = (pl.col("row") != pl.col("row").shift()) | (pl.col("week") != pl.col("week").shift())
        total = pl.col("days").cum_sum()
        before = pl.when(begins.fill_null(True)).then(total - pl.col("days")).forward_fill()
        so_far = total - before
        added = weeks.select(so_far.clip(upper_bound=5) - (so_far - pl.col("days")).clip(upper_bound=5)).to_series()
        units = np.bincount(weeks["window"].to_numpy(), added.to_numpy(), windows.height).astype(np.int32)
        return windows.with_columns(units=pl.Series(units))
    return windows.with_columns((pl.col("last") - pl.col("first") + 1).alias("units"))


def attach(facts: pl.DataFrame, shown: pl.DataFrame, windows: pl.DataFrame, overlaps: pl.DataFrame, unit: str) -> pl.DataFrame:
    """Put windows, units and deviations (R34) to the facts."""
    rows, size = windows["row"].to_numpy(), shown.height
    counts = np.bincount(rows, minlength=size)
    summed: npt.NDArray[np.int32] = np.bincount(rows, windows["units"].to_numpy(), size).astype(np.int32)
    offsets = pa.array(np.concatenate(([0], np.cumsum(counts))), pa.int64())
    fields = windows.select(
        pl.col("first").cast(pl.Date), pl.col("last").cast(pl.Date), pl.col("extent").alias("extent_permille"), "level", "units"
    )
    lists = pl.Series("windows", pa.LargeListArray.from_arrays(offsets, fields.to_struct().to_arrow())).cast(WINDOWS)
    has, units = pl.Series(counts > 0), pl.Series(summed)
    claims = shown.filter(pl.col("kind") == "RECOVERY_CLAIM").select("row", "person", "refers_to")
    held = facts.filter(pl.col("kind") == "PAYMENT").select("person", pl.col("fact_id").alias("refers_to"))
    unknown = np.zeros(size, np.bool_)
    unknown[claims.join(held, on=["person", "refers_to"], how="anti")["row"].to_numpy()] = True
    deviation = pl.when(pl.Series(unknown)).then(pl.lit("UNKNOWN_REFERENCE"))
    if unit in DAY_UNITS:
        pays = pl.col("kind") == "PAYMENT"
        decided = pl.Series(np.bincount(overlaps["row"].to_numpy(), minlength=size) > 0)
        deviation = (
            pl.when(pays & ~decided)
            .then(pl.lit("PERIOD_MISMATCH"))
            .when(pays & ~has)
            .then(pl.lit("NO_COMPENSATED_DAYS"))
            .when(pays & (pl.col("stated_days") != units))
            .then(pl.lit("DAY_COUNT_MISMATCH"))
            .otherwise(deviation)
        )
        has = has | (shown["kind"] == "PAYMENT")
    known = shown.with_columns(lists, pl.when(has).then(units).alias("units"), deviation.alias("deviation"))
    return known.drop("row", "spans", "withdrawn", "recorded_at", "stated_days")
