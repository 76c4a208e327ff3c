"""R41: published amounts, and every age, extent and income against exact fractions."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contracts import BENEFIT_FACT
from schemas.rules import GuaranteeRules
from storage.conf import packaged
from tests.oracle import recalculation as oracle
from transforms.guarantee import factor_hundredths, yearly_guarantee

RULES = GuaranteeRules.model_validate(yaml.safe_load(packaged("rules/guarantee.yaml")))
COLUMNS = {"birth_date": pl.Date(), "years": pl.Int32(), "extent": pl.Int32(), "income": BENEFIT_FACT.frame["amount"]}
Row = tuple[date | None, int, int | None, Decimal]


def yearly(on: date, *rows: Row) -> list[int | None]:
    """The yearly amounts of (birth date, insurance years, extent, income-related part)."""
    bands, base = RULES.bands_on(on), RULES.base_amount_on(on)
    assert bands is not None
    assert base is not None
    amount = yearly_guarantee(pl.col("birth_date"), pl.col("years"), pl.col("extent"), pl.col("income"), on, bands, base)
    found = pl.DataFrame(list(rows), COLUMNS, orient="row").select(amount).to_series()
    assert found.dtype == pl.Int64
    return found.to_list()


def monthly(on: str, born: str, years: int = 40, extent: int | None = 1000, income: str = "0") -> int | None:
    """One monthly amount."""
    amount = yearly(date.fromisoformat(on), (date.fromisoformat(born), years, extent, Decimal(income)))[0]
    return amount if amount is None else amount // 12


def slowly(on: date, row: Row) -> int | None:
    """The same by the book, in fractions."""
    born, years, extent, income = row
    assert born is not None
    return oracle.yearly(on, born, years, extent, income)


@pytest.mark.parametrize(
    ("on", "born", "expected"),
    [
        ("2018-07-01", "1970-01-01", 9593),  # DOMAIN section 5: 9 592.92
        ("2022-01-01", "1998-06-01", 10385),  # DOMAIN section 5: 10 384.50, a tie
        ("2017-07-01", "1970-01-01", 9147),
        ("2022-01-01", "1970-01-01", 11190),
    ],
)
def test_published_amounts_come_out(on: str, born: str, expected: int) -> None:
    assert monthly(on, born) == expected


@pytest.mark.parametrize(
    ("age", "before", "after"), [(21, 223, 228), (23, 228, 233), (25, 233, 238), (27, 238, 243), (29, 243, 248), (30, 248, 253)]
)
@pytest.mark.parametrize("day", [1, 31])
def test_an_age_band_holds_from_the_first_day_of_the_month_in_which_the_age_is_reached(age: int, before: int, after: int, day: int) -> None:
    on = date(2018, 7, 1)
    this_month, next_month = date(2018 - age, 7, day), date(2018 - age, 8, 1)
    bands = RULES.bands_on(on)
    assert bands is not None
    factors = pl.DataFrame({"born": [this_month, next_month]}).select(factor_hundredths(pl.col("born"), on, bands)).to_series().to_list()
    assert factors == [after, before]


def test_who_was_born_on_29_february_reaches_an_age_in_february() -> None:
    february, march = date(2022, 2, 1), date(2022, 1, 31)
    born = date(1992, 2, 29)
    assert yearly(february, (born, 40, 1000, Decimal(0))) == [134280]
    assert yearly(march, (born, 40, 1000, Decimal(0))) == [slowly(march, (born, 40, 1000, Decimal(0)))] == [131856]


def test_no_extent_is_a_full_one() -> None:
    assert monthly("2022-01-01", "1970-01-01", extent=None) == monthly("2022-01-01", "1970-01-01")


@pytest.mark.parametrize(("years", "pays"), [(2, False), (3, True), (40, True), (41, False), (0, False), (-1, False)])
def test_insurance_years_outside_3_to_40_have_no_amount(years: int, pays: bool) -> None:
    assert (monthly("2022-01-01", "1970-01-01", years=years) is not None) == pays


def test_without_a_birth_date_there_is_no_amount() -> None:
    assert yearly(date(2022, 1, 1), (None, 40, 1000, Decimal(0))) == [None]


@pytest.mark.parametrize(
    ("income", "expected"),
    [
        ("134262.01", 0),  # 11.99 is left
        ("134262", 12),  # 12
        ("134256", 24),  # 18, a tie between 12 and 24
        ("134256.01", 12),
        ("134274", 0),
        ("999999999.99", 0),
    ],
)
def test_under_twelve_kronor_a_year_lapses_and_ties_go_up(income: str, expected: int) -> None:
    assert yearly(date(2022, 1, 1), (date(1970, 1, 1), 40, 1000, Decimal(income))) == [expected]


def test_every_extent_and_every_number_of_years_is_exact() -> None:
    on = date(2022, 1, 1)
    rows: list[Row] = [(date(1998, 6, 1), years, extent, Decimal("0.00")) for years in range(3, 41) for extent in range(1, 1001)]
    assert yearly(on, *rows) == [slowly(on, row) for row in rows]


dates_of_rules = st.dates(date(2017, 7, 1), date(2026, 12, 31))
month_borders = st.builds(date, st.integers(1950, 2010), st.integers(1, 12), st.sampled_from([1, 2, 15, 27, 28])) | st.just(
    date(2000, 2, 29)
)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_random_persons_get_what_fractions_give(data: Any) -> None:
    on = data.draw(dates_of_rules)
    born, years = data.draw(month_borders), data.draw(st.integers(0, 43))
    extent = data.draw(st.none() | st.integers(1, 1000))
    level = slowly(on, (born, years, extent, Decimal(0))) or 0
    near = st.integers(-3000, 3000).map(lambda ore: max(Decimal(level) - Decimal(ore) / 100, Decimal(0)))
    income = data.draw(st.decimals(0, 200_000, places=2) | near)
    assert yearly(on, (born, years, extent, income)) == [slowly(on, (born, years, extent, income))]
