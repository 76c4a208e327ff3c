"""R44: which records a retraction takes back, and what it says of the facts that lost some."""

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frames import FACTS
from tests.transforms.facts import ANNA, BO, Row, fact, facts_frame
from transforms.retract import RETRACTED, gone_reasons, retracted_rows, retractions_frame, without_retracted

Retraction = tuple[str, int, str]  # source run, first arrival that is new again, reason


def record(arrival: int, source_run: str = "wrong", **fields: Any) -> Row:
    return fact(arrival=arrival, source_run=source_run) | fields


def left(records: list[Row], *retractions: Retraction) -> list[int]:
    """The arrivals of the records that still count."""
    return without_retracted(facts_frame(records), retractions_frame(retractions))["arrival"].to_list()


def reasons(records: list[Row], *retractions: Retraction) -> dict[tuple[str, str, str], str]:
    """Why facts lost records."""
    rows = gone_reasons(facts_frame(records), retractions_frame(retractions)).iter_rows()
    return {(person, benefit, fact_id): reason for person, benefit, fact_id, reason in rows}


def test_retractions_stand_in_the_order_in_which_they_were_given() -> None:
    frame = retractions_frame([("b", 5, "second thoughts"), ("a", 3, "first")])
    assert frame.schema == RETRACTED
    assert frame.rows() == [("b", 5, "second thoughts", 0), ("a", 3, "first", 1)]
    assert retractions_frame([]).schema == RETRACTED


def test_what_the_run_brought_before_the_retraction_counts_no_more_and_all_else_does_in_its_order() -> None:
    records = [record(4), record(1), record(2, "right"), record(5), record(0, "right")]
    assert left(records, ("wrong", 5, "R")) == [2, 5, 0]


def test_nothing_is_lost_where_nothing_was_retracted() -> None:
    records = [record(2), record(1)]
    assert left(records) == left(records, ("other", 9, "R")) == [2, 1]
    assert without_retracted(FACTS.to_frame(), retractions_frame([("wrong", 9, "R")])).schema == FACTS


def test_a_run_that_was_retracted_twice_lost_what_either_took() -> None:
    assert left([record(1), record(3), record(5)], ("wrong", 2, "R"), ("wrong", 4, "S")) == [5]
    assert left([record(1), record(3), record(5)], ("wrong", 4, "S"), ("wrong", 2, "R")) == [5]


def test_the_rows_that_were_retracted_say_by_which_retraction_and_why() -> None:
    rows = retracted_rows(facts_frame([record(1), record(2, "right"), record(9)]), retractions_frame([("wrong", 5, "R")]))
    assert rows.select("arrival", "retraction", "turn").rows() == [(1, "R", 0)]


def test_a_fact_that_lost_records_has_the_reason_of_the_last_retraction() -> None:
    records = [
        record(1),
        record(2, "worse"),
        record(3, "right"),
        record(4, fact_id="G"),
        record(5, "right", fact_id="H"),
        record(6, person=BO),
    ]
    assert reasons(records, ("worse", 9, "late"), ("wrong", 9, "later")) == {
        (ANNA, "FK:SJP", "F"): "later",
        (ANNA, "FK:SJP", "G"): "later",
        (BO, "FK:SJP", "F"): "later",
    }
    assert reasons(records[:2], ("wrong", 9, "first"), ("worse", 9, "second")) == {(ANNA, "FK:SJP", "F"): "second"}
    assert reasons(records) == {}


RUNS = st.sampled_from(["a", "b", "c"])
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "source_run": RUNS,
            "fact_id": st.sampled_from("FG"),
            "person": st.sampled_from([ANNA, BO]),
            "benefit": st.sampled_from(["FK:SJP", "FK:FP"]),
        }
    ),
    max_size=12,
)
RETRACTIONS = st.lists(st.tuples(RUNS, st.integers(0, 13), st.sampled_from("xyz")), max_size=4)


@settings(max_examples=60, deadline=None)
@given(drawn=RECORDS, retractions=RETRACTIONS)
def test_any_retractions_take_back_what_each_takes_one_by_one(drawn: list[Row], retractions: list[Retraction]) -> None:
    records = [record(place) | fields for place, fields in enumerate(drawn)]
    counting = list(records)
    expected: dict[tuple[str, str, str], str] = {}
    for run, before, reason in retractions:
        for each in records:
            if each["source_run"] == run and each["arrival"] < before:
                expected[each["person"], each["benefit"], each["fact_id"]] = reason
        counting = [each for each in counting if each["source_run"] != run or each["arrival"] >= before]
    assert left(records, *retractions) == [each["arrival"] for each in counting]
    assert reasons(records, *retractions) == expected
    found = gone_reasons(facts_frame(records), retractions_frame(retractions))
    assert found.schema == pl.Schema(dict.fromkeys(("person", "benefit", "fact_id", "retraction"), pl.String()))
