"""What happens in a night: half a percent of the persons are touched, and what is said of them follows from what was said before."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from synthetic import certificates, months, spells
from synthetic.cases import begin_cases
from synthetic.catalogue import CERTIFICATES, MONTHLY, SPELLS
from synthetic.days import DAY_MS, month_of
from synthetic.dice import Bools, Ints
from synthetic.facts import draft, recorded_days
from synthetic.people import PER_NIGHT, YEAR, People, per_night
from synthetic.scenarios import Scenario
from synthetic.sequels import sequels
from synthetic.stock import holders, shares, spell_of, stock

TOUCHED = 0.005
FOLLOWED_UP = 0.1
ADULT = 18
NEW_CASE = 0.3
ALSO = 0.25
FIRST_NEW_CASE = 100
CASE_BENEFITS = (*SPELLS, *MONTHLY)
Earlier = Mapping[str, Sequence[pl.DataFrame]]


def turn(people: People, night: int) -> Ints:
    """The adults whose turn it is in a night, in random order."""
    count = max(1, round(people.size * TOUCHED) - sum(per_night(people.size, event) for event in PER_NIGHT))
    adults = np.flatnonzero((people.start - people.born > ADULT * YEAR) & (people.died > people.start + night))
    dealt = people.dice.at("turn", night).uniform("touched", adults)
    first = np.argpartition(dealt, count)[:count] if count < len(adults) else np.arange(len(adults))
    return adults[first[np.argsort(dealt[first], kind="stable")]]


def touched(people: People, night: int) -> Ints:
    """The persons of whom something is said in a night (1 is the one after the stock), ascending; a tenth were touched the night before."""
    now = turn(people, night)
    again = round(len(now) * FOLLOWED_UP) if night > 1 else 0
    persons = np.unique(np.concatenate((now[: len(now) - again], turn(people, night - 1)[:again])))
    return persons[people.alive(persons, people.start + night)]


def plan(people: People, scenario: Scenario, persons: Ints, night: int) -> tuple[Bools, Bools]:
    """Who gets a new case in which benefit, and for whom an existing case goes on: two arrays person x CASE_BENEFITS."""
    dice, place = people.dice.at("plan", night), np.arange(len(CASE_BENEFITS))
    has = np.stack([holders(people, scenario, benefit, persons) for benefit in CASE_BENEFITS], axis=1)
    likely = np.stack([shares(people, scenario, benefit, persons) for benefit in CASE_BENEFITS], axis=1).cumsum(axis=1)
    choice = (likely <= (dice.uniform("which", persons) * likely[:, -1])[:, None]).sum(axis=1)
    anew = dice.chance("new", NEW_CASE, persons) | ~has.any(axis=1)
    order = np.where(has, dice.uniform("order", persons[:, None], place), 2)
    first = (order == order.min(axis=1)[:, None]) & ~anew[:, None]
    return anew[:, None] & (place == choice[:, None]), has & (first | dice.chance("also", ALSO, persons[:, None], place))


def night_facts(people: People, scenario: Scenario, night: int, earlier: Earlier) -> dict[str, pl.DataFrame]:
    """What is said in a night, by benefit. earlier: what was said in the nights before. Frames of facts.DRAFT."""
    persons = touched(people, night)
    anew, onward = plan(people, scenario, persons, night)
    said = {CERTIFICATES: next_steps(people, night)}
    for place, benefit in enumerate(CASE_BENEFITS):
        opened = new_cases(people, scenario, benefit, persons[anew[:, place]], night)
        going = persons[onward[:, place]]
        before = [frame.filter(pl.col("person").is_in(going.tolist())) for frame in earlier.get(benefit, ())]
        known = pl.concat([stock(people, scenario, benefit, going), *before])
        said[benefit] = pl.concat([opened, sequels(people, benefit, known, night)])
    return said


def new_cases(people: People, scenario: Scenario, benefit: str, persons: Ints, night: int) -> pl.DataFrame:
    """Cases that began some weeks ago and are decided tonight, with what is paid at once. Frame of facts.DRAFT."""
    if not len(persons):
        return draft(persons)
    dice, today = people.dice.at(benefit), people.start + night
    case, now = np.full(len(persons), FIRST_NEW_CASE + night), np.full(len(persons), today)
    began = today - dice.integers("weeks ago", 21, 60, persons, case)
    if benefit in MONTHLY:
        facts = months.first_versions(MONTHLY[benefit], people, (persons, case), month_of(began), int(month_of(today)), dice)
        return facts.with_columns(recorded=today * DAY_MS + pl.col("recorded") % DAY_MS)
    cases = begin_cases(spell_of(scenario, benefit), persons, case, began, now + 400, dice)
    facts = spells.first_versions(cases, scenario, now)
    return facts.filter(recorded_days(facts) == today)


def next_steps(people: People, night: int) -> pl.DataFrame:
    """The steps of life certificates that the timetable has tonight. Frame of facts.DRAFT."""
    everybody, today = np.arange(people.size), people.start + night
    persons = everybody[certificates.holders(people, everybody)]
    steps = certificates.steps(people, persons[people.alive(persons, today)], people.dice.at(CERTIFICATES))
    return steps.filter(recorded_days(steps) == today)
