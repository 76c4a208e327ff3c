"""The population and its register."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from schemas.contracts import PERSON
from schemas.errors import UsageError
from schemas.personnummer import valid
from synthetic.days import day_number
from synthetic.dice import Dice
from synthetic.people import MOST_PERSONS, People, night_records, populate, stock_records
from synthetic.scenarios import ORDINARY, SCENARIOS

START = date(2026, 1, 5)
SIZE = 20_000
NIGHTS = 5


@pytest.fixture(scope="module")
def people() -> People:
    return populate(Dice((7,)), SIZE, START, ORDINARY)


@pytest.fixture(scope="module")
def stock(people: People) -> pl.DataFrame:
    return stock_records(people, np.arange(SIZE))


def test_ages_reach_from_none_to_a_hundred_and_ten(people: People) -> None:
    ages = people.ages(np.arange(SIZE))
    assert ages.max() == pytest.approx(110, abs=0.1)
    assert ages.min() < 0.2
    assert 38 < np.median(ages) < 45


def test_every_number_is_valid_and_nobody_elses(stock: pl.DataFrame) -> None:
    assert stock.schema == PERSON.frame
    assert stock.select(valid(pl.col("personnummer")).all()).item()
    assert stock["personnummer"].n_unique() == len(stock)


def test_a_population_of_this_size_has_test_numbers_only(stock: pl.DataFrame) -> None:
    assert stock.filter(pl.col("personnummer").str.slice(8, 3) < "980").is_empty()


def test_one_in_a_hundred_was_born_on_another_day_than_the_number_says(stock: pl.DataFrame) -> None:
    year, month, day = (pl.col("personnummer").str.slice(*place).cast(pl.Int32) for place in ((0, 4), (4, 2), (6, 2)))
    in_number = pl.date(year, month, (day - 1) % 60 + 1)
    assert stock.select((in_number != pl.col("birth_date")).mean()).item() == pytest.approx(0.01, abs=0.003)


def test_a_former_number_is_an_older_record_of_the_same_person(stock: pl.DataFrame) -> None:
    changed = stock.filter(pl.col("former_personnummer").is_not_null())
    both = changed.join(stock, left_on="former_personnummer", right_on="personnummer", suffix="_old")
    assert len(both) == len(changed) > 50
    assert both.select((pl.col("recorded_at") > pl.col("recorded_at_old")).all()).item()
    assert both.select((pl.col("birth_date") == pl.col("birth_date_old")).all()).item()
    assert both.select(pl.col("former_personnummer").str.slice(6, 1).cast(pl.Int32).ge(6).all()).item()


def test_some_are_protected_some_are_dead_and_some_live_abroad(stock: pl.DataFrame) -> None:
    shares = stock.select(
        pl.col("protected").mean(), pl.col("deceased_on").is_not_null().mean(), pl.col("country").is_not_null().mean()
    ).row(0)
    assert shares == pytest.approx((0.004, 0.012, 0.012), abs=0.006)


def test_nothing_is_recorded_after_the_first_business_date_or_before_birth(stock: pl.DataFrame) -> None:
    assert stock.select((pl.col("recorded_at").dt.date() <= START).all()).item()
    assert stock.select((pl.col("recorded_at").dt.date() >= pl.col("birth_date")).all()).item()
    assert stock.select((pl.col("deceased_on") < pl.col("recorded_at").dt.date()).all()).item()


def test_a_night_has_births_deaths_new_numbers_and_flags(people: People, stock: pl.DataFrame) -> None:
    known = set(stock["personnummer"])
    for night in range(1, NIGHTS + 1):
        records = night_records(people, night)
        assert records.schema == PERSON.frame
        born = records.filter(~pl.col("personnummer").is_in(list(known)) & pl.col("former_personnummer").is_null())
        renumbered = records.filter(pl.col("former_personnummer").is_not_null())
        assert (len(born), len(renumbered), records["deceased_on"].is_not_null().sum()) == (2, 1, 2)
        assert set(renumbered["former_personnummer"]) <= known
        assert not set(renumbered["personnummer"]) & known
        assert records.select((pl.col("recorded_at").dt.date() == date(2026, 1, 5 + night)).all()).item()
        known |= set(records["personnummer"])


def test_an_attribute_of_the_register_changes_on_its_day(people: People) -> None:
    turning = np.flatnonzero(people.flagged == people.start + 2)
    assert len(turning)
    assert (people.protected(turning, people.start + 1) != people.protected(turning, people.start + 2)).all()
    numbered = np.flatnonzero(people.numbered == people.start + 2)
    assert (people.number(numbered, people.start + 1) != people.number(numbered, people.start + 2)).all()


def test_all_can_be_born_after_1999() -> None:
    young = populate(Dice((7,)), 1000, START, SCENARIOS["S07"])
    assert young.born.min() >= day_number(date(2000, 1, 1))


@pytest.mark.parametrize("size", [0, MOST_PERSONS + 1])
def test_a_population_without_valid_numbers_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match=f"--persons {size}: a synthetic population has 1 to"):
        populate(Dice((7,)), size, START, ORDINARY)


def test_a_single_person_is_a_population_too() -> None:
    assert len(stock_records(populate(Dice((7,)), 1, START, ORDINARY), np.arange(1))) == 1
