"""The days really compensated inside each decision and payment (R30-R34; DOMAIN section 4).

Nothing is exploded to days: periods and spans are ranges of day numbers (days since 1970-01-01, last one included), cut and joined as such.
"""

import polars as pl
import pyarrow as pa

from schemas.config import DAY_UNITS
from schemas.frames import WINDOWS

PAIRS = 500_000  # of a payment and a decision, looked at at a time
OPEN_PAST, OPEN_FUTURE = -(2**31), 2**31 - 2
NO_LEVEL = pl.lit(None, pl.String())


def compensate(facts: pl.DataFrame) -> pl.DataFrame:
    """Give each fact its windows, units and deviation.

    facts: held facts (frames.FACTS and `unit`), withdrawn ones too, sorted by person and benefit. Result: those not withdrawn, in the same
    order, without `spans`, with `windows` (frames.WINDOWS), `units` and `deviation` (a code of R34, or null).
    """
    pair = (pl.struct("person", "benefit").rle_id()).alias("pair")
    shown = facts.with_columns(pair).filter(~pl.col("withdrawn")).with_row_index("row")
    ranged = ranges(shown)
    spans = spans_of(shown)
    decisions = rank_decisions(shown, ranged)
    payments = ranged.filter(pl.col("kind") == "PAYMENT", pl.col("unit") != "EVENT")
    reigns = rule(payments, decisions)
    compensated = spans.filter(~pl.col("waiting"), pl.col("unit") != "EVENT").select("row", "first", "last", "extent", "level", "unit")
    pieces = pl.concat([compensated, within(reigns, compensated), without_spans(payments, decisions, spans)])
    windows = count_units(join_neighbours(layer(pieces)))
    return attach(shown, windows, deviations(facts.with_columns(pair), ranged, reigns, windows))


def ranges(shown: pl.DataFrame) -> pl.DataFrame:
    """What of each fact shown decides its windows, its period as day numbers."""
    return shown.select(
        "row",
        "pair",
        "case_id",
        "kind",
        "unit",
        "extent_permille",
        "stated_days",
        pl.col("period_from").cast(pl.Int32).alias("first"),
        pl.col("period_to").cast(pl.Int32).alias("last"),
    )


def spans_of(shown: pl.DataFrame) -> pl.DataFrame:
    """(row, unit, first, last, extent, level, waiting) of every span of a decision."""
    exploded = shown.filter(pl.col("kind") == "DECISION").select("row", "unit", "spans").explode("spans")
    span = pl.col("spans").struct
    return exploded.select(
        "row",
        "unit",
        span.field("first").cast(pl.Int32).alias("first"),
        span.field("last").cast(pl.Int32).alias("last"),
        span.field("extent_permille").alias("extent"),
        span.field("level").alias("level"),
        span.field("waiting").alias("waiting"),
    )


def rank_decisions(shown: pl.DataFrame, ranged: pl.DataFrame) -> pl.DataFrame:
    """The decisions with open ends as far away as can be, and `rank`: the highest decides (R30)."""
    order = shown.select("row", "recorded_at", "version", "fact_id")
    decisions = ranged.filter(pl.col("kind") == "DECISION").join(order, on="row")
    return (
        decisions.sort("recorded_at", "version", "fact_id")
        .with_row_index("rank")
        .select(
            pl.col("row").alias("decision"),
            "rank",
            "pair",
            "case_id",
            pl.col("first").fill_null(OPEN_PAST).alias("from"),
            pl.col("last").fill_null(OPEN_FUTURE).alias("to"),
        )
    )


def rule(payments: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """(row, decision, first, last): on which days of a payment which decision decides (R30).

    Each payment is held against all decisions of its case: where a case has thousands of both, that is done for some payments at a time.
    """
    rivals = decisions.group_by("pair", "case_id").agg(pl.len().cast(pl.Int64()).alias("rivals"))
    if payments.height * max(rivals["rivals"].to_list(), default=0) <= PAIRS:
        return reign(overlap(payments, decisions))
    counted = payments.join(rivals, on=["pair", "case_id"], maintain_order="left")
    cost = pl.col("rivals").fill_null(0).cum_sum()
    return pl.concat([reign(overlap(turn, decisions)) for turn in in_turns(counted, cost)])


def in_turns(rows: pl.DataFrame, cost: pl.Expr) -> list[pl.DataFrame]:
    """Rows in runs of which each has about PAIRS of cost, in their order. cost: of a row and all before it."""
    return rows.with_columns((cost // PAIRS).alias("turn")).partition_by("turn", maintain_order=True, include_key=False) or [rows]


def overlap(payments: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """(row, decision, rank, first, last): where a payment's period and a decision of its case lie over each other."""
    pairs = payments.select("row", "pair", "case_id", "first", "last").join(decisions, on=["pair", "case_id"])
    return pairs.filter(pl.col("from") <= pl.col("last"), pl.col("first") <= pl.col("to")).select(
        "row", "decision", "rank", pl.max_horizontal("first", "from").alias("first"), pl.min_horizontal("last", "to").alias("last")
    )


def reign(overlaps: pl.DataFrame) -> pl.DataFrame:
    """(row, decision, first, last): on which days of a payment which decision decides (R30)."""
    counted = overlaps.with_columns(pl.len().over("row").alias("rivals"))
    alone = counted.filter(pl.col("rivals") == 1).select("row", "decision", "first", "last")
    rivals = counted.filter(pl.col("rivals") > 1).select("row", "decision", "rank", "first", "last", "rivals").sort("row")
    if rivals.is_empty():
        return alone
    of_row = (2 * pl.col("rivals").cast(pl.Int64())).cum_sum().max().over("row")  # as many stretches as ends, each held against all rivals
    return pl.concat([alone, *(rule_stretches(turn) for turn in in_turns(rivals, of_row))])


def rule_stretches(rivals: pl.DataFrame) -> pl.DataFrame:
    """(row, decision, first, last): on which days which of several decisions decides, the one of the highest rank."""
    ends = (
        pl.concat([rivals.select("row", "first"), rivals.select("row", (pl.col("last") + 1).alias("first"))]).unique().sort("row", "first")
    )
    stretches = ends.with_columns((pl.col("first").shift(-1).over("row") - 1).alias("last"))
    ruled = (
        stretches.join(rivals, on="row", suffix="_of")
        .filter(pl.col("first_of") <= pl.col("first"), pl.col("last") <= pl.col("last_of"))
        .sort("row", "first", "rank")
        .unique(["row", "first"], keep="last")
    )
    return ruled.select("row", "decision", "first", "last")


def within(reigns: pl.DataFrame, compensated: pl.DataFrame) -> pl.DataFrame:
    """The compensated spans of the deciding decisions, cut to the days on which they decide."""
    spans = compensated.rename({"row": "decision", "first": "from", "last": "to"})
    inside = reigns.join(spans, on="decision").filter(pl.col("from") <= pl.col("last"), pl.col("first") <= pl.col("to"))
    return inside.select(
        "row", pl.max_horizontal("first", "from").alias("first"), pl.min_horizontal("last", "to").alias("last"), "extent", "level", "unit"
    )


def without_spans(payments: pl.DataFrame, decisions: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """R32: the period of a MONTH payment none of whose case's decisions has a span."""
    spanned = decisions.join(spans.select(pl.col("row").alias("decision")).unique(), on="decision", how="semi")
    months = payments.filter(pl.col("unit") == "MONTH").join(spanned, on=["pair", "case_id"], how="anti")
    return months.select("row", "first", "last", pl.col("extent_permille").fill_null(1000).alias("extent"), NO_LEVEL.alias("level"), "unit")


def layer(pieces: pl.DataFrame) -> pl.DataFrame:
    """Add `layer` (R31): equal spans that lie over each other become layers; layer k has the days with at least k of them.

    Sorted by row, extent, level, layer and first. Only spans of WORKING_TIME may lie over each other when they come in (R35), but the unit of a
    benefit can change after that.
    """
    key = ["row", "extent", "level"]
    pieces = pieces.sort(*key, "first")
    flat = pieces.with_columns(pl.lit(1, pl.Int32()).alias("layer"))
    deep = pieces.filter(same_as_before(*key) & (pl.col("first") <= pl.col("last").shift())).select(key).unique()
    if deep.is_empty():
        return flat
    shallow = flat.join(deep, on=key, how="anti", nulls_equal=True)
    stacked = pieces.join(deep, on=key, how="semi", nulls_equal=True)
    edges = pl.concat(
        [
            stacked.select(*key, "unit", "first", pl.lit(1, pl.Int32()).alias("step")),
            stacked.select(*key, "unit", (pl.col("last") + 1).alias("first"), pl.lit(-1, pl.Int32()).alias("step")),
        ]
    )
    depths = (
        edges.group_by(*key, "unit", "first")
        .agg(pl.sum("step"))
        .sort(*key, "first")
        .with_columns(pl.col("step").cum_sum().alias("depth"), (pl.col("first").shift(-1) - 1).alias("last"))
    )  # the steps of each key come to nought, so that nothing of one reaches the next
    layers = depths.with_columns(pl.int_ranges(1, pl.col("depth") + 1, dtype=pl.Int32()).alias("layer")).explode("layer")
    return pl.concat([shallow, layers.select(shallow.columns)]).sort(*key, "layer", "first")


def same_as_before(*names: str) -> pl.Expr:
    """Whether a row is equal in these columns, of which one is never null, to the one before it."""
    return pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in names)


def join_neighbours(pieces: pl.DataFrame) -> pl.DataFrame:
    """R31: neighbouring days of equal extent and level make one window. Windows come in the contract's order. pieces: as `layer` sorts them."""
    goes_on = same_as_before("row", "extent", "level", "layer") & (pl.col("first") <= pl.col("last").shift() + 1)
    windows = (
        pieces.with_columns((~goes_on).cum_sum().alias("window"))
        .group_by("window")
        .agg(pl.first("row", "first", "extent", "level", "unit"), pl.last("last"))
    )
    return windows.sort("row", "first", "last", "extent", "level", descending=[False, False, False, True, False], nulls_last=False)


def any_nested(windows: pl.DataFrame) -> bool:
    """Whether windows of one fact lie over each other, but for WORKING_TIME, where each layer counts. windows: in the contract's order."""
    meet = same_as_before("row") & (pl.col("first") <= pl.col("last").shift()) & (pl.col("unit") != "WORKING_TIME")
    return bool(windows.select(meet.any()).item())


def first_not_counted() -> pl.Expr:
    """The first day of each window that those before it do not have; of WORKING_TIME, where each layer counts, its first."""
    after = pl.col("last").cum_max().shift().over("row") + 1
    return pl.when(pl.col("unit") == "WORKING_TIME").then("first").otherwise(pl.max_horizontal("first", after))


def count_units(windows: pl.DataFrame) -> pl.DataFrame:
    """R33: add `units`, what each window adds to those before it."""
    nested = any_nested(windows)
    windows = windows.with_columns((first_not_counted() if nested else pl.col("first")).alias("new"))
    first, last = pl.col("new").cast(pl.Date()), pl.col("last").cast(pl.Date())
    month_of_first = first.dt.year() * 12 + first.dt.month()
    month_of_last = last.dt.year() * 12 + last.dt.month()
    so_far = month_of_last.cum_max().over("row") if nested else month_of_last  # else, of one row, months only rise
    counted_to = pl.when(same_as_before("row")).then(so_far.shift()).otherwise(OPEN_PAST)
    months = (month_of_last - pl.max_horizontal(month_of_first, counted_to + 1) + 1).clip(lower_bound=0)
    days = (pl.col("last") - pl.col("new") + 1).clip(lower_bound=0)
    windows = windows.with_columns(pl.when(pl.col("unit") == "MONTH").then(months).otherwise(days).alias("units"))
    weekly = windows.filter(pl.col("unit") == "FIVE_DAY_WEEK", pl.col("units") > 0).with_columns(pl.col("new").alias("first"))
    windows = windows.drop("new")
    if weekly.is_empty():
        return windows
    weekly = weekly.with_columns(((pl.col("first") + 3) // 7).alias("from_week"), ((pl.col("last") + 3) // 7).alias("to_week"))
    between = (pl.col("to_week") - pl.col("from_week") - 1).clip(lower_bound=0) * 5  # weeks that belong to this window alone
    at_ends = (
        pl.when(pl.col("from_week") < pl.col("to_week")).then(pl.concat_list("from_week", "to_week")).otherwise(pl.concat_list("from_week"))
    )
    weeks = weekly.with_columns(between.alias("between"), at_ends.alias("week")).explode("week")  # in the order of the windows
    monday = pl.col("week") * 7 - 3
    days = pl.min_horizontal("last", monday + 6) - pl.max_horizontal("first", monday) + 1
    total = days.cum_sum().over("row", "week")
    added = weeks.select("window", "between", (total.clip(upper_bound=5) - (total - days).clip(upper_bound=5)).alias("added"))
    per_window = added.group_by("window").agg(pl.sum("added") + pl.first("between"))
    return (
        windows.join(per_window, on="window", how="left", maintain_order="left")
        .with_columns(pl.coalesce("added", "units").alias("units"))
        .drop("added")
    )


def deviations(facts: pl.DataFrame, ranged: pl.DataFrame, reigns: pl.DataFrame, windows: pl.DataFrame) -> pl.DataFrame:
    """(row, units, deviation) of every fact shown (R33, R34)."""
    counted = windows.group_by("row").agg(pl.sum("units").cast(pl.Int32()))
    payments = facts.filter(pl.col("kind") == "PAYMENT").select("pair", pl.col("fact_id").alias("refers_to"))
    shown = facts.filter(~pl.col("withdrawn")).select("pair", "refers_to").with_row_index("row")
    referring = shown.join(payments, on=["pair", "refers_to"], how="semi")["row"]
    known = ranged.select("row", "kind", "unit", "stated_days").join(counted, on="row", how="left", maintain_order="left")
    decided, refers = (pl.col("row").is_in(rows.unique().implode()) for rows in (reigns["row"], referring))
    daily = (pl.col("kind") == "PAYMENT") & pl.col("unit").is_in(DAY_UNITS)
    return known.select(
        "row",
        pl.when(daily).then(pl.col("units").fill_null(0)).otherwise("units").alias("units"),
        pl.when(daily & ~decided)
        .then(pl.lit("PERIOD_MISMATCH"))
        .when(daily & pl.col("units").is_null())
        .then(pl.lit("NO_COMPENSATED_DAYS"))
        .when(daily & (pl.col("stated_days") != pl.col("units")))
        .then(pl.lit("DAY_COUNT_MISMATCH"))
        .when((pl.col("kind") == "RECOVERY_CLAIM") & ~refers)
        .then(pl.lit("UNKNOWN_REFERENCE"))
        .alias("deviation"),
    )


def attach(shown: pl.DataFrame, windows: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Put windows, units and deviation to their facts. The lists are made of sorted windows and offsets, which is far faster than grouping."""
    lengths = windows.group_by("row").agg(pl.len().alias("length"))
    counts = shown.select("row").join(lengths, on="row", how="left", maintain_order="left")["length"].fill_null(0).cast(pl.Int64())
    offsets = pl.concat([pl.Series([0], dtype=pl.Int64()), counts.cum_sum()])
    fields = windows.select("first", "last", pl.col("extent").alias("extent_permille"), "level", "units").to_struct()
    lists = pl.from_arrow(pa.LargeListArray.from_arrays(offsets.to_arrow(), fields.to_arrow()))
    assert isinstance(lists, pl.Series)
    return shown.drop("spans", "pair", "row").with_columns(lists.cast(WINDOWS).alias("windows"), found["units"], found["deviation"])
