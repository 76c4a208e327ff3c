"""What the guarantee benefit comes to (R41; SFB 35 kap.; DOMAIN section 5). All in whole numbers, so that nothing is rounded but once."""

from collections.abc import Sequence
from datetime import date

import polars as pl

from schemas.rules import AgeBand

HUNDREDTHS, FORTIETHS, PERMILLE = 100, 40, 1000
PARTS = HUNDREDTHS * FORTIETHS * PERMILLE  # of a krona: in these a level is a whole number
INSURANCE_YEARS = (3, 40)


def yearly_guarantee(
    birth_date: pl.Expr, years: pl.Expr, extent_permille: pl.Expr, income_sek: pl.Expr, on: date, bands: Sequence[AgeBand], base_sek: int
) -> pl.Expr:
    """The yearly amount in kronor, a multiple of 12 (Int64); null where insurance years are outside 3..40, or there is no birth date.

    extent_permille: null counts as 1000; income_sek: the income-related part of a year, Decimal(12,2), at the extent already; on: the date whose age counts;
    bands and base_sek: the factors and the prisbasbelopp of that date.
    """
    factor = factor_hundredths(birth_date, on, bands) * base_sek * years * extent_permille.fill_null(PERMILLE)
    ore = (income_sek * 100).cast(pl.Int64())
    parts = factor - ore * (PARTS // 100)
    twelve = 12 * PARTS
    rounded = (parts + twelve // 2) // twelve * 12
    return pl.when(years.is_between(*INSURANCE_YEARS)).then(pl.when(parts < twelve).then(pl.lit(0, pl.Int64())).otherwise(rounded))


def factor_hundredths(birth_date: pl.Expr, on: date, bands: Sequence[AgeBand]) -> pl.Expr:
    """The factor of a person's age band, in hundredths. A band holds from the first day of the month in which its age is reached."""
    age = (on.year * 12 + on.month - birth_date.dt.year() * 12 - birth_date.dt.month()) // 12
    last = bands[-1]
    chosen = pl.lit(int(last.factor * HUNDREDTHS), pl.Int64())
    for band in reversed(bands[:-1]):
        chosen = pl.when(age < band.below).then(pl.lit(int(band.factor * HUNDREDTHS), pl.Int64())).otherwise(chosen)
    return pl.when(birth_date.is_not_null()).then(chosen)
