"""The invented population and its register. Every attribute of a person follows from the person's place in the population and the day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.contracts import PERSON
from schemas.errors import UsageError
from synthetic.days import NEVER, dates, day_number, moment
from synthetic.dice import Bools, Dice, Floats, Ints, curve
from synthetic.numbers import SERIALS, number
from synthetic.scenarios import Scenario

Days = npt.NDArray[np.int32]

YEAR = 365.25
OLDEST = 110
MOST_PERSONS = 20_000_000
SMALLEST_WITH_EVENTS = 500
# Living persons by age, relative, after the shape of Sweden's age pyramid.
AGES = (
    (0, 1),
    (10, 1.15),
    (20, 1.1),
    (30, 1.35),
    (40, 1.2),
    (55, 1.3),
    (65, 1.1),
    (75, 1),
    (82, 0.6),
    (90, 0.2),
    (97, 0.03),
    (103, 0.002),
    (110, 1e-4),
)
COORDINATION = 0.025
RENUMBERED = 0.3
OTHER_DAY = 0.01
PROTECTED = 0.004
DEAD = ((0, 0.0002), (50, 0.002), (70, 0.02), (90, 0.2), (110, 0.6))
ABROAD = ((0, 0.004), (60, 0.01), (66, 0.03))
PER_NIGHT = {"births": 1e-4, "deaths": 1e-4, "numbers": 5e-5, "flags": 5e-5}
# Where pensioners abroad live: weight of each country.
ABROAD_BY_WEIGHT: Mapping[int, tuple[str, ...]] = {
    20: ("FI",),
    12: ("NO", "ES", "DK", "DE", "US", "GB"),
    6: ("FR", "TH", "PL", "IT", "PT", "CH"),
    2: ("RS", "AU", "HR", "GR", "CL", "CA", "BE", "NL", "AT", "SI", "BR", "IL"),
}
COUNTRIES = [(country, weight) for weight, countries in ABROAD_BY_WEIGHT.items() for country in countries]


@dataclass(frozen=True, eq=False)
class People:
    """A population. Persons are 0..size-1 in order of birth; days are days since 1970.

    start: the first business date; born: the date in the number; place: among those of that date; numbered: the day from which the number
    is a personnummer, a samordningsnummer before (-NEVER: always); died: the day on which the register learns of the death; flagged: that
    on which the protected flag turns.
    """

    dice: Dice
    start: int
    born: Days
    place: Days
    numbered: Days
    died: Days
    flagged: Days

    @property
    def size(self) -> int:
        """Persons in the stock."""
        return len(self.born)

    def ages(self, persons: Ints) -> Floats:
        """Ages in years on the first business date."""
        return np.asarray((self.start - self.born[persons]) / YEAR)

    def women(self, persons: Ints) -> Bools:
        """Who is a woman."""
        return self.dice.chance("woman", 0.5, persons)

    def alive(self, persons: Ints, day: npt.ArrayLike) -> Bools:
        """Of whose death the register does not know on a day."""
        return np.asarray(self.died[persons] > np.asarray(day))

    def number(self, persons: Ints, day: npt.ArrayLike) -> pl.Series:
        """The number that held on a day."""
        return number(self.born[persons].astype(np.int64), self.place[persons].astype(np.int64), self.numbered[persons] > np.asarray(day))

    def birth_date(self, persons: Ints) -> Ints:
        """The register's: in one case of a hundred some days before that in the number."""
        moved = self.dice.chance("other day", OTHER_DAY, persons)
        return self.born[persons].astype(np.int64) - moved * self.dice.integers("days off", 1, 5, persons)

    def protected(self, persons: Ints, day: npt.ArrayLike) -> Bools:
        """The flag on a day."""
        return self.dice.chance("protected", PROTECTED, persons) ^ (self.flagged[persons] <= np.asarray(day))

    def abroad(self, persons: Ints) -> Bools:
        """Who lives abroad."""
        return self.dice.chance("abroad", curve(ABROAD, self.ages(persons)), persons)

    def country(self, persons: Ints) -> pl.Series:
        """The country of those who live abroad, else null."""
        codes, weights = zip(*COUNTRIES, strict=True)
        chosen = np.where(self.abroad(persons), self.dice.pick("country", weights, persons), len(codes))
        return pl.Series("country", chosen).replace_strict(range(len(codes) + 1), [*codes, None], return_dtype=pl.String)


def per_night(size: int, event: str) -> int:
    """How many of a population an event of the register befalls each night: at least one, but none of a handful."""
    return max(1, round(size * PER_NIGHT[event])) if size >= SMALLEST_WITH_EVENTS else 0


def populate(dice: Dice, persons: int, start: date, scenario: Scenario) -> People:
    """A population on its first business date. UsageError for one that the numbers do not suffice for."""
    if not 1 <= persons <= MOST_PERSONS:
        raise UsageError(
            f"--persons {persons}: a synthetic population has 1 to {MOST_PERSONS} persons, there are no valid numbers for more"
        )
    today, everybody = day_number(start), np.arange(persons)
    born, place = births(persons, today, scenario)
    if place.max() >= SERIALS:
        raise UsageError(f"--persons {persons}: more than {SERIALS} would be born on one day, there are no valid numbers for them")
    age = (today - born) / YEAR
    dead = dice.chance("dead", curve(DEAD, age), everybody)
    coordination = dice.chance("coordination", COORDINATION, everybody)
    before = np.flatnonzero(coordination & dice.chance("renumbered", RENUMBERED, everybody))
    numbered = schedule(
        by(dice, "turn to be numbered", np.setdiff1d(np.flatnonzero(coordination & ~dead), before)), "numbers", today, persons
    )
    numbered[~coordination] = -NEVER
    numbered[before] = today - dice.integers("numbered on", 10, 700, before)
    mortal = np.flatnonzero(~dead & (age > 30))
    died = schedule(by(dice, "turn to die", mortal, age[mortal] ** 4), "deaths", today, persons)
    died[dead] = today - dice.integers("died on", 5, 700, np.flatnonzero(dead))
    flagged = schedule(by(dice, "turn of flag", everybody), "flags", today, persons)
    return People(dice, today, born, place, numbered, died, flagged)


def births(persons: int, today: int, scenario: Scenario) -> tuple[Days, Days]:
    """Days of birth, ascending, and places among those of a day; the first is as old as can be, the last a few weeks."""
    eldest = today - int(OLDEST * YEAR) if scenario.born_from is None else day_number(scenario.born_from)
    calendar = np.arange(eldest, max(today - 10, eldest + 1))
    share = np.cumsum(curve(AGES, (today - calendar) / YEAR))
    until = 1 + np.floor((persons - 1) * (share / share[-1])).astype(np.int64)
    everybody = np.arange(persons)
    slot = np.searchsorted(until, everybody, side="right")
    place = everybody - np.concatenate(([0], until))[slot]
    return calendar[slot].astype(np.int32), place.astype(np.int32)


def by(dice: Dice, name: str, persons: Ints, weight: npt.ArrayLike = 1.0) -> Ints:
    """Persons in a random order in which the heavier come earlier."""
    return persons[np.argsort(dice.uniform(name, persons) / np.asarray(weight), kind="stable")]


def schedule(order: Ints, event: str, today: int, size: int) -> Days:
    """The day on which an event of the register befalls each person, some each night after today, in order; NEVER for all others."""
    days, count = np.full(size, NEVER, np.int32), per_night(size, event)
    if count:
        days[order] = today + 1 + np.arange(len(order)) // count
    return days


def records(people: People, persons: Ints, day: Ints, former: pl.Series) -> pl.DataFrame:
    """The register's records of persons as they were made on the days. Frame of contracts.PERSON."""
    dead = people.died[persons] <= day
    deceased = np.where(dead, people.died[persons] - people.dice.integers("days to register", 1, 9, persons), NEVER)
    return person_frame(
        people.number(persons, day),
        former,
        dates(people.birth_date(persons)),
        pl.Series(people.protected(persons, day)),
        people.country(persons),
        dates(deceased),
        pl.Series(moment(people.dice.at("record"), day, persons, day)),
    )


def person_frame(*columns: pl.Series) -> pl.DataFrame:
    """Columns in the contract's order as a frame of contracts.PERSON."""
    return pl.DataFrame([column.cast(dtype).alias(name) for column, (name, dtype) in zip(columns, PERSON.frame.items(), strict=True)])


def nobody(rows: int) -> pl.Series:
    """A column of nulls."""
    return pl.Series([None], dtype=pl.String).new_from_index(0, rows)


def stock_records(people: People, persons: Ints) -> pl.DataFrame:
    """What the register knows on the first business date: a record of each person, and an earlier one of those whose number has changed."""
    today = people.start
    changed = persons[(people.numbered[persons] > -NEVER) & (people.numbered[persons] <= today)]
    new_day = people.numbered[changed].astype(np.int64)
    old_day = np.maximum(people.born[changed] + 1, new_day - people.dice.integers("first record", 30, 400, changed))
    others = np.setdiff1d(persons, changed, assume_unique=True)
    known_day = np.maximum(today - people.dice.quantile("recorded", ((0, 0), (0.5, 400), (1, 1500)), others), people.born[others] + 1)
    known_day = np.where(people.died[others] <= today, people.died[others], known_day)
    last_day = np.where(people.died[changed] <= today, np.maximum(people.died[changed], new_day), new_day)
    first = records(people, changed, old_day, nobody(len(changed))).with_columns(deceased_on=pl.lit(None, pl.Date))
    second = records(people, changed, last_day, people.number(changed, old_day))
    return pl.concat([first, records(people, others, known_day, nobody(len(others))), second])


def night_records(people: People, night: int) -> pl.DataFrame:
    """What the register learns in a night (1 is the one after the stock): deaths, new numbers, flags, births."""
    day = people.start + night
    touched = np.flatnonzero((people.numbered == day) | (people.died == day) | (people.flagged == day))
    former = people.number(touched, day - 1).set(pl.Series(people.numbered[touched] != day, dtype=pl.Boolean), None)
    known = records(people, touched, np.full(len(touched), day), former)
    place = np.arange(min(per_night(people.size, "births"), SERIALS))
    born, never = np.full(len(place), day - 4), np.full(len(place), NEVER)
    ordinary = np.zeros(len(place), np.bool_)
    recorded = pl.Series(moment(people.dice.at("birth", night), born + 4, place))
    babies = person_frame(
        number(born, place, ordinary), nobody(len(place)), dates(born), pl.Series(ordinary), nobody(len(place)), dates(never), recorded
    )
    return pl.concat([known, babies])
