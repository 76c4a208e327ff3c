"""Cases of the benefits counted in days, with their steps of extent."""

from dataclasses import dataclass

import numpy as np

from synthetic.catalogue import Spell
from synthetic.days import NEVER, monday_of
from synthetic.dice import Bools, Dice, Ints
from synthetic.people import People

HISTORY_DAYS = 730
MOST_STEPS = 4
FURTHER_CASES = (1, 2, 3)


@dataclass(frozen=True, eq=False)
class Cases:
    """Cases as arrays: person, nr, first and last day; and by step (case x MOST_STEPS): begin, end, extent, level (a place in LEVELS),
    whether it is `there`, and whether it is `double`: a second income lies on the same dates. Steps follow each other, with gaps; none
    overlap.
    """

    dice: Dice
    spell: Spell
    person: Ints
    nr: Ints
    first: Ints
    last: Ints
    begin: Ints
    end: Ints
    extent: Ints
    level: Ints
    there: Bools
    double: Bools

    @property
    def keys(self) -> tuple[Ints, Ints]:
        """A case's address for the dice."""
        return self.person, self.nr


def past_cases(spell: Spell, people: People, persons: Ints, dice: Dice) -> Cases:
    """The cases of persons in the two years before the first business date, one after the other; the last may still go on."""
    count = 1 + sum(dice.chance(f"case {k}", spell.more**k, persons).astype(np.int64) for k in FURTHER_CASES)
    person, of = np.repeat(persons, count), np.repeat(count, count)
    nr = np.arange(len(person)) - np.repeat(np.cumsum(count) - count, count) + 1
    slot = HISTORY_DAYS // of
    begins = people.start - HISTORY_DAYS + (nr - 1) * slot
    first = begins + dice.integers("start", 0, slot - 5, person, nr)
    return begin_cases(spell, person, nr, first, np.where(nr == of, NEVER, begins + slot - 1), dice)


def begin_cases(spell: Spell, person: Ints, nr: Ints, first: Ints, latest: Ints, dice: Dice) -> Cases:
    """Cases that begin on given days, and end at `latest`, in steps of extent."""
    grain = 7 if spell.weekly else 1
    first = monday_of(first) if spell.weekly else first
    paid_from = first + spell.waiting
    length = np.minimum(dice.quantile("days", spell.days, person, nr), latest - first + 1)
    paid = np.maximum((length - spell.waiting) // grain, 1) * grain
    wanted = 1 + sum(dice.chance(f"step {k}", spell.steps**k, person, nr).astype(np.int64) for k in range(1, MOST_STEPS))
    count = np.minimum(wanted, paid // grain)[:, None]
    place = np.arange(MOST_STEPS)
    keys = person[:, None], nr[:, None], place
    earlier = np.where(place > 0, 0.4 * dice.uniform("earlier", *keys), 0)
    cut = (paid[:, None] * np.maximum(np.minimum(place, count) - earlier, 0) / count).astype(np.int64)
    begin = paid_from[:, None] + cut // grain * grain
    end = np.concatenate((begin[:, 1:], np.zeros((len(person), 1), np.int64)), axis=1) - 1
    end = np.where(place == count - 1, (paid_from + paid - 1)[:, None], end)
    there = (place < count) & (end >= begin)
    idle = ((end - begin) * 0.6 * dice.uniform("idle days", *keys)).astype(np.int64) // grain * grain
    end = end - np.where(dice.chance("gap", spell.gap, *keys), np.maximum(idle, 0), 0)
    permille, weights = zip(*spell.extents, strict=True)
    extent = np.array(permille)[dice.pick("extent", weights, *keys)]
    level = dice.pick("level", spell.levels or (1,), *keys)
    double = there & dice.chance("double", spell.double, *keys)
    return Cases(dice, spell, person, nr, first, paid_from + paid - 1, begin, end, extent, level, there, double)
