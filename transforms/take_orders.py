"""Take the partners' order lines: subscriptions start, move back and end, refreshes are queued, each line is answered (R12-R16).

A *life* of a group (partner, person, benefit) lies between two ends: it begins with the subscription of last night, or with the first
SUBSCRIBE after an END that took effect at once. Within a life all is a running minimum or a last value, so any number of lines about one
group is taken in a single pass, each seeing the effect of those before.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import polars as pl

from schemas.contracts import ORDER_LINE, RECEIPT
from schemas.frames import SUBSCRIPTION_KEY, SUBSCRIPTIONS, require
from transforms.judge_lines import (
    ANSWER,
    DUPLICATE,
    ENDED,
    MOVED_BACK,
    PERMISSION,
    REFRESHED,
    SUBSCRIBED,
    UNSUBSCRIBED,
    answer,
    code_of,
    judge_lines,
)

ORDER = ("bucket", "person", "benefit", "partner")
PLACE = pl.Schema({"partner": pl.String, "drop": pl.String, "position": pl.Int64, "bucket": pl.Int32})
STATE = ("numbers", "protected", "initial_due", "delivered", "deviation_number", "heal_due", "snapshot_night")
LINES = pl.Schema({**ORDER_LINE.frame, **PLACE, "person": pl.String()})
RECEIPTS = pl.Schema({**RECEIPT.frame, **PLACE})
REFRESHES = pl.Schema(
    {
        "partner": pl.String,
        "order_id": pl.String,
        "line_no": pl.Int32,
        "drop": pl.String,
        "position": pl.Int64,
        "bucket": pl.Int32,
        "person": pl.String,
        "benefit": pl.String,
    }
)
BEFORE_ALL_LINES = -1
LIFE_STEP_DAYS = 10_000_000  # more than there are days in the years 1 to 9999
PAIRS_AT_ONCE = 10_000_000  # rows of refresh x group in memory


@dataclass(frozen=True)
class Taken:
    """What the lines of some buckets did.

    subscriptions: SUBSCRIPTIONS, by ORDER.
    receipts: RECEIPTS, by position; accepted, code and text are null where a REFRESH without a person waits for the matches of all buckets.
    refreshes: REFRESHES, a row per (line, group that matched), by position and ORDER.
    """

    subscriptions: pl.DataFrame
    receipts: pl.DataFrame
    refreshes: pl.DataFrame


def take_orders(
    lines: pl.DataFrame,
    subscriptions: pl.DataFrame,
    persons: pl.DataFrame,
    permissions: pl.DataFrame,
    benefits: Collection[str],
    business_date: date,
    night: int,
) -> Taken:
    """Take one night's lines of some buckets, in the order of `position` (R12-R16).

    lines: LINES; position is unique and from 0, person null without a valid number; a REFRESH without a number belongs to every bucket.
    subscriptions: SUBSCRIPTIONS as last night left them. persons: person, birth_date of those registered. permissions: partner, purpose,
    benefit. benefits: the catalogue's codes. night: tonight's number. Raises VerificationError when a frame has other columns.
    """
    today = pl.lit(business_date)
    require(lines.select(LINES.names()), LINES, "orders, lines")
    require(subscriptions, SUBSCRIPTIONS, "orders, subscriptions of last night")
    standing = end_subscriptions(subscriptions, permissions, business_date).with_row_index("row")
    judged = judge_lines(lines, persons["person"], permissions, benefits, today).sort("position")
    fine, refreshing = pl.col("answer").is_null(), pl.col("action") == "REFRESH"

    events = follow(standing, judged.filter(fine, ~refreshing), today)
    lives = live(events, today)
    refreshes = match(judged.filter(fine, refreshing), lives, persons)

    turns = events.select("position", at_turn="answer", effective_on=pl.when(pl.col("action") == "END").then("end_date").otherwise(today))
    certain = pl.when(refreshing & pl.col("person").is_not_null()).then(answer_refresh(refreshes))
    receipts = judged.join(turns, on="position", how="left", maintain_order="left").with_columns(
        pl.coalesce("answer", "at_turn", certain).alias("answer")
    )
    return Taken(renew(standing, lives, night), write_receipts(receipts), refreshes)


def end_subscriptions(subscriptions: pl.DataFrame, permissions: pl.DataFrame, business_date: date) -> pl.DataFrame:
    """Leave out the subscriptions whose end has come, or whose permission or partner is gone: what was told is forgotten (R12, R15)."""
    going_on = pl.col("end_date").is_null() | (pl.col("end_date") > business_date)
    return subscriptions.filter(going_on).join(permissions, on=PERMISSION, how="semi", maintain_order="left")


def settle_receipts(receipts: pl.DataFrame, refreshes: pl.DataFrame, business_date: date) -> pl.DataFrame:
    """Answer the refreshes that waited for all buckets, and keep one receipt of each line, by position (R13, R16).

    receipts, refreshes: those of all buckets together. Returns RECEIPTS without nulls but in effective_on.
    """
    settled = pl.coalesce(pl.col("text").cast(ANSWER), answer_refresh(refreshes))
    each_line = receipts.unique("position", keep="any").sort("position")
    return write_receipts(each_line.with_columns(settled.alias("answer"), pl.coalesce("effective_on", pl.lit(business_date))))


def follow(standing: pl.DataFrame, lines: pl.DataFrame, today: pl.Expr) -> pl.DataFrame:
    """Follow each group through its subscription of last night and its SUBSCRIBE and END lines, and answer the lines (R13-R15).

    Returns a row per event, by ORDER and position: `life` rises by one from each to the next; end_date of END is the one that holds.
    """
    ends = pl.col("action") == "END"
    events = pl.concat(
        [
            standing.select(
                "row", *ORDER, "purpose", "from_date", "end_date", action=pl.lit("STAND"), position=pl.lit(BEFORE_ALL_LINES, pl.Int64)
            ),
            lines.select(
                pl.lit(None, pl.UInt32).alias("row"),
                *ORDER,
                "purpose",
                "from_date",
                pl.when(ends).then(pl.max_horizontal("end_date", today)).otherwise("end_date").alias("end_date"),
                "action",
                "position",
            ),
        ]
    ).sort(*ORDER, "position")
    other_group = pl.any_horizontal(pl.col(name) != pl.col(name).shift() for name in SUBSCRIPTION_KEY)
    after_end = (ends & (pl.col("end_date") <= today)).shift()
    begun = events.with_columns(life=(other_group | after_end).fill_null(True).cast(pl.Int64).cum_sum())
    earlier = earliest_before(pl.col("from_date"), pl.col("life"))
    subscribed = (
        pl.when(earlier.is_null())
        .then(answer(SUBSCRIBED))
        .when(pl.col("from_date") < earlier)
        .then(answer(MOVED_BACK))
        .otherwise(answer(DUPLICATE))
    )
    ended = pl.when(earlier.is_null()).then(answer(UNSUBSCRIBED)).otherwise(answer(ENDED))
    return begun.with_columns(answer=pl.when(ends).then(ended).otherwise(subscribed))


def earliest_before(day: pl.Expr, life: pl.Expr) -> pl.Expr:
    """The lowest day of the rows before, in the same life; null when there is none. `life` rises from row to row.

    One running minimum serves all lives: each lies a step lower than the one before it, so that what an earlier one left never wins.
    """
    floor = life * LIFE_STEP_DAYS
    lowest = (day.to_physical() - floor).cum_min().forward_fill().shift() + floor
    return pl.when(lowest < LIFE_STEP_DAYS // 2).then(lowest).cast(pl.Date)


def live(events: pl.DataFrame, today: pl.Expr) -> pl.DataFrame:
    """Sum up each life that began: what it is in the end, and from and until which position it is active (R14, R15).

    Returns `row` (of last night's subscription, null for a new one), ORDER, purpose, from_date, end_date, moved, since, until; by ORDER and
    since. until is null when it goes on.
    """
    last = pl.col("end_date").last()
    return (
        events.filter(pl.col("answer").is_in([SUBSCRIBED, MOVED_BACK, ENDED]))
        .group_by("life", maintain_order=True)
        .agg(
            pl.col("row", *ORDER).first(),
            pl.col("purpose", "end_date").last(ignore_nulls=True),
            pl.col("from_date").min(),
            moved=(pl.col("answer") == MOVED_BACK).any(),
            since=pl.col("position").first(),
            until=pl.when(last <= today).then(pl.col("position").last()),
        )
    )


def renew(standing: pl.DataFrame, lives: pl.DataFrame, night: int) -> pl.DataFrame:
    """Make tonight's subscriptions of the lives that go on (R14, R15).

    One that stood keeps what its partner was told, a new one knows nothing. Returns SUBSCRIPTIONS, by ORDER.
    """
    renewed = (
        lives.filter(pl.col("until").is_null())
        .join(standing.select("row", *STATE), on="row", how="left", maintain_order="left")
        .with_columns(
            pl.col("numbers").fill_null([]),
            pl.col("initial_due").fill_null(True) | pl.col("moved"),
            pl.col("delivered", "heal_due").fill_null(False),
            pl.col("snapshot_night").fill_null(night),
        )
    )
    return require(renewed.select(SUBSCRIPTIONS.names()), SUBSCRIPTIONS, "orders, subscriptions")


def match(refreshing: pl.DataFrame, lives: pl.DataFrame, persons: pl.DataFrame) -> pl.DataFrame:
    """Find the groups of each REFRESH: the partner's, active at its turn, of its person, benefit and birth dates if given (R16).

    Returns REFRESHES, by position and ORDER.
    """
    own = lives.select(*ORDER, "since", "until").join(refreshing, on="partner", how="semi")
    groups = own.join(persons.select("person", "birth_date"), on="person", how="left")
    asked = refreshing.rename({"benefit": "asked_benefit", "person": "asked_person"}).drop("bucket")
    certain = pl.col("asked_person").is_not_null()
    by_person = asked.join(groups, left_on=("partner", "asked_person"), right_on=("partner", "person"), coalesce=False)
    broad = asked.filter(~certain)
    at_once = max(1, PAIRS_AT_ONCE // max(1, groups.height))
    pairs = [by_person, *(part.join(groups, on="partner") for part in broad.iter_slices(at_once))]
    turn, born = pl.col("position"), pl.col("birth_date")
    matches = (
        (pl.col("since") < turn)
        & (pl.col("until").is_null() | (turn < pl.col("until")))
        & (pl.col("asked_benefit").is_null() | (pl.col("asked_benefit") == pl.col("benefit")))
        & (pl.col("born_from").is_null() | (pl.col("born_from") <= born))
        & (pl.col("born_to").is_null() | (born <= pl.col("born_to")))
    )
    found = pl.concat(part.filter(matches).select(REFRESHES.names()) for part in pairs)
    return require(found.sort("position", *ORDER), REFRESHES, "orders, refreshes")


def answer_refresh(refreshes: pl.DataFrame) -> pl.Expr:
    """The answer to the REFRESH at `position`, given all that refreshes match."""
    matched = pl.col("position").is_in(refreshes["position"].unique().implode())
    return pl.when(matched).then(answer(REFRESHED)).otherwise(answer(UNSUBSCRIBED))


def write_receipts(answered: pl.DataFrame) -> pl.DataFrame:
    """Make RECEIPTS of lines with `answer` and the date that holds if it is ACCEPTED; accepted, code and text of no answer are null."""
    accepted = pl.col("code") == "ACCEPTED"
    receipts = answered.with_columns(code=code_of(pl.col("answer")), text=pl.col("answer").cast(pl.String)).with_columns(
        accepted=accepted, effective_on=pl.when(accepted).then("effective_on")
    )
    return require(receipts.select(RECEIPTS.names()), RECEIPTS, "orders, receipts")
