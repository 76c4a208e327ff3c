"""Life certificates: a round a year for pensioners abroad, on the timetable of their country (DOMAIN section 6). None is blocked here."""

from collections.abc import Mapping
from datetime import date

import numpy as np
import polars as pl

from synthetic.days import dates, day_number, moment
from synthetic.dice import Bools, Dice, Ints
from synthetic.facts import CERTIFICATE, draft
from synthetic.people import COUNTRIES, People

AGE = 65
# Month and day of sending, by country; those that are not listed have the first.
SENT: Mapping[tuple[int, int], tuple[str, ...]] = {
    (8, 26): (),
    (9, 28): ("BR", "CA", "CL"),
    (10, 28): ("BE", "GR", "US"),
    (11, 26): ("FR", "IL", "NL", "AT", "GB"),
}
ROUNDS = 3
# What becomes of a round: a weight, and the statuses with the days after sending. 0 to be sent, 1 sent, 2 complete, 3 incomplete, 4
# reminder, 7 handled by machine exchange, 8 complete with changes, 20 not sent.
COURSES: tuple[tuple[float, tuple[tuple[str, int], ...]], ...] = (
    (60, (("0", -14), ("1", 0), ("2", 35))),
    (12, (("0", -14), ("1", 0), ("4", 68), ("2", 90))),
    (10, (("0", -14), ("7", 0))),
    (6, (("0", -14), ("1", 0), ("3", 30), ("4", 68), ("2", 100))),
    (6, (("0", -14), ("1", 0), ("8", 40))),
    (4, (("0", -14), ("1", 0), ("4", 68), ("3", 85), ("2", 105))),
    (2, (("20", -14),)),
)


def holders(people: People, persons: Ints) -> Bools:
    """Who must prove to be alive: the old who live abroad."""
    return (people.ages(persons) >= AGE) & people.abroad(persons)


def steps(people: People, persons: Ints, dice: Dice) -> pl.DataFrame:
    """Every step of the last rounds, also of days to come; all versions of a round are one fact (R45). Frame of facts.DRAFT."""
    this_year = date.fromordinal(date(1970, 1, 1).toordinal() + people.start).year
    rounds = [one_round(people, persons, dice, year) for year in range(this_year - ROUNDS + 1, this_year + 1)]
    return pl.concat([draft(persons[:0]), *(frame for frames in rounds for frame in frames)])


def one_round(people: People, persons: Ints, dice: Dice, year: int) -> list[pl.DataFrame]:
    """The steps of the round of a year."""
    day_of = {country: day for day, countries in SENT.items() for country in countries}
    days = {country: day_number(date(year, *day_of.get(country, (8, 26)))) for country, _ in COUNTRIES}
    countries = people.country(persons)
    sent = countries.replace_strict(days, return_dtype=pl.Int64).to_numpy()
    course = dice.pick("course", [weight for weight, _ in COURSES], persons, year)
    answered = dice.integers("days to answer", 0, 9, persons, year)
    frames = []
    for place, (_, statuses) in enumerate(COURSES):
        on = np.flatnonzero(course == place)
        for version, (status, after) in enumerate(statuses, 1):
            recorded = sent[on] + after + (answered[on] if after > 0 else 0)
            frames.append(
                draft(
                    persons[on],
                    case=year,
                    kind=CERTIFICATE,
                    nr=1,
                    version=version,
                    period_from=dates(sent[on]),
                    status=status,
                    country=countries.gather(on),
                    recorded=moment(dice.at("step"), recorded, persons[on], year, version),
                )
            )
    return frames
