"""Personnummer and samordningsnummer (R10; DOMAIN section 3). Twelve digits, always a string."""

import re
from datetime import date

import polars as pl

WEIGHTS = (2, 1, 2, 1, 2, 1, 2, 1, 2)


def check_digit(nine: str) -> int:
    """The mod-10 digit over `YYMMDDNNN`; the century is not covered."""
    total = sum(sum(divmod(int(digit) * weight, 10)) for digit, weight in zip(nine, WEIGHTS, strict=True))
    return -total % 10


def is_valid(text: str | None) -> bool:
    """Whether a text is a personnummer or samordningsnummer (R10)."""
    if text is None or len(text) != 12 or not (text.isascii() and text.isdigit()) or text[8:11] == "000":
        return False
    day = int(text[6:8])
    try:
        date(int(text[:4]), int(text[4:6]), day - 60 if day > 60 else day)
    except ValueError:
        return False
    return check_digit(text[2:11]) == int(text[11])


def without_numbers(text: str) -> str:
    """A text of others, such as the id of a partner's order, for where no personnummer may be: `(number)` in the place of each valid one."""
    return re.sub(r"[0-9]{12}", lambda found: "(number)" if is_valid(found[0]) else found[0], text)


def days() -> list[int]:
    """What a number's MMDD says, by its value from 0 to 9999: 1 a day of every year, 2 of leap years only, 0 none. Day + 60 counts as the day."""
    of_month = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] + [0] * 87
    found = [int(0 < (day - 60 if day > 60 else day) <= of_month[month]) for month in range(100) for day in range(100)]
    return [2 if month_day in (229, 289) else one for month_day, one in enumerate(found)]


# Looked up rather than computed: a column of numbers is checked ten times as fast.
DAYS = pl.Series(days(), dtype=pl.Int8)
LUHN = pl.Series([sum(sum(divmod(int(d) * w, 10)) for d, w in zip(f"{three:03d}", (2, 1, 2), strict=True)) for three in range(1000)])
LUHN_BETWEEN = pl.Series(
    [sum(sum(divmod(int(d) * w, 10)) for d, w in zip(f"{three:03d}", (1, 2, 1), strict=True)) for three in range(1000)]
)


def valid(number: pl.Expr) -> pl.Expr:
    """The same for a column: Boolean, never null."""
    value = number.cast(pl.Int64, strict=False)  # cheap, as it stands in each of the terms
    year, serial = value // 10**8, value // 10 % 1000
    total = pl.lit(LUHN).gather(value // 10**7 % 1000) + pl.lit(LUHN_BETWEEN).gather(value // 10**4 % 1000) + pl.lit(LUHN).gather(serial)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    real = pl.lit(DAYS).gather(value // 10**4 % 10**4)
    twelve = number.str.contains(r"^[0-9]{12}$")
    right = twelve & (serial != 0) & (year >= 1) & ((real == 1) | ((real == 2) & leap)) & ((10 - total % 10) % 10 == value % 10)
    return right.fill_null(False)
