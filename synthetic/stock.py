"""The stock: all facts that there are on the first business date."""

from dataclasses import replace

import numpy as np
import polars as pl

from synthetic import certificates, months, spells
from synthetic.aftermath import claims, with_versions
from synthetic.cases import past_cases
from synthetic.catalogue import MONTHLY, SPELLS, Spell
from synthetic.dice import Bools, Floats, Ints, curve
from synthetic.facts import recorded_days
from synthetic.people import People
from synthetic.scenarios import Scenario


def shares(people: People, scenario: Scenario, benefit: str, persons: Ints) -> Floats:
    """How likely each person is to have a benefit that is not the certificates."""
    kind = SPELLS.get(benefit) or MONTHLY[benefit]
    share = curve(kind.ages, people.ages(persons)) * scenario.shares.get(benefit, 1)
    return np.minimum(share * people.women(persons), 1) if benefit in SPELLS and SPELLS[benefit].women else np.minimum(share, 1)


def holders(people: People, scenario: Scenario, benefit: str, persons: Ints) -> Bools:
    """Who of the persons has facts of a benefit in the stock (some only of days to come)."""
    if benefit not in SPELLS and benefit not in MONTHLY:
        return certificates.holders(people, persons)
    return people.dice.at(benefit).chance("holder", shares(people, scenario, benefit, persons), persons)


def spell_of(scenario: Scenario, benefit: str) -> Spell:
    """A benefit of the day units, with the scenario's emphasis."""
    return replace(SPELLS[benefit], gap=max(SPELLS[benefit].gap, scenario.gap))


def stock(people: People, scenario: Scenario, benefit: str, persons: Ints) -> pl.DataFrame:
    """The facts of persons that are known on the first business date, all versions. Frame of facts.DRAFT."""
    persons, dice = persons[holders(people, scenario, benefit, persons)], people.dice.at(benefit)
    if benefit in SPELLS:
        cases = past_cases(spell_of(scenario, benefit), people, persons, dice)
        facts = spells.first_versions(cases, scenario, cases.first)
    elif benefit in MONTHLY:
        facts = months.past_facts(MONTHLY[benefit], people, persons, dice)
    else:
        return known(people, certificates.steps(people, persons, dice))
    return with_versions(known(people, pl.concat([facts, claims(facts, dice)])), dice, people.start)


def known(people: People, facts: pl.DataFrame) -> pl.DataFrame:
    """Those facts that were recorded by the first business date, and before the person's death was known."""
    day = recorded_days(facts)
    return facts.filter((day <= people.start) & people.alive(facts["person"].to_numpy(), day))
