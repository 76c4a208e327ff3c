"""R36: which groups a rejected record freezes, and what cures it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle import facts as oracle
from tests.transforms.facts import ANNA, BO, Row, fact, facts_frame
from tests.transforms.kernel import quarantine
from transforms.freeze import FROZEN, freeze
from transforms.hold import hold

SJP, FP = "FK:SJP", "FK:FP"


def rejected(code: str = "INVALID_SPAN", version: int = 2, **fields: Any) -> Row:
    return fact(version=version) | {"drop_benefit": SJP, "code": code} | fields


def frozen(records: list[Row], facts: list[Row]) -> dict[tuple[str, str], str]:
    found = freeze(quarantine(records), hold(facts_frame(facts)))
    assert found.schema == FROZEN
    return {(person, benefit): code for person, benefit, code in found.iter_rows()}


@pytest.mark.parametrize(
    ("code", "held_version", "freezes"),
    [
        ("INVALID_SPAN", None, True),
        ("INVALID_SPAN", 1, True),
        ("INVALID_SPAN", 2, False),
        ("INVALID_SPAN", 3, False),
        ("VERSION_CONFLICT", 2, True),
        ("VERSION_CONFLICT", 3, False),
        ("WRONG_BENEFIT", None, True),
        ("INVALID_PERSONNUMMER", None, False),
    ],
)
def test_a_record_freezes_until_its_fact_is_held_with_as_high_a_version(code: str, held_version: int | None, freezes: bool) -> None:
    facts = [] if held_version is None else [fact(version=held_version)]
    assert frozen([rejected(code)], facts) == ({(ANNA, SJP): code} if freezes else {})


def test_a_conflict_at_the_highest_version_that_there_is_freezes_too() -> None:
    highest = 2**31 - 1
    assert frozen([rejected("VERSION_CONFLICT", highest)], [fact(version=highest)]) == {(ANNA, SJP): "VERSION_CONFLICT"}
    assert frozen([rejected("INVALID_SPAN", highest)], [fact(version=highest)]) == {}


@pytest.mark.parametrize("other", [{"person": BO}, {"benefit": FP}, {"fact_id": "G"}])
def test_another_persons_benefits_or_fact_cures_nothing(other: Row) -> None:
    assert frozen([rejected()], [fact(version=9) | other]) == {(ANNA, SJP): "INVALID_SPAN"}


def test_a_withdrawn_fact_cures_too() -> None:
    assert frozen([rejected()], [fact(version=2, withdrawn=True)]) == {}


def test_a_record_without_fact_id_freezes_until_it_is_released() -> None:
    assert frozen([rejected("MISSING_FIELD", fact_id="")], [fact(version=9)]) == {(ANNA, SJP): "MISSING_FIELD"}


def test_a_record_without_case_is_cured_by_its_fact() -> None:
    assert frozen([rejected("MISSING_FIELD", case_id="")], [fact(version=2)]) == {}


def test_the_drops_benefit_is_frozen_and_not_the_records() -> None:
    assert frozen([rejected("WRONG_BENEFIT", benefit=FP)], []) == {(ANNA, SJP): "WRONG_BENEFIT"}


def test_the_code_is_that_of_the_first_received_record_that_still_freezes() -> None:
    records = [
        rejected("INVALID_EXTENT", fact_id="C", arrival=3),
        rejected("INVALID_PERIOD", fact_id="B", arrival=2),
        rejected("MISSING_FIELD", fact_id="A", arrival=1),
    ]
    assert frozen(records, [fact(fact_id="A", version=2)]) == {(ANNA, SJP): "INVALID_PERIOD"}


def test_groups_come_in_the_order_of_their_first_record() -> None:
    records = [rejected(person=f"person {place % 30}", arrival=-place) for place in range(60)]
    assert [person for person, _ in frozen(records, [])] == [f"person {place % 30}" for place in range(59, 29, -1)]


CODES = ["INVALID_SPAN", "INVALID_SPAN", "VERSION_CONFLICT", "MISSING_FIELD", "WRONG_BENEFIT", "INVALID_PERSONNUMMER"]
KEY = {"person": st.sampled_from([ANNA, BO]), "fact_id": st.sampled_from(["F", "G"]), "version": st.integers(1, 3)}
BENEFIT = st.sampled_from([SJP, FP])


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(st.fixed_dictionaries({**KEY, "drop_benefit": BENEFIT, "code": st.sampled_from(CODES)}), max_size=8),
    facts=st.lists(st.fixed_dictionaries({**KEY, "benefit": BENEFIT}), max_size=8),
)
def test_any_rejected_records_freeze_as_one_by_one(records: list[Row], facts: list[Row]) -> None:
    turned_away = [rejected(**fields) | {"arrival": -place} for place, fields in enumerate(records)]
    stored = [fact(**fields) | {"arrival": place} for place, fields in enumerate(facts)]
    groups = [(person, benefit) for person in (ANNA, BO) for benefit in (SJP, FP)]
    expected = {group: oracle.frozen(*group, turned_away, oracle.hold(stored)) for group in groups}
    assert frozen(turned_away, stored) == {group: code for group, code in expected.items() if code is not None}
