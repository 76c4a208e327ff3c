"""How each benefit comes about: shares by age, lengths, extents and amounts, as data. Plausible, not statistics (DOMAIN section 2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from synthetic.dice import Table

Weights = Sequence[tuple[int, float]]

LEVELS = ("SJUKPENNING", "GRUND", "LAGSTA")
CERTIFICATES = "PM:LINT"


@dataclass(frozen=True)
class Spell:
    """A benefit of the day units.

    ages: (age, share of persons with a case in two years), linear in between; more: chance of each further case; days: length of a case;
    steps: chance of each further step of extent; extents: (permille, weight); lag: days from a period's end to its record; daily: SEK a
    day; pay_days: days that one payment covers, 0: the whole case; gap: share of steps that end early; waiting: the first day is not
    compensated; weekly: steps are whole weeks, at most five days of each count, paid by the calendar month; double: share of steps with a
    second income on the same dates; levels: weights of LEVELS.
    """

    ages: Table
    more: float
    days: Table
    steps: float
    extents: Weights
    lag: Table
    daily: Table
    pay_days: int = 0
    gap: float = 0.0
    women: bool = False
    waiting: bool = False
    weekly: bool = False
    double: float = 0.0
    levels: Sequence[float] = ()


@dataclass(frozen=True)
class Monthly:
    """A benefit of the unit MONTH.

    ages: (age, share of persons who have it), the first age being that at which it can begin; since: months before the first business date
    in which it began; kept: months that are paid in the stock, at most; amount: SEK a month; ends: share of cases that have an end; spans:
    whether decisions have spans; renewed: whether there is a new decision every January; guarantee: share of guarantee decisions.
    """

    ages: Table
    since: Table
    kept: int
    amount: Table
    ends: float = 0.3
    extents: Weights = ((1000, 1),)
    spans: bool = False
    renewed: bool = True
    guarantee: float = 0.0
    outcome: str = "BEVILJAN"


QUARTERS = ((1000, 60), (750, 8), (500, 24), (250, 8))
HOURS = ((1000, 50), (750, 12), (500, 20), (250, 10), (125, 8))
SICK_PAY = ((0, 190), (0.2, 520), (0.6, 820), (1, 1_259))
LONG = ((0, 1), (0.5, 40), (1, 150))
SHORT = ((0, 1), (0.5, 10), (1, 36))

SPELLS: Mapping[str, Spell] = {
    "FK:SJP": Spell(
        ages=((17, 0), (19, 0.05), (30, 0.17), (45, 0.2), (62, 0.26), (67, 0.05), (69, 0)),
        more=0.28,
        days=((0, 3), (0.25, 16), (0.5, 38), (0.75, 95), (0.92, 230), (1, 540)),
        steps=0.45,
        extents=QUARTERS,
        lag=((0, 3), (0.7, 14), (1, 45)),
        daily=SICK_PAY,
        pay_days=30,
        gap=0.08,
        waiting=True,
    ),
    "FK:FSJP": Spell(
        ages=((20, 0), (35, 0.008), (60, 0.014), (67, 0)),
        more=0.1,
        days=((0, 2), (0.5, 30), (1, 120)),
        steps=0.2,
        extents=QUARTERS,
        lag=((0, 3), (1, 30)),
        daily=SICK_PAY,
        pay_days=30,
        waiting=True,
    ),
    "FK:RBE": Spell(
        ages=((19, 0), (30, 0.014), (60, 0.018), (66, 0)),
        more=0.08,
        days=((0, 14), (0.5, 80), (1, 300)),
        steps=0.3,
        extents=QUARTERS,
        lag=((0, 3), (1, 30)),
        daily=SICK_PAY,
        pay_days=30,
        gap=0.1,
    ),
    "FK:SBP": Spell(
        ages=((16, 0), (25, 0.015), (60, 0.015), (68, 0)),
        more=0.05,
        days=((0, 2), (0.7, 8), (1, 21)),
        steps=0.05,
        extents=QUARTERS,
        lag=((0, 5), (1, 60)),
        daily=SICK_PAY,
    ),
    "FK:GP": Spell(
        ages=((18, 0), (22, 0.03), (31, 0.09), (40, 0.02), (46, 0)),
        more=0.05,
        days=((0, 10), (0.5, 50), (1, 50)),
        steps=0.15,
        extents=QUARTERS,
        lag=((0, 3), (1, 25)),
        daily=SICK_PAY,
        pay_days=30,
        women=True,
    ),
    "FK:FP": Spell(
        ages=((19, 0), (24, 0.08), (33, 0.36), (42, 0.14), (52, 0)),
        more=0.25,
        days=((0, 5), (0.3, 40), (0.7, 190), (1, 420)),
        steps=0.6,
        extents=((1000, 70), (750, 6), (500, 12), (250, 6), (125, 6)),
        lag=((0, 1), (0.6, 15), (0.9, 60), (1, 90)),
        daily=((0, 180), (0.25, 250), (0.6, 820), (1, 1_218)),
        pay_days=30,
        gap=0.35,
        levels=(70, 12, 18),
    ),
    "FK:DPE": Spell(
        ages=((17, 0), (19, 0.09), (21, 0.06), (30, 0.008), (55, 0.004), (68, 0)),
        more=0.1,
        days=((0, 2), (0.4, 12), (0.7, 250), (1, 330)),
        steps=0.0,
        extents=((1000, 1),),
        lag=((0, 14), (1, 28)),
        daily=((0, 142), (1, 152)),
        pay_days=30,
    ),
    "FK:NP": Spell(
        ages=((20, 0), (45, 0.008), (64, 0.015), (69, 0)),
        more=0.2,
        days=((0, 1), (0.5, 4), (0.9, 15), (1, 60)),
        steps=0.4,
        extents=HOURS,
        lag=((0, 5), (1, 80)),
        daily=SICK_PAY,
        gap=0.2,
        double=0.05,
    ),
    "FK:TFP": Spell(
        ages=((20, 0), (27, 0.1), (36, 0.36), (44, 0.25), (54, 0)),
        more=0.62,
        days=((0, 1), (0.5, 2), (0.9, 5), (1, 12)),
        steps=0.55,
        extents=HOURS,
        lag=((0, 2), (0.7, 14), (1, 85)),
        daily=((0, 190), (0.3, 640), (1, 1_093)),
        double=0.14,
    ),
    "FK:AS": Spell(
        ages=((17, 0), (22, 0.07), (40, 0.045), (62, 0.035), (66, 0)),
        more=0.2,
        days=((0, 28), (0.5, 120), (1, 400)),
        steps=0.4,
        extents=((1000, 80), (750, 8), (500, 12)),
        lag=((0, 5), (1, 12)),
        daily=((0, 223), (0.5, 365), (1, 1_200)),
        gap=0.2,
        weekly=True,
    ),
}

MONTHLY: Mapping[str, Monthly] = {
    "FK:SA": Monthly(
        ages=((19, 0), (20, 0.02), (35, 0.02), (55, 0.06), (64, 0.1), (66, 0)),
        since=LONG,
        kept=20,
        amount=((0, 900), (0.5, 12_000), (1, 22_000)),
        extents=QUARTERS,
        spans=True,
        renewed=False,
        guarantee=0.5,
    ),
    "FK:BOB": Monthly(
        ages=((17, 0), (22, 0.05), (35, 0.06), (50, 0.02), (55, 0)),
        since=SHORT,
        kept=12,
        amount=((0, 100), (0.5, 1_700), (1, 5_200)),
    ),
    "FK:BST": Monthly(
        ages=((64, 0), (67, 0.1), (85, 0.2), (110, 0.3)),
        since=LONG,
        kept=18,
        amount=((0, 150), (0.5, 3_500), (1, 7_500)),
        ends=0.05,
    ),
    "FK:US": Monthly(
        ages=((19, 0), (35, 0.07), (50, 0.04), (60, 0)),
        since=LONG,
        kept=14,
        amount=((0, 400), (0.5, 1_700), (1, 6_500)),
    ),
    "FK:OMV": Monthly(
        ages=((25, 0), (40, 0.04), (60, 0)),
        since=SHORT,
        kept=12,
        amount=((0, 3_000), (0.5, 6_100), (1, 12_250)),
        ends=0.8,
        extents=((1000, 50), (750, 10), (500, 25), (250, 15)),
        spans=True,
    ),
    "FK:MEK": Monthly(
        ages=((17, 0), (40, 0.02), (65, 0.02), (85, 0.005)),
        since=LONG,
        kept=12,
        amount=((0, 1_470), (0.5, 1_960), (1, 3_430)),
        ends=0.5,
        spans=True,
    ),
    "FK:ABB": Monthly(
        ages=((19, 0), (33, 0.45), (44, 0.45), (58, 0)),
        since=LONG,
        kept=12,
        amount=((0, 625), (0.6, 1_250), (1, 4_500)),
        ends=0.1,
        renewed=False,
    ),
    "FK:YL": Monthly(
        ages=((20, 0), (60, 0.015), (90, 0.01)),
        since=LONG,
        kept=18,
        amount=((0, 400), (0.5, 5_500), (1, 25_000)),
        ends=0.05,
    ),
    "PM:AP": Monthly(
        ages=((62, 0), (63, 0.3), (66, 0.98), (110, 1)),
        since=LONG,
        kept=20,
        amount=((0, 4_000), (0.5, 15_500), (0.95, 25_000), (1, 38_000)),
        ends=0.0,
        outcome="BIFALL",
    ),
    "PM:EF": Monthly(
        ages=((0, 0.004), (18, 0.03), (20, 0.002), (60, 0.02), (90, 0.12)),
        since=LONG,
        kept=18,
        amount=((0, 300), (0.5, 5_000), (1, 9_500)),
        ends=0.1,
        outcome="BIFALL",
    ),
}

BENEFITS: Sequence[str] = (*SPELLS, *MONTHLY, CERTIFICATES)
