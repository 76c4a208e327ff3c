"""Days and months as arrays of whole numbers since 1970."""

from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from synthetic.dice import Dice, Ints

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
NEVER = 2**31 - 1


def day_number(day: date) -> int:
    """A date as days since 1970."""
    return day.toordinal() - date(1970, 1, 1).toordinal()


def dates(days: npt.ArrayLike) -> pl.Series:
    """Days as a column of dates; NEVER becomes null."""
    series = pl.Series("day", np.asarray(days, np.int32))
    return series.set(series == NEVER, None).cast(pl.Date)


def month_of(days: npt.ArrayLike) -> Ints:
    """Months since 1970 of days."""
    return np.asarray(days, np.int64).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def first_of(months: npt.ArrayLike) -> Ints:
    """The first days of months."""
    return np.asarray(months, np.int64).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def monday_of(days: Ints) -> Ints:
    """The Mondays of the ISO weeks of days; 1970 began on a Thursday."""
    return days - (days + 3) % 7


def moment(dice: Dice, days: npt.ArrayLike, *keys: npt.ArrayLike) -> Ints:
    """A time in office hours of the days, milliseconds since 1970 UTC."""
    return np.asarray(days, np.int64) * DAY_MS + dice.integers("time of day", 6 * HOUR_MS, 16 * HOUR_MS, *keys)
