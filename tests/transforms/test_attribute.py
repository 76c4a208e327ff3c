"""R30: which decision decides about which days of a payment, for whoever asks why."""

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frames import UNIT
from tests.oracle import windows as oracle
from tests.transforms.facts import ANNA, BO, UNITS, Row, at, fact, facts_frame, span
from transforms.attribute import DECIDED, attribute

UNIT_OF = pl.col("benefit").replace_strict(UNITS, return_dtype=UNIT).alias("unit")


def decided(*facts: Row) -> list[tuple[str, str, str, str]]:
    """(payment, decision, first, last) as MM-DD."""
    found = attribute(facts_frame(facts).sort("person", "benefit", "fact_id").with_columns(UNIT_OF))
    assert found.schema == DECIDED
    assert found.rows() == sorted(found.rows(), key=lambda row: (row[0].encode(), row[1].encode(), row[2].encode(), row[4]))
    return [(payment, decision, f"{first:%m-%d}", f"{last:%m-%d}") for _, _, payment, decision, first, last in found.iter_rows()]


def payment(first: str = "05-01", last: str = "05-20", **fields: object) -> Row:
    return fact("PAYMENT", first, last, fact_id="P", **fields)


def test_a_decision_decides_about_the_days_that_it_shares_with_the_payment() -> None:
    assert decided(fact("DECISION", "05-10", "05-31"), payment()) == [("P", "F", "05-10", "05-20")]
    assert decided(fact("DECISION", "04-10", "05-02"), payment()) == [("P", "F", "05-01", "05-02")]
    assert decided(fact("DECISION", None, None), payment()) == [("P", "F", "05-01", "05-20")]


def test_a_decision_without_compensated_days_decides_too() -> None:
    assert decided(fact("DECISION", "05-01", "05-31", spans=[span("05-01", waiting=True)]), payment()) == [("P", "F", "05-01", "05-20")]


def test_the_later_of_two_decides_where_both_could() -> None:
    old = fact("DECISION", "05-01", "05-20", fact_id="old", recorded_at=at(1))
    new = fact("DECISION", "05-06", "05-08", fact_id="new", recorded_at=at(2))
    assert decided(old, new, payment()) == [("P", "old", "05-01", "05-05"), ("P", "new", "05-06", "05-08"), ("P", "old", "05-09", "05-20")]


def test_days_that_no_decision_covers_are_left_out() -> None:
    early, late = fact("DECISION", "05-01", "05-02", fact_id="A"), fact("DECISION", "05-19", "05-31", fact_id="B")
    assert decided(early, late, payment()) == [("P", "A", "05-01", "05-02"), ("P", "B", "05-19", "05-20")]
    assert decided(payment()) == []


@pytest.mark.parametrize(
    "other",
    [
        {"person": BO},
        {"benefit": "FK:TFP"},
        {"case_id": "D"},
        {"withdrawn": True},
        {"kind": "LIFE_CERTIFICATE"},
        {"period_to": date(2024, 4, 30)},
    ],
)
def test_what_is_of_somebody_or_something_else_decides_nothing(other: Row) -> None:
    assert decided(fact("DECISION", "04-01", "05-31") | other, payment()) == []


@pytest.mark.parametrize("other", [{"withdrawn": True}, {"kind": "RECOVERY_CLAIM"}, {"kind": "DECISION", "fact_id": "G"}])
def test_only_payments_that_hold_are_decided_about(other: Row) -> None:
    assert decided(fact("DECISION", "05-01", "05-31"), payment() | other) == []


def test_nothing_is_decided_about_events() -> None:
    assert decided(fact("DECISION", "05-01", "05-31", benefit="PM:LINT"), payment(benefit="PM:LINT")) == []


def test_payments_come_by_person_and_benefit_whatever_their_ids() -> None:
    facts = []
    for person, benefit, payment_id in ((BO, "FK:SJP", "Z"), (BO, "FK:TFP", "Y"), (ANNA, "FK:SJP", "X"), (ANNA, "FK:TFP", "W")):
        of = {"person": person, "benefit": benefit}
        facts += [fact("DECISION", "05-01", "05-31") | of, payment() | of | {"fact_id": payment_id}]
    assert [payment for payment, *_ in decided(*facts)] == ["Z", "Y", "X", "W"]


MAY = date(2024, 5, 1)
PERIOD = st.tuples(st.integers(0, 12), st.integers(0, 8))
DRAWN = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["DECISION", "DECISION", "PAYMENT"]),
            "person": st.sampled_from([ANNA, BO]),
            "benefit": st.sampled_from(["FK:SJP", "FK:SA"]),
            "case_id": st.sampled_from("CD"),
            "period": PERIOD,
            "open": st.sampled_from([None, None, "period_from", "period_to"]),
            "withdrawn": st.sampled_from([False, False, True]),
            "recorded_at": st.integers(0, 2).map(at),
            "version": st.integers(1, 2),
        }
    ),
    max_size=9,
)


@settings(max_examples=100, deadline=None)
@given(DRAWN)
def test_any_payments_days_are_decided_as_day_by_day(drawn: list[Row]) -> None:
    facts = []
    for place, fields in enumerate(drawn):
        (first, length), side = fields["period"], fields["open"]
        period: Row = {"period_from": MAY + timedelta(days=first), "period_to": MAY + timedelta(days=first + length)}
        if side and fields["kind"] == "DECISION":
            period[side] = None
        facts.append(fact() | {name: fields[name] for name in fields if name not in ("period", "open")} | period | {"fact_id": f"F{place}"})
    expected = set()
    for each in facts:
        if each["kind"] != "PAYMENT" or each["withdrawn"]:
            continue
        same = [other for other in facts if (other["person"], other["benefit"]) == (each["person"], each["benefit"])]
        for day in oracle.days(each["period_from"], each["period_to"]):
            decision = oracle.deciding(each, same, day)
            if decision is not None:
                expected.add((each["person"], each["benefit"], each["fact_id"], decision["fact_id"], day))
    found = attribute(facts_frame(facts).sort("person", "benefit", "fact_id").with_columns(UNIT_OF))
    days = [
        (person, benefit, of, decision, day)
        for person, benefit, of, decision, first, last in found.iter_rows()
        for day in oracle.days(first, last)
    ]
    assert found.rows() == sorted(found.rows(), key=lambda row: (row[0], row[1], row[2], row[4]))
    assert len(days) == len(set(days))
    assert set(days) == expected
