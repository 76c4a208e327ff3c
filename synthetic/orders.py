"""Order lines of the invented partners, with every kind of mistake in a small share (R13)."""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from schemas.contracts import ORDER_LINE
from synthetic.catalogue import BENEFITS, CERTIFICATES, MONTHLY, SPELLS
from synthetic.days import NEVER, dates
from synthetic.dice import Bools, Ints, curve
from synthetic.facts import column, named
from synthetic.numbers import number
from synthetic.partners import Partner
from synthetic.people import People
from synthetic.scenarios import Scenario
from synthetic.stock import holders

SINCE = ((0, 0), (0.5, 300), (1, 720))
MOVED_BACK_DAYS = 900
MISTAKEN, MISTAKEN_LATER = 0.002, 0.02
HELD = 0.85
NOT_RARE = 0.05
YOUNGEST, OLD = 16, 65
PAIR = ("FK:AS", "FK:FP", "FK:GP")
ENDS, MOVES = 0.3, 0.25
UNKNOWN_BEFORE_DAYS = 45_000
LINE = pl.Schema({name: dtype for name, dtype in ORDER_LINE.frame.items() if name not in ("order_id", "line_no")})
Change = Callable[[int], dict[str, pl.Expr]]


def members(people: People, scenario: Scenario, partner: Partner) -> Ints:
    """Whom the partner watches from the first business date, ascending; the handful of a tiny one have its first benefit."""
    everybody = np.arange(people.size)
    grown = everybody[people.ages(everybody) >= YOUNGEST]
    if partner.reach < 1:
        return grown[people.dice.at("orders", partner.code).chance("member", partner.reach, grown)]
    having = grown[holders(people, scenario, partner.benefits[0], grown)]
    count = partner.count(partner.reach, len(having))
    return having[len(having) // (2 * count) :: len(having) // count][:count] if count else having


def watched(people: People, scenario: Scenario, partner: Partner, persons: Ints) -> Bools:
    """Which of the partner's benefits it watches of each of its members: an array person x benefit."""
    codes = np.array(partner.benefits)
    if scenario.pairs and len(set(PAIR) & set(partner.benefits)) > 1:
        left_out = np.array(PAIR)[persons % len(PAIR)]
        return np.asarray(np.isin(codes, PAIR) & (codes != left_out[:, None]))
    chances = [np.where(holders(people, scenario, code, persons), HELD, partner.taken * possible(people, code, persons)) for code in codes]
    return people.dice.at("orders", partner.code).chance("taken", np.stack(chances, axis=1), persons[:, None], np.arange(len(codes)))


def possible(people: People, benefit: str, persons: Ints) -> Bools:
    """Who is of an age at which a benefit is not rare."""
    if benefit == CERTIFICATES:
        return people.ages(persons) > OLD
    ages = (SPELLS.get(benefit) or MONTHLY[benefit]).ages
    return curve(ages, people.ages(persons)) > NOT_RARE * max(share for _, share in ages)


def lines(rows: int, **columns: pl.Series | str) -> pl.DataFrame:
    """Order lines from columns and single values; what is not given is null. Frame of LINE."""
    return pl.DataFrame([column(name, columns.get(name), dtype, rows) for name, dtype in LINE.items()])


def subscribe(people: People, partner: Partner, persons: Ints, place: Ints, since: Ints, end: Ints, day: int) -> pl.DataFrame:
    """SUBSCRIBE lines of a day. place: of the benefit among the partner's; since, end: days, NEVER for no end. Frame of LINE."""
    return lines(
        len(persons),
        action="SUBSCRIBE",
        personnummer=people.number(persons, np.full(len(persons), day)),
        benefit=named(place, tuple(partner.benefits)),
        purpose=partner.purpose,
        from_date=dates(since).cast(pl.String),
        end_date=dates(end).cast(pl.String),
    )


def stock_lines(people: People, scenario: Scenario, partner: Partner, persons: Ints, mistakes_at_least: int) -> pl.DataFrame:
    """The subscriptions that a partner begins with, of some of its members, and its mistakes. Frame of LINE."""
    row, place = np.nonzero(watched(people, scenario, partner, persons))
    member, dice = persons[row], people.dice.at("orders", partner.code)
    since = people.start - dice.quantile("since", SINCE, member, place)
    end = np.where(dice.chance("ends", 0.03, member, place), people.start + dice.integers("end", 1, 400, member, place), NEVER)
    good = subscribe(people, partner, member, place, since, end, people.start)
    return pl.concat([good, mistakes(good, people, partner, people.start, max(mistakes_at_least, round(len(good) * MISTAKEN)))])


def night_lines(people: People, scenario: Scenario, partner: Partner, night: int) -> pl.DataFrame:
    """What a partner orders in a later night: ends, earlier dates, new subscriptions of members and others, mistakes. Frame of LINE."""
    today, dice = people.start + night, people.dice.at("orders", partner.code, night)
    known, count = members(people, scenario, partner), np.arange(partner.count(partner.nightly, people.size))
    chosen = dice.integers("member", 0, max(len(known) - 1, 0), count)
    anybody = dice.integers("person", 0, people.size - 1, count)
    persons = np.unique(np.where(dice.chance("a member", 0.6 * bool(len(known)), count), known[chosen] if len(known) else 0, anybody))
    persons = persons[people.alive(persons, today)]
    has = watched(people, scenario, partner, persons) & np.isin(persons, known)[:, None]
    order = dice.uniform("benefit", persons[:, None], np.arange(len(partner.benefits)))
    held, free = (np.where(mask, order, -1).argmax(axis=1) for mask in (has, ~has))
    what = dice.uniform("what", persons)
    ends = has.any(axis=1) & (what < ENDS)
    moves = has.any(axis=1) & ~ends & (what < ENDS + MOVES)
    new = ~ends & ~moves & ~has.all(axis=1)
    end_day = np.where(dice.chance("later", 0.3, persons), today + 20, NEVER)[ends]
    ended = lines(
        int(ends.sum()),
        action="END",
        personnummer=people.number(persons[ends], np.full(ends.sum(), today)),
        benefit=named(held[ends], tuple(partner.benefits)),
        end_date=dates(end_day).cast(pl.String),
    )
    long_ago, never = np.full(moves.sum(), people.start - MOVED_BACK_DAYS), np.full(len(persons), NEVER)
    moved = subscribe(people, partner, persons[moves], held[moves], long_ago, never[moves], today)
    since = today - dice.quantile("since", SINCE, persons)[new]
    begun = subscribe(people, partner, persons[new], free[new], since, never[new], today)
    return pl.concat([begun, moved, ended, mistakes(begun, people, partner, today, max(1, round(len(begun) * MISTAKEN_LATER)))])


def unknown_numbers(people: People, rows: int) -> pl.Series:
    """Numbers of persons whom no register knows: all born before anybody in it."""
    place = np.arange(rows)
    return number(people.start - UNKNOWN_BEFORE_DAYS + place // 20 % 2000, place % 20, np.zeros(rows, np.bool_))


# What makes a good line one that is answered with each receipt code, given the day.
MISTAKES: Mapping[str, Change] = {
    "DUPLICATE": lambda _: {},
    "INVALID_PERSONNUMMER": lambda _: {"personnummer": pl.col("personnummer").str.head(11) + pl.col("wrong_digit")},
    "UNKNOWN_PERSON": lambda _: {"personnummer": pl.col("unknown")},
    "UNKNOWN_BENEFIT": lambda _: {"benefit": pl.lit("FK:SJUK")},
    "NOT_AUTHORISED": lambda _: {"purpose": pl.lit("statistics")},
    "INVALID_DATE": lambda _: {"from_date": pl.lit("2025-02-30")},
    "FUTURE_DATE": lambda today: {"from_date": pl.lit(str(dates([today + 30])[0]))},
    "INVALID_ACTION": lambda _: {"action": pl.lit("PRENUMERERA")},
    "MISSING_FIELD": lambda _: {"purpose": pl.lit(None, pl.String)},
    "NO_SUBSCRIPTION": lambda _: {"action": pl.lit("END"), "benefit": pl.col("unwatched")},
}
EVERY_KIND = len(MISTAKES)


def mistakes(good: pl.DataFrame, people: People, partner: Partner, today: int, count: int) -> pl.DataFrame:
    """Lines that are answered with each of the codes in turn, made from SUBSCRIBE lines that are not. Frame of LINE.

    The first code is another one every day. There are no mistakes without good lines.
    """
    count = count if len(good) else 0
    chosen = people.dice.at("mistakes", partner.code, today).integers("line", 0, max(len(good) - 1, 0), np.arange(count))
    wrong_digit = (pl.col("personnummer").str.tail(1).cast(pl.Int8) + 1) % 10
    base = good[chosen].with_columns(
        end_date=pl.lit(None, pl.String),
        unknown=unknown_numbers(people, count),
        wrong_digit=wrong_digit.cast(pl.String),
        unwatched=pl.lit(next(benefit for benefit in BENEFITS if benefit not in partner.benefits)),
        kind=(pl.int_range(pl.len()) + today) % EVERY_KIND,
    )
    return pl.concat([base.filter(kind=kind).with_columns(**change(today)).select(*LINE) for kind, change in enumerate(MISTAKES.values())])
