"""Personnummer and samordningsnummer (R10; DOMAIN section 3). Twelve digits, always a string."""

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


def valid(number: pl.Expr) -> pl.Expr:
    """The same for a column: Boolean, never null."""
    value = pl.when(number.str.contains(r"^[0-9]{12}$")).then(number).cast(pl.Int64)
    digits = [value // 10 ** (11 - place) % 10 for place in range(2, 11)]
    weighted = [digit * weight for digit, weight in zip(digits, WEIGHTS, strict=True)]
    total = pl.sum_horizontal([w // 10 + w % 10 for w in weighted])
    year, month, day = value // 10**8, value // 10**6 % 100, value // 10**4 % 100
    shown = pl.when(day > 60).then(day - 60).otherwise(day)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    length = (
        pl.when(month == 2)
        .then(28 + leap.cast(pl.Int8))
        .when(month.is_in([4, 6, 9, 11]))
        .then(30)
        .when(month.is_between(1, 12))
        .then(31)
        .otherwise(0)
    )
    right = (value // 10 % 1000 != 0) & (year >= 1) & shown.is_between(1, length) & ((10 - total % 10) % 10 == value % 10)
    return right.fill_null(False)
