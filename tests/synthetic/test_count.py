"""Counting compensated days, date by date."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from synthetic.count import count_days
from synthetic.days import DAY_MS, dates, day_number
from synthetic.facts import DECISION, PAYMENT, draft, spans

MONDAY = day_number(date(2024, 4, 1))


def decision(first: int, last: int, recorded: int, *granted: tuple[int, int], waiting: int = 0) -> pl.DataFrame:
    """A decision over days after MONDAY, with spans of which the first few are waiting."""
    begin, end = (np.array([pair[place] for pair in granted]) + MONDAY for place in (0, 1))
    column = spans(np.array([len(granted)]), begin, end, np.full(len(granted), 1000), waiting=np.arange(len(granted)) < waiting)
    period = {"period_from": dates([MONDAY + first]), "period_to": dates([MONDAY + last])}
    return draft([1], case=1, kind=DECISION, nr=recorded, spans=column, recorded=recorded * DAY_MS, **period)


PAID = draft([1], case=1, kind=PAYMENT, nr=1, period_from=dates([MONDAY]), period_to=dates([MONDAY + 13]), recorded=0)


@pytest.mark.parametrize(
    ("decisions", "plain", "weekly", "layered"),
    [
        ([decision(0, 13, 1, (0, 13))], 14, 10, 14),
        ([decision(0, 13, 1, (0, 0), (1, 13), waiting=1)], 13, 10, 13),
        ([decision(0, 13, 1, (0, 3), (2, 3))], 4, 4, 6),
        ([decision(0, 13, 1, (0, 13)), decision(7, 13, 2, (12, 13))], 9, 7, 9),
        ([decision(7, 30, 2, (12, 30)), decision(0, 13, 1, (0, 13))], 9, 7, 9),
        ([decision(20, 30, 1, (20, 30))], 0, 0, 0),
    ],
    ids=["all", "a waiting day", "two incomes", "a later decision takes over", "in any order", "elsewhere"],
)
def test_days_are_counted_by_the_deciding_decision(decisions: list[pl.DataFrame], plain: int, weekly: int, layered: int) -> None:
    granted = pl.concat(decisions)
    counted = [count_days(PAID, granted, *how).to_list() for how in ((False, False), (True, False), (False, True))]
    assert counted == [[plain], [weekly], [layered]]
