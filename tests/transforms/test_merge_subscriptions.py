"""R12: when two persons become one, so do their subscriptions."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frames import SUBSCRIPTIONS
from tests.oracle import persons as oracle
from tests.transforms.facts import ANNA, BO, CIA, Row, day
from transforms.merge_subscriptions import merge_subscriptions

MOVES = {BO: ANNA}
KEY = ("partner", "person", "benefit")


def subscription(from_date: str = "05-01", end_date: str | None = None, **fields: Any) -> Row:
    """Anna's FK:SJP for partner P, told under her number."""
    return {
        "bucket": 0,
        "partner": "P",
        "person": ANNA,
        "benefit": "FK:SJP",
        "purpose": "insurance",
        "from_date": day(from_date),
        "end_date": end_date and day(end_date),
        "numbers": [ANNA],
        "protected": False,
        "initial_due": False,
        "delivered": True,
        "deviation_number": None,
        "heal_due": False,
        "snapshot_night": 3,
        **fields,
    }


def merged(*rows: Row, moves: dict[str, str] = MOVES) -> list[Row]:
    found = merge_subscriptions(pl.DataFrame(rows, SUBSCRIPTIONS, orient="row"), moves)
    assert found.schema == SUBSCRIPTIONS
    return found.to_dicts()


@pytest.mark.parametrize(
    ("stays", "goes"),
    [
        (("04-30", None), ("05-01", None)),
        (("04-30", "06-01"), ("05-01", None)),
        (("05-01", None), ("05-01", "12-31")),
        (("05-01", "12-31"), ("05-01", "12-30")),
    ],
)
def test_the_earliest_stays_as_it_is_then_the_one_without_end_then_the_one_that_ends_later(stays: Any, goes: Any) -> None:
    one = subscription(*stays, purpose="insurance", snapshot_night=7, initial_due=True)
    other = subscription(*goes, purpose="pension", numbers=[BO], protected=True, heal_due=True)
    for rows in ((one, other), (other, one)):
        assert merged(*rows) == [one | {"numbers": sorted([ANNA, BO])}]


def test_a_deviation_told_to_either_still_stands() -> None:
    told = subscription("05-02", numbers=[BO], deviation_number=BO)
    assert [row["deviation_number"] for row in merged(subscription(), told)] == [BO]
    assert [row["deviation_number"] for row in merged(subscription(deviation_number=ANNA), told)] == [ANNA]


def test_what_was_told_to_neither_is_told_to_nobody() -> None:
    assert merged(subscription(numbers=[]), subscription("05-02", numbers=[])) == [subscription(numbers=[])]


@pytest.mark.parametrize("other", [{"partner": "Q"}, {"person": CIA}, {"benefit": "FK:FP"}])
def test_subscriptions_of_another_partner_person_or_benefit_stay_apart(other: Row) -> None:
    assert len(merged(subscription(), subscription("05-02", **other))) == 2


def test_three_become_one() -> None:
    assert merged(subscription("05-03", numbers=[CIA]), subscription("05-02", numbers=[BO]), subscription("05-04")) == [
        subscription("05-02", numbers=sorted([ANNA, BO, CIA]))
    ]


def test_without_moves_nothing_is_touched() -> None:
    rows = [subscription("05-02"), subscription(benefit="FK:FP")]
    assert merged(*rows, moves={}) == rows


NUMBERS = st.lists(st.sampled_from([ANNA, BO, CIA]), unique=True, max_size=3).map(sorted)
ROW = st.builds(
    lambda partner, first, end, numbers, deviation, place: subscription(
        first, end, partner=partner, numbers=numbers, deviation_number=deviation, snapshot_night=place
    ),
    st.sampled_from("PQ"),
    st.sampled_from(["05-01", "05-02"]),
    st.sampled_from([None, "06-01", "06-02"]),
    NUMBERS,
    st.sampled_from([None, None, ANNA, BO]),
    st.integers(0, 99),
)


@settings(max_examples=80, deadline=None)
@given(rows=st.lists(ROW, max_size=7, unique_by=lambda row: (row["partner"], row["from_date"], row["end_date"])))
def test_any_subscriptions_merge_as_one_by_one(rows: list[Row]) -> None:
    groups = sorted({tuple(row[name] for name in KEY) for row in rows})
    expected = [oracle.merge(row for row in rows if tuple(row[name] for name in KEY) == group) for group in groups]
    assert merged(*rows) == expected
