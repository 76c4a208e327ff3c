"""Facts of the benefits counted in days: decisions and payments over the steps of cases (DOMAIN sections 2 and 4)."""

import numpy as np
import polars as pl

from synthetic.cases import MOST_STEPS, Cases
from synthetic.catalogue import LEVELS
from synthetic.days import dates, first_of, moment, month_of
from synthetic.dice import Bools, Ints
from synthetic.facts import DECISION, PAYMENT, draft, named, nullable, spans
from synthetic.scenarios import Scenario

STEPS_PER_DECISION = 2
DECISIONS = MOST_STEPS // STEPS_PER_DECISION
REFUSED = 0.04
GRANTED_LONGER = 0.15
OUTCOMES = ("BEVILJAN", "AVSLAG")
ASTRAY = 0.002
PAID_FOR_NOTHING = 0.03
STATED = 0.9
STATED_RIGHTLY = 0.97


def refused(cases: Cases) -> Bools:
    """Which cases get a refusal, and nothing after it."""
    return cases.dice.chance("refused", REFUSED, *cases.keys)


def daily(cases: Cases, row: Ints | slice = slice(None)) -> Ints:
    """SEK a day at full extent."""
    return cases.dice.quantile("daily", cases.spell.daily, cases.person[row], cases.nr[row])


def decisions(cases: Cases, not_before: Ints) -> pl.DataFrame:
    """A decision for every two steps; some were granted for longer than the next one left them (R30). Frame of facts.DRAFT.

    not_before: the earliest day of a record, per case.
    """
    if not len(cases.person):
        return draft(cases.person)
    dice, refusal = cases.dice, refused(cases)
    follows = cases.there[:, STEPS_PER_DECISION:].any(axis=1) & ~refusal
    next_begin = np.where(follows, cases.begin[:, STEPS_PER_DECISION], cases.last + 1)
    whole = cases.end[:, STEPS_PER_DECISION - 1] == next_begin - 1
    longer = follows & whole & dice.chance("granted longer", GRANTED_LONGER, *cases.keys) & (not cases.spell.weekly)
    extra = np.where(longer, np.minimum(10, cases.last - next_begin), 0)
    granted = cases.end.copy()
    granted[:, STEPS_PER_DECISION - 1] += extra
    first, last = np.stack((cases.first, next_begin), axis=1), np.stack((next_begin - 1 + extra, cases.last), axis=1)
    exists = np.stack((np.ones_like(follows), follows), axis=1)
    rows = np.nonzero(exists)
    person, case, nr = cases.person[rows[0]], cases.nr[rows[0]], rows[1] + 1
    recorded = np.maximum(first[rows] + dice.integers("decided after", 2, 20, person, case), not_before[rows[0]])
    return draft(
        person,
        case=case,
        kind=DECISION,
        nr=nr,
        period_from=dates(first[rows]),
        period_to=dates(last[rows]),
        spans=step_spans(cases, granted, exists, refusal),
        extent_permille=nullable(cases.extent[:, ::STEPS_PER_DECISION][rows], ~refusal[rows[0]]),
        amount=nullable(daily(cases, rows[0]), ~refusal[rows[0]]),
        outcome=named(refusal[rows[0]].astype(np.int64), OUTCOMES),
        recorded=moment(dice.at("decision"), recorded, person, case, nr),
    )


def step_spans(cases: Cases, granted: Ints, exists: Bools, refusal: Bools) -> pl.Series:
    """The spans of the decisions that exist: the waiting day, then each step and its second income. granted: the steps' ends."""
    shape = (len(cases.person), 1 + 2 * MOST_STEPS)
    begin, end, extent, level = (np.zeros(shape, np.int64) for _ in range(4))
    there, waiting = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    begin[:, 0] = end[:, 0] = cases.first
    extent[:, 0], level[:, 0], there[:, 0], waiting[:, 0] = cases.extent[:, 0], cases.level[:, 0], cases.spell.waiting, True
    second = np.maximum(cases.extent // 2 // 125 * 125, 125)
    for offset, shown, amount in ((1, cases.there, cases.extent), (2, cases.double, second)):
        begin[:, offset::2], end[:, offset::2], extent[:, offset::2] = cases.begin, granted, amount
        level[:, offset::2], there[:, offset::2] = cases.level, shown
    there &= ~refusal[:, None]
    decision = (np.maximum(np.arange(shape[1]) - 1, 0) // (2 * STEPS_PER_DECISION)) + DECISIONS * np.arange(shape[0])[:, None]
    counts = np.bincount(decision[there], minlength=DECISIONS * shape[0])[exists.ravel()]
    names = named(level[there], LEVELS) if cases.spell.levels else None
    return spans(counts, begin[there], end[there], extent[there], names, waiting[there])


def periods(cases: Cases) -> tuple[Ints, Ints, Ints, Ints]:
    """What is paid when: the row of the case, the payment's nr, first and last day. Whole cases, portions of days, or calendar months."""
    row = np.flatnonzero(~refused(cases))
    first, last = cases.first[row], cases.last[row]
    months = month_of(first)
    portion = cases.spell.pay_days or int((last - first + 1).max(initial=1))
    count = month_of(last) - months + 1 if cases.spell.weekly else -(-(last - first + 1) // portion)
    nr = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + 1
    row, first, last, months = (np.repeat(values, count) for values in (row, first, last, months))
    if cases.spell.weekly:
        return row, nr, np.maximum(first, first_of(months + nr - 1)), np.minimum(last, first_of(months + nr) - 1)
    start = first + (nr - 1) * portion
    return row, nr, start, np.minimum(start + portion - 1, last)


def payments(cases: Cases, scenario: Scenario, not_before: Ints) -> pl.DataFrame:
    """Payments over the whole of each case; some periods are larger than what is compensated, a few lie elsewhere. Frame of facts.DRAFT.

    not_before: the earliest day of a record, per case.
    """
    spell, dice = cases.spell, cases.dice
    row, nr, start, stop = periods(cases)
    keys = person, case, _ = cases.person[row], cases.nr[row], nr
    larger = dice.chance("larger", scenario.larger, *keys)
    start = start - np.where(larger & (nr == 1), dice.integers("days before", 0, 6, *keys), 0)
    stop = stop + np.where(larger & (stop == cases.last[row]), dice.integers("days after", 1, 20, *keys), 0)
    astray = dice.chance("astray", ASTRAY, *keys)
    shift = np.where(astray, cases.last[row] - start + 40, 0)
    start, stop = start + shift, stop + shift
    begin, end = np.maximum(cases.begin[row], start[:, None]), np.minimum(cases.end[row], stop[:, None])
    overlap = np.where(cases.there[row] & (end >= begin), five_a_week(begin, end) if spell.weekly else end - begin + 1, 0)
    days = (overlap * (1 + cases.double[row])).sum(axis=1)
    full_days = (overlap * cases.extent[row] * (1 + 0.5 * cases.double[row])).sum(axis=1) / 1000
    off_by_one = np.where(dice.chance("one less", 0.5, *keys) & (days > 0), -1, 1)
    stated = days + np.where(dice.chance("stated rightly", STATED_RIGHTLY, *keys), 0, off_by_one)
    lag = dice.integers("late", 30, 90, *keys) if scenario.late and spell.levels else dice.quantile("lag", spell.lag, *keys)
    recorded = np.maximum(stop + lag, not_before[row])
    return draft(
        person,
        case=case,
        kind=PAYMENT,
        nr=nr,
        period_from=dates(start),
        period_to=dates(stop),
        amount=np.rint(full_days * daily(cases, row)).astype(np.int64),
        stated_days=nullable(stated, dice.chance("stated", STATED, *keys)),
        status="UTBETALD",
        recorded=moment(dice.at("payment"), recorded, *keys),
    ).filter((days > 0) | astray | dice.chance("paid for nothing", PAID_FOR_NOTHING, *keys))


def five_a_week(first: Ints, last: Ints) -> Ints:
    """Days of a stretch, at most five of each ISO week."""
    weeks = (last + 3) // 7 - (first + 3) // 7
    across = np.minimum(5, 7 - (first + 3) % 7) + np.minimum(5, (last + 3) % 7 + 1) + 5 * (weeks - 1)
    return np.asarray(np.where(weeks == 0, np.minimum(5, last - first + 1), across))


def first_versions(cases: Cases, scenario: Scenario, not_before: Ints) -> pl.DataFrame:
    """Decisions and payments of cases, also those of days to come. Frame of facts.DRAFT."""
    return pl.concat([decisions(cases, not_before), payments(cases, scenario, not_before)])
