"""Invented personnummer, valid by R10.

Serials are dealt per day of birth from 999 downwards, so that the first twenty of a day are the tax agency's test numbers (980-999). A
population of up to half a million persons stays within them. A larger one must go below 980, where a number may by chance be somebody's:
nothing else about that person is, and the `source` of every drop begins with `synthetic`.
"""

import numpy as np
import polars as pl

from schemas.personnummer import WEIGHTS
from synthetic.days import first_of, month_of
from synthetic.dice import Bools, Ints

SERIALS = 999


def number(days: Ints, place: Ints, coordination: Bools) -> pl.Series:
    """Twelve-digit texts by day of birth and place among those of that day (0 to 998); coordination: day + 60 (samordningsnummer)."""
    months = month_of(days)
    day = days - first_of(months) + 1 + 60 * coordination
    digits = (((1970 + months // 12) * 100 + months % 12 + 1) * 100 + day) * 1000 + SERIALS - place
    total = np.zeros_like(digits)
    for position, weight in enumerate(reversed(WEIGHTS)):
        product = digits // 10**position % 10 * weight
        total += product // 10 + product % 10
    return pl.Series("personnummer", digits * 10 + -total % 10).cast(pl.String)
