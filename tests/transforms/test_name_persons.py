"""R11: who a person is now."""

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frames import PERSONS
from tests.oracle import persons as oracle
from tests.transforms.facts import ANNA, BO, CIA, Row, at, day
from transforms.name_persons import NAMED, name_persons


def record(minute: int, number: str, former: str | None = None, **fields: Any) -> Row:
    """A register record of Anna."""
    blank = {"bucket": 0, "person": ANNA, "birth_date": day("1990-01-15"), "protected": False, "arrival": 0}
    return dict.fromkeys(PERSONS) | blank | {"personnummer": number, "former_personnummer": former, "recorded_at": at(minute)} | fields


def named(*records: Row) -> list[Row]:
    found = name_persons(pl.DataFrame(records, PERSONS, orient="row"))
    assert found.schema == NAMED
    return found.to_dicts()


def number_of(*records: Row) -> str:
    """Anna's number, which the order of the rows does not change."""
    (one,), (other,) = named(*records), named(*records[::-1])
    assert one == other
    return str(one["personnummer"])


def test_a_person_with_one_number_has_that() -> None:
    assert number_of(record(1, ANNA), record(2, ANNA)) == ANNA


def test_persons_come_in_the_order_of_their_keys() -> None:
    keys = [f"1990{place:08}" for place in range(500)]
    assert [row["person"] for row in named(*(record(1, key, person=key) for key in keys[::-1]))] == keys


def test_the_number_is_that_of_the_newest_record_with_a_former_number() -> None:
    assert number_of(record(1, BO, ANNA), record(2, CIA, BO)) == CIA
    assert number_of(record(3, BO, ANNA), record(2, CIA, BO)) == BO


def test_a_newer_record_without_former_number_changes_flag_and_birth_date_but_no_number() -> None:
    newer = record(2, ANNA, protected=True, birth_date=day("1990-01-16"))
    assert named(record(1, BO, ANNA), newer) == [
        {"person": ANNA, "personnummer": BO, "protected": True, "birth_date": day("1990-01-16")},
    ]


def test_an_older_record_that_comes_late_changes_nothing() -> None:
    assert named(record(2, ANNA, protected=True, arrival=1), record(1, ANNA, arrival=2))[0]["protected"] is True


def test_of_records_of_one_time_the_last_received_is_the_newest() -> None:
    assert number_of(record(1, BO, ANNA, arrival=2), record(1, CIA, ANNA, arrival=1)) == BO
    assert named(record(1, ANNA, arrival=1), record(1, ANNA, arrival=2, protected=True))[0]["protected"] is True


RECORD = st.fixed_dictionaries(
    {
        "person": st.sampled_from([ANNA, "another"]),
        "personnummer": st.sampled_from([ANNA, BO, CIA]),
        "former_personnummer": st.sampled_from([None, None, ANNA, BO]),
        "recorded_at": st.integers(0, 3).map(at),
        "protected": st.booleans(),
        "birth_date": st.sampled_from([day("1990-01-15"), day("1990-01-16")]),
    }
)


@settings(max_examples=60, deadline=None)
@given(drawn=st.lists(RECORD, max_size=12), order=st.randoms(use_true_random=False))
def test_any_records_name_as_one_by_one(drawn: list[Row], order: Any) -> None:
    records = [record(0, ANNA) | fields | {"arrival": place} for place, fields in enumerate(drawn)]
    persons = sorted({row["person"] for row in records})
    expected = [
        dict(zip(NAMED, (person, *oracle.name(row for row in records if row["person"] == person)), strict=True)) for person in persons
    ]
    order.shuffle(records)
    assert named(*records) == expected
