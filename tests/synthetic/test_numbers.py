"""Invented personnummer."""

from datetime import date

import numpy as np
import polars as pl

from schemas.personnummer import is_valid, valid
from synthetic.days import day_number
from synthetic.numbers import SERIALS, number


def test_every_number_of_many_days_is_valid() -> None:
    days = np.arange(day_number(date(1899, 12, 1)), day_number(date(2026, 3, 1)))
    for coordination in (False, True):
        made = number(days, days % SERIALS, np.full(len(days), coordination))
        assert made.to_frame().select(valid(pl.col("personnummer")).all()).item()
        assert is_valid(made[0])
        assert made.n_unique() == len(days)


def test_the_first_twenty_of_a_day_are_test_numbers() -> None:
    made = number(np.full(21, day_number(date(2000, 2, 29))), np.arange(21), np.zeros(21, np.bool_))
    assert made.str.slice(0, 8).unique().to_list() == ["20000229"]
    assert made.str.slice(8, 3).to_list() == [str(serial) for serial in range(999, 978, -1)]


def test_a_samordningsnummer_is_the_personnummer_with_sixty_more_days() -> None:
    plain, coordination = number(np.array([-1, -1]), np.array([5, 5]), np.array([False, True]))
    assert (plain[:8], coordination[:8]) == ("19691231", "19691291")
    assert plain[8:11] == coordination[8:11]
