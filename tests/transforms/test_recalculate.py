"""R40: which decisions are made anew, and what stands in them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from schemas.errors import RefusedError
from schemas.frames import FACTS, QUARANTINE
from tests.transforms.facts import ANNA, BO, Row, at, fact, facts_frame, span
from tests.transforms.test_guarantee import RULES
from transforms.recalculate import CASES, OUTCOMES, Rate, Recalculated, recalculate

JULY = date(2018, 7, 1)
MIDNIGHT = datetime(2018, 6, 11, tzinfo=UTC)
BORN = pl.DataFrame({"person": [ANNA, BO], "birth_date": [date(1970, 1, 1), date(1998, 6, 1)]})


def guarantee(years: int = 40, income: str = "0.00") -> Row:
    return {"insurance_years": years, "income_related_yearly": Decimal(income), "yearly_amount": Decimal("1.00")}


def decision(fact_id: str = "X", first: str | None = "2017-01-01", last: str | None = None, **fields: Any) -> Row:
    """Anna's decision on FK:SA with a full guarantee, of 9147 kronor, where nothing else is said."""
    usual = {"benefit": "FK:SA", "fact_id": fact_id, "guarantee": guarantee(), "amount": Decimal("9147.00")}
    return fact("DECISION", first, last, **(usual | fields))


def recalculated(*facts: Row, rejected: Row | None = None, done: pl.DataFrame | None = None, effective: date = JULY) -> Recalculated:
    stored = facts_frame(facts)
    refused = pl.DataFrame([{"drop_benefit": "FK:SA", **rejected, "code": "INVALID_SPAN"}] if rejected else [], QUARANTINE, orient="row")
    rate = Rate(RULES, effective)
    found = recalculate(
        stored, refused, BORN, rate, "Higher guarantee", "recalculation-1", MIDNIGHT, CASES.to_frame() if done is None else done
    )
    assert (found.decisions.schema, found.outcomes.schema) == (FACTS, OUTCOMES)
    return found


def made(*facts: Row, **others: Any) -> list[tuple[str, int, str]]:
    """(fact_id, version, refers_to) of the new decisions."""
    return list(recalculated(*facts, **others).decisions.select("fact_id", "version", "refers_to").iter_rows())


def results(*facts: Row, **others: Any) -> list[str]:
    return recalculated(*facts, **others).outcomes["result"].to_list()


def test_a_new_decision_has_the_new_amount_from_the_effective_date_and_all_else_of_the_old_one() -> None:
    spans = [
        span("2017-01-01", "2018-06-30", 500),
        span("2018-07-01", "2018-07-31", 750),
        span("2018-08-01", "2018-12-31", level="L", waiting=True),
    ]
    old = decision(
        last="2018-12-31", spans=[*spans[:1], *spans[1:]], outcome="BEVILJAN", status="S", country="SE", stated_days=3, reason="old"
    )
    new = recalculated(old).decisions
    assert new.to_dicts() == [
        old
        | {
            "fact_id": "X@2018-07-01",
            "version": 1,
            "period_from": JULY,
            "spans": spans[1:],
            "amount": Decimal("9593.00"),
            "guarantee": guarantee() | {"yearly_amount": Decimal("115116.00")},
            "refers_to": "X",
            "reason": "Higher guarantee",
            "recorded_at": MIDNIGHT,
            "source_run": "recalculation-1",
            "arrival": None,
        }
    ]


def test_a_span_over_the_effective_date_is_cut_to_it_and_an_open_period_stays_open() -> None:
    new = recalculated(decision(spans=[span("2017-01-01", "2019-12-31", 750)])).decisions.to_dicts()[0]
    assert (new["period_from"], new["period_to"], new["spans"]) == (JULY, None, [span("2018-07-01", "2019-12-31", 750)])


def test_a_span_that_ends_on_the_effective_date_keeps_that_day() -> None:
    new = recalculated(decision(spans=[span("2018-06-01", "2018-06-30"), span("2018-06-30", "2018-07-01")])).decisions
    assert new["spans"].to_list() == [[span("2018-07-01")]]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (None, None, ["NEW"]),
        ("2018-07-01", "2018-07-01", ["NEW"]),
        ("2017-01-01", "2018-06-30", []),
        ("2018-07-02", None, []),
        (None, "2018-07-01", ["NEW"]),
    ],
)
def test_only_what_covers_the_effective_date_is_recalculated(first: str | None, last: str | None, expected: list[str]) -> None:
    assert results(decision(first=first, last=last)) == expected


@pytest.mark.parametrize(
    "change", [{"withdrawn": True}, {"guarantee": None}, {"kind": "PAYMENT"}, {"benefit": "FK:BOB"}, {"kind": "LIFE_CERTIFICATE"}]
)
def test_only_held_decisions_on_the_benefit_with_a_guarantee_are_recalculated(change: Row) -> None:
    assert results(decision() | change) == []


def test_of_each_case_the_deciding_decision_alone_is_recalculated() -> None:
    older = decision("A", recorded_at=at(0))
    newer = decision("B", recorded_at=at(1))
    elsewhere = decision("C", case_id="D", recorded_at=at(0))
    assert made(newer, older, elsewhere) == [("B@2018-07-01", 1, "B"), ("C@2018-07-01", 1, "C")]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"recorded_at": at(0), "version": 2, "fact_id": "B"}, {"recorded_at": at(1), "version": 1, "fact_id": "A"}),
        ({"version": 1, "fact_id": "B"}, {"version": 2, "fact_id": "A"}),
        ({"fact_id": "A"}, {"fact_id": "B"}),
    ],
)
def test_the_latest_recorded_then_highest_version_then_highest_fact_id_decides(older: Row, newer: Row) -> None:
    for facts in ((older, newer), (newer, older)):
        assert [refers_to for _, _, refers_to in made(*(decision() | each for each in facts))] == [newer["fact_id"]]


def test_decisions_and_outcomes_come_by_bucket_person_and_fact() -> None:
    placed = [(ANNA, 1, "Y"), (ANNA, 1, "X"), (ANNA, 1, "X-"), (BO, 1, "Z"), (ANNA, 0, "W")]
    facts = [decision(name, case_id=f"C{name}", person=of, personnummer=of, bucket=bucket) for of, bucket, name in placed]
    result = recalculated(*facts)
    assert result.outcomes["case_id"].to_list() == ["CW", "CZ", "CX", "CX-", "CY"]
    assert result.decisions["refers_to"].to_list() == ["W", "Z", "X-", "X", "Y"]


def test_nothing_is_recalculated_where_a_decision_without_guarantee_decides() -> None:
    assert made(decision("A"), decision("B", guarantee=None, recorded_at=at(1))) == []


def test_a_superseded_version_decides_nothing() -> None:
    assert made(decision(version=1, recorded_at=at(5)), decision(version=2, first="2019-01-01")) == []


def test_a_suffix_of_the_same_date_is_not_put_twice_and_the_version_rises() -> None:
    before = decision("X@2018-07-01", "2018-07-01", version=2, amount=Decimal("9000.00"), recorded_at=at(1))
    assert made(decision(), before) == [("X@2018-07-01", 3, "X")]


def test_a_suffix_of_another_date_belongs_to_the_name() -> None:
    assert made(decision("X@2017-07-01")) == [("X@2017-07-01@2018-07-01", 1, "X@2017-07-01")]


def test_the_version_is_above_withdrawn_and_rejected_ones() -> None:
    withdrawn = decision("X@2018-07-01", "2018-07-01", version=4, withdrawn=True)
    assert made(decision(), withdrawn) == [("X@2018-07-01", 5, "X")]
    assert made(decision(), withdrawn, rejected=withdrawn | {"version": 7}) == [("X@2018-07-01", 8, "X")]
    assert made(decision(), withdrawn, rejected=withdrawn | {"version": 7, "drop_benefit": "FK:BOB"}) == [("X@2018-07-01", 5, "X")]


def test_after_the_last_version_that_there_can_be_no_other_is_made() -> None:
    last = decision("X@2018-07-01", "2018-07-01", version=(1 << 31) - 1, withdrawn=True)
    result = recalculated(decision(), last)
    assert result.decisions.is_empty()
    assert result.outcomes.select("result", "after").rows() == [("OUT_OF_RANGE", None)]


def test_an_amount_that_stays_needs_no_new_decision() -> None:
    assert results(decision(amount=Decimal("9593.00"))) == ["UNCHANGED"]
    assert results(decision(amount=Decimal("9593.01"))) == ["NEW"]
    assert results(decision(amount=None)) == ["NEW"]


def test_an_amount_of_nothing_is_an_amount() -> None:
    new = recalculated(decision(guarantee=guarantee(income="500000.00"))).decisions
    assert new["amount"].to_list() == [Decimal(0)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"person": "199912319999"}, "NO_PERSON"),
        ({"guarantee": guarantee(2)}, "NO_YEARS"),
        ({"guarantee": guarantee(41)}, "NO_YEARS"),
        ({"guarantee": guarantee(income="-9999999999.99")}, "OUT_OF_RANGE"),
    ],
)
def test_who_is_not_registered_or_has_impossible_figures_is_skipped_and_counted(change: Row, expected: str) -> None:
    result = recalculated(decision() | change)
    assert result.decisions.is_empty()
    assert result.outcomes["result"].to_list() == [expected]


def test_a_case_that_was_looked_at_is_not_looked_at_again() -> None:
    assert results(decision(), decision("Y", case_id="D"), done=pl.DataFrame({"person": [ANNA], "case_id": ["C"]})) == ["NEW"]


def test_the_amount_is_that_of_the_age_on_the_effective_date() -> None:
    young = decision(person=BO, personnummer=BO)
    assert recalculated(young, effective=date(2022, 1, 1)).decisions["amount"].to_list() == [Decimal(10385)]


@pytest.mark.parametrize(
    ("effective", "text"), [(date(2016, 1, 1), "no factor for 2016-01-01"), (date(2027, 1, 1), "no base amount for 2027")]
)
def test_a_date_without_factor_or_base_amount_is_refused(effective: date, text: str) -> None:
    with pytest.raises(RefusedError, match=text):
        Rate(RULES, effective)
