"""Control totals (S08): facts and days, counted on both sides of a step."""

from collections import Counter
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frames import UNIT
from tests.oracle.windows import days
from tests.transforms.facts import ANNA, BO, UNITS, Row, fact, facts_frame, span
from transforms.compensate import compensate
from transforms.total import TOTAL, total_decided, total_facts, total_windows, unequal, with_days

UNIT_OF = pl.col("benefit").replace_strict(UNITS, return_dtype=UNIT).alias("unit")
Totals = dict[tuple[int, str], tuple[int, int]]  # bucket, benefit -> facts, days


def totals(frame: pl.DataFrame) -> Totals:
    """A total, which must be sorted and of the declared columns."""
    assert frame.schema == TOTAL
    assert frame.rows() == sorted(frame.rows())
    return {(bucket, benefit): (facts, counted) for bucket, benefit, facts, counted in frame.iter_rows()}


def measured(*facts: Row) -> pl.DataFrame:
    """Held facts with their unit, as `compensate` takes them."""
    return facts_frame(facts).sort("person", "benefit", "fact_id").with_columns(UNIT_OF)


def test_facts_and_the_days_of_all_their_spans_are_counted_by_bucket_and_benefit() -> None:
    facts = [
        fact(bucket=1, spans=[span("05-01", "05-10"), span("05-20", waiting=True)]),
        fact("PAYMENT", bucket=1),
        fact(bucket=0, spans=[span("02-28", "03-01")]),
        fact(bucket=1, benefit="FK:FP", withdrawn=True, spans=[span("05-01"), span("05-01")]),
    ]
    assert totals(total_facts(facts_frame(facts))) == {(0, "FK:SJP"): (1, 3), (1, "FK:SJP"): (2, 11), (1, "FK:FP"): (1, 2)}


def test_nothing_comes_to_nothing() -> None:
    for total, of in ((total_facts, facts_frame([])), (total_decided, measured()), (total_windows, compensate(measured()))):
        assert totals(total(of)) == {}


@pytest.mark.parametrize(
    ("change", "counted"),
    [
        ({}, (1, 9)),
        ({"withdrawn": True}, None),
        ({"kind": "PAYMENT"}, None),
        ({"kind": "RECOVERY_CLAIM"}, None),
        ({"benefit": "PM:LINT"}, None),
        ({"spans": []}, (1, 0)),
        ({"spans": [span("05-01", waiting=True)]}, (1, 0)),
    ],
)
def test_of_decisions_that_hold_the_days_that_are_compensated_are_counted(change: Row, counted: tuple[int, int] | None) -> None:
    facts = measured(fact("DECISION", "05-01", "05-10", spans=[span("05-01", waiting=True), span("05-02", "05-10")]) | change)
    expected = {} if counted is None else {(0, "FK:SJP"): counted}
    assert totals(total_decided(facts)) == totals(total_windows(compensate(facts))) == expected


def test_windows_of_payments_are_not_counted_with_those_of_decisions() -> None:
    decision = fact("DECISION", "05-01", "05-10", spans=[span("05-01", "05-10")])
    facts = measured(decision, fact("PAYMENT", "05-01", "05-05", fact_id="P"))
    assert totals(total_windows(compensate(facts))) == {(0, "FK:SJP"): (1, 10)}


def test_counts_without_ranges_have_no_days() -> None:
    counted = pl.DataFrame([(1, "FK:SJP", 3)], {"bucket": pl.Int32, "benefit": pl.String, "facts": pl.Int64}, orient="row")
    none = pl.DataFrame(schema={"bucket": pl.Int32, "benefit": pl.String, "first": pl.Date, "last": pl.Date})
    assert totals(with_days(counted, none)) == {(1, "FK:SJP"): (3, 0)}


def total(*rows: tuple[int, str, int, int]) -> pl.DataFrame:
    return pl.DataFrame(rows, TOTAL, orient="row")


def test_only_the_places_that_differ_are_named_with_both_sides() -> None:
    one = total((0, "A", 1, 5), (0, "B", 2, 6), (1, "A", 3, 7), (2, "A", 4, 8))
    other = total((0, "A", 1, 5), (0, "B", 2, 5), (1, "A", 4, 7), (3, "A", 9, 0))
    assert unequal(one, other).rows() == [(0, "B", 2, 6, 2, 5), (1, "A", 3, 7, 4, 7), (2, "A", 4, 8, 0, 0), (3, "A", 0, 0, 9, 0)]
    assert unequal(one, one).is_empty()
    assert unequal(total(), total()).is_empty()


def test_a_place_of_nothing_is_equal_to_none() -> None:
    assert unequal(total((0, "A", 0, 0)), total()).is_empty()


MAY = date(2024, 5, 1)
SPANS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4), st.booleans(), st.sampled_from([500, 1000])), max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([ANNA, BO]), st.sampled_from(["FK:SJP", "FK:TFP", "FK:AS", "PM:LINT"]), SPANS), max_size=6))
def test_what_goes_into_the_windows_comes_out_of_them(drawn: list[tuple[str, str, list[tuple[int, int, bool, int]]]]) -> None:
    facts: list[Row] = []
    for place, (person, benefit, spans) in enumerate(drawn):
        rows: list[Any] = []
        for first, length, waiting, extent in spans:
            start = MAY + timedelta(days=first)
            row = {"first": start, "last": start + timedelta(days=length), "extent_permille": extent, "level": None, "waiting": waiting}
            if benefit == "FK:TFP" or not any(row["first"] <= other["last"] and other["first"] <= row["last"] for other in rows):
                rows.append(row)
        facts.append(fact(person=person, bucket=int(person == BO), benefit=benefit, fact_id=f"F{place}", spans=rows))
    held = measured(*facts)
    inside: Counter[tuple[int, str]] = Counter()
    for each in facts:
        inside[each["bucket"], each["benefit"]] += sum(len(list(days(row["first"], row["last"]))) for row in each["spans"])
    assert {place: counted for place, (_, counted) in totals(total_facts(held)).items()} == dict(inside)
    assert unequal(total_decided(held), total_windows(compensate(held))).is_empty()
