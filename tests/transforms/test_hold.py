"""R20: which record of a fact holds."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frames import FACTS
from tests.oracle import facts as oracle
from tests.transforms.facts import ANNA, BO, Row, at, fact, facts_frame
from transforms.hold import hold


def held(*rows: Row) -> list[Row]:
    return hold(facts_frame(rows)).to_dicts()


@pytest.mark.parametrize(
    ("loses", "holds"),
    [
        ({"version": 9, "recorded_at": at(9), "arrival": 9}, {"version": 10, "recorded_at": at(1), "arrival": 1}),
        ({"version": -1}, {"version": 0}),
        ({"recorded_at": at(1), "arrival": 9}, {"recorded_at": at(2), "arrival": 1}),
        ({"arrival": 1}, {"arrival": 2}),
        ({"version": 1, "withdrawn": False}, {"version": 2, "withdrawn": True}),
    ],
)
def test_the_highest_version_then_the_later_recorded_then_the_later_received_holds(loses: Row, holds: Row) -> None:
    first, second = fact(status="loses") | loses, fact(status="holds") | holds
    assert [row["status"] for row in held(first, second)] == ["holds"]
    assert [row["status"] for row in held(second, first)] == ["holds"]


@pytest.mark.parametrize("other", [{"person": BO}, {"benefit": "FK:FP"}, {"fact_id": "G"}])
def test_facts_of_another_person_benefit_or_id_hold_beside_it(other: Row) -> None:
    assert len(held(fact(version=2), fact() | other)) == 2


def test_another_case_or_number_makes_no_other_fact() -> None:
    assert len(held(fact(case_id="D", personnummer=BO, person=ANNA, version=2), fact())) == 1


def test_nothing_holds_of_nothing() -> None:
    assert hold(FACTS.to_frame()).equals(FACTS.to_frame())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "person": st.sampled_from([ANNA, BO]),
                "benefit": st.sampled_from(["FK:FP", "FK:SJP"]),
                "fact_id": st.sampled_from(["", "F", "Ä"]),
                "version": st.integers(-1, 2),
                "recorded_at": st.integers(0, 2).map(at),
            }
        ),
        max_size=30,
    )
)
def test_any_records_hold_as_one_by_one_in_the_order_of_the_store(drawn: list[dict[str, Any]]) -> None:
    rows = [fact(**fields) | {"bucket": int(fields["person"] == BO), "arrival": place} for place, fields in enumerate(drawn)]
    expected = sorted(oracle.hold(rows).values(), key=lambda row: (row["bucket"], row["person"], row["benefit"], row["fact_id"].encode()))
    assert held(*rows) == held(*rows[::-1]) == expected
