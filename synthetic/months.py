"""Facts of the benefits paid by the month: decisions, mostly renewed every year, and a payment a month (DOMAIN sections 2 and 5)."""

import numpy as np
import polars as pl

from synthetic.catalogue import Monthly
from synthetic.days import NEVER, dates, first_of, moment, month_of
from synthetic.dice import Bools, Dice, Ints
from synthetic.facts import DECISION, PAYMENT, draft, spans
from synthetic.people import People

# SFB 35 kap. 18-19 §§: factors in hundredths, by the month from which they hold and by age, those below each age and then 30 and above; and
# the prisbasbelopp by year.
MONTHS, BANDS = np.array(["2017-07", "2018-07", "2022-01"], "datetime64[M]").astype(np.int64), (21, 23, 25, 27, 29, 30)
FACTORS = np.array([[215, 220, 225, 230, 235, 240, 245], [223, 228, 233, 238, 243, 248, 253], [248, 253, 258, 263, 268, 273, 278]])
BASE_YEARS = tuple(range(2016, 2027))
BASE_AMOUNTS = (44_300, 44_800, 45_500, 46_500, 47_300, 47_600, 48_300, 52_500, 57_300, 58_800, 59_200)
RENEWED = 0.97
RISE_PERCENT = 3
YEARS_SHOWN = 5


def past_facts(monthly: Monthly, people: People, persons: Ints, dice: Dice) -> pl.DataFrame:
    """The first versions of what those who have the benefit have got by the first business date. Frame of facts.DRAFT."""
    now = month_of(people.start)
    eligible = ((people.ages(persons) - monthly.ages[0][0]) * 12).astype(np.int64)
    began = now - np.minimum(dice.quantile("since", monthly.since, persons), np.maximum(eligible, 1))
    return first_versions(monthly, people, (persons, np.ones_like(persons)), began, int(now), dice)


def first_versions(monthly: Monthly, people: People, keys: tuple[Ints, Ints], began: Ints, now: int, dice: Dice) -> pl.DataFrame:
    """Decisions and payments of cases that began in given months, with all that is paid before the month `now`. Frame of facts.DRAFT.

    keys: persons and case numbers; months are months since 1970.
    """
    person, case = keys
    if not len(person):
        return draft(person)
    planned = np.maximum(now + dice.integers("months to the end", -10, 36, *keys), began)
    ended = dice.chance("ends", monthly.ends, *keys)
    end = np.where(ended, planned, NEVER)
    permille, weights = zip(*monthly.extents, strict=True)
    extent = np.array(permille)[dice.pick("extent", weights, *keys)]
    granted, years, income, yearly = guarantee(monthly, people, keys, first_of(began), extent, dice)
    amount = np.where(granted, yearly // 12, dice.quantile("amount", monthly.amount, *keys) * extent // 1000)
    january = int(month_of(people.start)) // 12 * 12
    renewed = (began < january) & (end >= january) & dice.chance("renewed", RENEWED * monthly.renewed, *keys)
    row, again = np.nonzero(np.stack((np.ones_like(renewed), renewed), axis=1))
    first = first_of(np.where(again == 1, january, began[row]))
    last = np.where(ended, first_of(planned + 1) - 1, NEVER)[row]
    shown = np.where(last == NEVER, first_of(january + 12 * YEARS_SHOWN) - 1, last)
    recorded = np.where(again == 1, first - 20, first + dice.integers("decided after", 1, 25, person[row], case[row]))
    raised, spanned = 100 + RISE_PERCENT * again, slice(len(row) if monthly.spans else 0)
    decisions = draft(
        person[row],
        case=case[row],
        kind=DECISION,
        nr=again + 1,
        period_from=dates(first),
        period_to=dates(last),
        spans=spans(np.full(len(row), int(monthly.spans)), first[spanned], shown[spanned], extent[row][spanned]),
        extent_permille=extent[row],
        amount=amount[row] * raised // 100,
        outcome=monthly.outcome,
        guarantee=guarantee_records(granted, years, income, yearly).gather(row),
        recorded=moment(dice.at("decision"), recorded, person[row], case[row], again),
    )
    since = np.maximum(began, now - monthly.kept)
    count = np.maximum(np.minimum(now, end + 1) - since, 0)
    row = np.repeat(np.arange(len(person)), count)
    month = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + since[row]
    of = person[row], case[row], month
    raised = 100 + RISE_PERCENT * (renewed[row] & (month >= january))
    payments = draft(
        person[row],
        case=case[row],
        kind=PAYMENT,
        nr=month - began[row] + 1,
        period_from=dates(first_of(month)),
        period_to=dates(first_of(month + 1) - 1),
        extent_permille=extent[row],
        amount=(amount + np.where(granted, income // 12, 0))[row] * raised // 100,
        status="UTBETALD",
        country=people.country(person).gather(row),
        recorded=moment(dice.at("payment"), first_of(month) + dice.integers("pay day", 17, 24, *of), *of),
    )
    return pl.concat([decisions, payments])


def guarantee(
    monthly: Monthly, people: People, keys: tuple[Ints, Ints], first: Ints, extent: Ints, dice: Dice
) -> tuple[Bools, Ints, Ints, Ints]:
    """Who has a guarantee decision, insurance years, the income-related part and the guarantee, both in SEK a year (R41).

    The amounts are those of the year before the first business date, or of the decision's first day where that is later.
    """
    granted = dice.chance("guarantee", monthly.guarantee, *keys)
    years = np.where(dice.chance("all years", 0.6, *keys), 40, dice.integers("years", 3, 40, *keys))
    income = np.where(dice.chance("some income", 0.5, *keys), dice.integers("income", 1_000, 90_000, *keys) * extent // 1000, 0)
    on = np.maximum(first, first_of(month_of(people.start) // 12 * 12 - 1))
    base = np.array(BASE_AMOUNTS)[np.clip(1970 + month_of(on) // 12, BASE_YEARS[0], BASE_YEARS[-1]) - BASE_YEARS[0]]
    age = (month_of(on) - month_of(people.birth_date(keys[0]))) // 12
    factor = FACTORS[np.maximum(np.searchsorted(MONTHS, month_of(on), side="right") - 1, 0), np.searchsorted(BANDS, age, side="right")]
    whole = 100 * 40 * 1000
    exact = np.maximum(factor * base * years * extent - income * whole, 0)
    yearly = np.where(exact < 12 * whole, 0, (2 * exact + 12 * whole) // (24 * whole) * 12)
    return granted & (yearly > 0), years, income, yearly


def guarantee_records(granted: Bools, years: Ints, income: Ints, yearly: Ints) -> pl.Series:
    """Guarantee records, null where none was granted."""
    frame = pl.DataFrame({"insurance_years": years, "income_related_yearly": income, "yearly_amount": yearly})
    record = pl.struct(pl.col("insurance_years").cast(pl.Int32), pl.col("income_related_yearly", "yearly_amount").cast(pl.Decimal(12, 2)))
    return frame.select(pl.when(pl.Series(granted)).then(record)).to_series()
