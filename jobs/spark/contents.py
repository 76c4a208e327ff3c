"""What is told of a fact, in Spark's own terms: the version that holds, windows, units, deviation (R20, R30-R34).

Written from the contract, apart from `transforms`: the benchmark of native Spark and the recount are only worth something if it is another's opinion.
"""

from collections.abc import Callable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody knows it by

GROUP = ["person", "benefit"]
WINDOW = "struct<first:date,last:date,extent_permille:int,level:string,units:int>"
PIECE = "struct<first:date,last:date,minus_extent:int,level:string>"
FOLD = f"struct<open:array<date>,done:array<{PIECE}>>"


def hold(facts: DataFrame) -> DataFrame:
    """The highest version of each fact (R20)."""
    order = Window.partitionBy(*GROUP, "fact_id").orderBy(F.desc("version"), F.desc("recorded_at"))
    return facts.withColumn("place", F.row_number().over(order)).where("place = 1").drop("place")


def compensate(held: DataFrame, units: dict[str, str]) -> DataFrame:
    """What is told of each fact that is not withdrawn: windows, units, deviation (R30-R34)."""
    unit_of = F.create_map(*(F.lit(each) for pair in units.items() for each in pair))
    facts = held.where(~F.col("withdrawn")).withColumn("unit", unit_of[F.col("benefit")])
    ranked = F.struct("recorded_at", "version", "fact_id", "period_from", "period_to", "spans")
    cases = facts.where("kind = 'DECISION'").groupBy(*GROUP, "case_id").agg(F.sort_array(F.collect_list(ranked)).alias("decisions"))
    paid = held.where("kind = 'PAYMENT'").select(*GROUP, F.col("fact_id").alias("refers_to"), F.lit(True).alias("refers"))
    known = facts.join(cases, [*GROUP, "case_id"], "left").join(paid, [*GROUP, "refers_to"], "left")
    none = F.array().cast(f"array<{PIECE}>")
    return (
        known.withColumn("decisions", F.coalesce("decisions", F.array()))
        .withColumn("rivals", F.filter("decisions", lambda d: touches(d, F.col("period_from"), F.col("period_to"))))
        .withColumn("pieces", F.when(F.col("unit") == "EVENT", none).otherwise(pieces()))
        .withColumn("joined", join_neighbours(F.col("pieces")))
        .withColumn("windows", count(F.col("joined")))
        .withColumn("units", units_of_fact())
        .withColumn("deviation", deviation())
    )


def touches(decision: Column, first: Column, last: Column) -> Column:
    """Whether a decision's period has a day in common with another."""
    return (decision["period_from"].isNull() | (decision["period_from"] <= last)) & (
        decision["period_to"].isNull() | (decision["period_to"] >= first)
    )


def cut(spans: Column, first: Column | None = None, last: Column | None = None) -> Column:
    """The compensated spans as pieces, within two days if given."""
    chosen = F.filter(spans, lambda s: ~s["waiting"])
    if first is None or last is None:
        return F.transform(chosen, lambda s: piece(s["first"], s["last"], s["extent_permille"], s["level"]))
    within = F.filter(chosen, lambda s: (s["first"] <= last) & (s["last"] >= first))
    return F.transform(within, lambda s: piece(F.greatest(s["first"], first), F.least(s["last"], last), s["extent_permille"], s["level"]))


def piece(first: Column, last: Column, extent: Column, level: Column) -> Column:
    """Days of one extent and level; in this order pieces sort as the contract wants windows to."""
    return F.struct(first.alias("first"), last.alias("last"), (-extent).alias("minus_extent"), level.alias("level")).cast(PIECE)


def pieces() -> Column:
    """The pieces of a fact (R30, R32)."""
    first, last = F.col("period_from"), F.col("period_to")
    inside = F.flatten(
        F.transform(
            "rivals",
            lambda d: F.array(F.greatest(first, d["period_from"]), F.least(F.date_add(last, 1), F.date_add(d["period_to"], 1))),
        )
    )
    borders = F.array_sort(F.array_distinct(F.concat(F.array(first, F.date_add(last, 1)), F.filter(inside, lambda day: day.isNotNull()))))
    stretches = F.transform(
        F.slice(borders, 1, F.size(borders) - 1),
        lambda day, i: F.struct(day.alias("first"), F.date_sub(F.get(borders, i + 1), 1).alias("last")),
    )

    def ruled(stretch: Column) -> Column:
        deciding = F.filter("rivals", lambda d: touches(d, stretch["first"], stretch["last"]))
        spans = F.get(deciding, F.size(deciding) - 1)["spans"]
        return F.coalesce(cut(spans, stretch["first"], stretch["last"]), F.array().cast(f"array<{PIECE}>"))

    bounded = F.coalesce(
        cut(
            F.col("rivals")[0]["spans"],
            F.greatest(first, F.col("rivals")[0]["period_from"]),
            F.least(last, F.col("rivals")[0]["period_to"]),
        ),
        F.array(),
    )
    of_payment = F.when(F.size("rivals") == 1, bounded).otherwise(F.flatten(F.transform(stretches, ruled)))
    unspanned = (F.col("unit") == "MONTH") & ~F.exists("decisions", lambda d: F.size(d["spans"]) > 0)
    whole = F.array(piece(first, last, F.coalesce("extent_permille", F.lit(1000)), F.lit(None).cast("string")))
    return (
        F.when(F.col("kind") == "DECISION", cut(F.col("spans")))
        .when((F.col("kind") == "PAYMENT") & unspanned, whole)
        .when(F.col("kind") == "PAYMENT", of_payment)
        .otherwise(F.array().cast(f"array<{PIECE}>"))
    )


def join_neighbours(found: Column) -> Column:
    """Windows without units: neighbouring days joined, what lies over each other in layers (R31)."""
    edges = F.sort_array(
        F.flatten(
            F.transform(
                found,
                lambda p: F.array(
                    F.struct(p["minus_extent"].alias("e"), p["level"].alias("l"), p["first"].alias("day"), F.lit(1).alias("step")),
                    F.struct(
                        p["minus_extent"].alias("e"), p["level"].alias("l"), F.date_add(p["last"], 1).alias("day"), F.lit(-1).alias("step")
                    ),
                ),
            )
        )
    )
    nothing = F.struct(F.array().cast("array<date>").alias("open"), F.array().cast(f"array<{PIECE}>").alias("done")).cast(FOLD)

    def step(fold: Column, edge: Column) -> Column:
        opened, done = fold["open"], fold["done"]
        begun, last = F.get(opened, F.size(opened) - 1), F.get(done, F.size(done) - 1)
        ended = F.struct(
            begun.alias("first"), F.date_sub(edge["day"], 1).alias("last"), edge["e"].alias("minus_extent"), edge["l"].alias("level")
        ).cast(PIECE)
        goes_on = (
            (F.size(done) > 0)
            & (last["minus_extent"] == edge["e"])
            & last["level"].eqNullSafe(edge["l"])
            & (last["last"] == F.date_sub(edge["day"], 1))
        )
        close = F.struct(F.slice(opened, 1, F.size(opened) - 1).alias("open"), F.array_append(done, ended).alias("done"))
        reopen = F.struct(F.array_append(opened, last["first"]).alias("open"), F.slice(done, 1, F.size(done) - 1).alias("done"))
        begin = F.struct(F.array_append(opened, edge["day"]).alias("open"), done.alias("done"))
        return F.when(edge["step"] < 0, close.cast(FOLD)).when(goes_on, reopen.cast(FOLD)).otherwise(begin.cast(FOLD))

    folded = F.sort_array(F.aggregate(edges, nothing, step)["done"])
    return F.when(F.size(found) <= 1, found).otherwise(folded)


def count(windows: Column) -> Column:
    """The windows with what each adds to those before it (R33)."""
    month = {end: (lambda w, end=end: F.year(w[end]) * 12 + F.month(w[end])) for end in ("first", "last")}

    def days(w: Column, _: Column) -> Column:
        return F.datediff(w["last"], w["first"]) + 1

    def months(w: Column, i: Column) -> Column:
        before = F.aggregate(F.slice(windows, 1, i), F.lit(0), lambda most, each: F.greatest(most, month["last"](each)))
        return F.greatest(F.lit(0), month["last"](w) - F.greatest(month["first"](w), before + 1) + 1)

    def week_days(w: Column, i: Column) -> Column:
        def among(number: Column, monday: Column) -> Column:
            def overlap(total: Column, each: Column) -> Column:
                return total + F.greatest(
                    F.lit(0), F.datediff(F.least(each["last"], F.date_add(monday, 6)), F.greatest(each["first"], monday)) + 1
                )

            return F.least(F.lit(5), F.aggregate(F.slice(windows, 1, number), F.lit(0), overlap))

        mondays = F.sequence(F.trunc(w["first"], "week"), F.trunc(w["last"], "week"), F.expr("interval 7 days"))
        return F.aggregate(mondays, F.lit(0), lambda sum_, monday: sum_ + among(i + 1, monday) - among(i, monday))

    def counted(by: Callable[[Column, Column], Column]) -> Column:
        return F.transform(
            windows,
            lambda w, i: F.struct(
                w["first"].alias("first"),
                w["last"].alias("last"),
                (-w["minus_extent"]).alias("extent_permille"),
                w["level"].alias("level"),
                by(w, i).cast("int").alias("units"),
            ),
        ).cast(f"array<{WINDOW}>")

    return (
        F.when(F.col("unit") == "MONTH", counted(months))
        .when(F.col("unit") == "FIVE_DAY_WEEK", counted(week_days))
        .otherwise(counted(days))
    )


def daily() -> Column:
    """Whether a fact is a payment that is counted in days."""
    return (F.col("kind") == "PAYMENT") & F.col("unit").isin("CALENDAR_DAY", "FIVE_DAY_WEEK", "WORKING_TIME")


def units_of_fact() -> Column:
    """The sum over the windows; without windows null, but 0 for a payment of a day unit."""
    total = F.aggregate("windows", F.lit(0), lambda sum_, w: sum_ + w["units"])
    return F.when((F.size("windows") > 0) | daily(), total)


def deviation() -> Column:
    """The code of R34, if any."""
    return (
        F.when((F.col("kind") == "RECOVERY_CLAIM") & F.col("refers").isNull(), "UNKNOWN_REFERENCE")
        .when(daily() & (F.size("rivals") == 0), "PERIOD_MISMATCH")
        .when(daily() & (F.size("windows") == 0), "NO_COMPENSATED_DAYS")
        .when(daily() & (F.col("stated_days") != F.col("units")), "DAY_COUNT_MISMATCH")
    )
