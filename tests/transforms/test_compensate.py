"""R30-R34: a table of cases, and random facts against the day-by-day oracle."""

from datetime import date, timedelta
from typing import Any
from unittest import mock

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frames import FACTS, UNIT, WINDOWS
from tests.oracle import windows as oracle
from tests.transforms.facts import ANNA, BO, UNITS, Row, at, day, fact, facts_frame, span
from transforms.compensate import compensate

UNIT_OF = pl.col("benefit").replace_strict(UNITS, return_dtype=UNIT).alias("unit")


def compensated(*facts: Row) -> dict[str, Row]:
    """fact_id -> what compensate gives it."""
    frame = facts_frame(facts).sort("person", "benefit", maintain_order=True).with_columns(UNIT_OF)
    result = compensate(frame)
    assert [result.schema[name] for name in ("windows", "units", "deviation")] == [WINDOWS, pl.Int32(), pl.String()]
    return {row["fact_id"]: row for row in result.to_dicts()}


def payment(period_from: str, period_to: str, **fields: Any) -> Row:
    return fact("PAYMENT", period_from, period_to, fact_id="P", **fields)


def shown(row: Row) -> list[tuple[str, str, int]]:
    """(first, last, units) of the windows, as MM-DD."""
    return [(f"{w['first']:%m-%d}", f"{w['last']:%m-%d}", w["units"]) for w in row["windows"]]


# R30, which days are compensated


def test_a_decision_shows_its_spans_without_the_waiting_ones() -> None:
    decision = fact("DECISION", "05-01", "05-20", spans=[span("05-01", waiting=True), span("05-02", "05-10")])
    assert shown(compensated(decision)["F"]) == [("05-02", "05-10", 9)]


def test_a_payment_shows_the_days_that_its_period_shares_with_the_spans_of_its_case() -> None:
    decision = fact("DECISION", "05-01", "05-20", spans=[span("05-01", "05-10")])
    other_case = fact("DECISION", "05-01", "05-31", case_id="D", fact_id="G", spans=[span("05-01", "05-31")])
    row = compensated(decision, other_case, payment("04-21", "05-20"))["P"]
    assert (shown(row), row["units"], row["deviation"]) == ([("05-01", "05-10", 10)], 10, None)


@pytest.mark.parametrize(
    "other",
    [
        {"person": BO, "personnummer": BO},
        {"benefit": "FK:TFP"},
        {"case_id": "D"},
        {"withdrawn": True},
        {"kind": "LIFE_CERTIFICATE"},
    ],
)
def test_decisions_of_another_person_benefit_or_case_and_withdrawn_ones_decide_nothing(other: Row) -> None:
    decision = fact("DECISION", "05-01", "05-20", spans=[span("05-01", "05-10")]) | other
    row = compensated(decision, payment("05-01", "05-20"))["P"]
    assert (row["windows"], row["units"], row["deviation"]) == ([], 0, "PERIOD_MISMATCH")


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"recorded_at": at(1), "version": 9}, {"recorded_at": at(2), "version": 1}),
        ({"version": 9, "fact_id": "Z"}, {"version": 10, "fact_id": "A"}),
        ({"fact_id": "D9"}, {"fact_id": "Ä"}),
        ({"fact_id": "D10"}, {"fact_id": "D9"}),
    ],
)
def test_the_latest_recorded_then_highest_version_then_highest_fact_id_decides(older: Row, newer: Row) -> None:
    first = fact("DECISION", "05-01", "05-20", spans=[span("05-01", "05-20", 500)]) | older
    second = fact("DECISION", "05-06", "05-10", spans=[span("05-06", "05-07", 1000)]) | newer
    row = compensated(second, first, payment("05-01", "05-20"))["P"]
    assert [(w["first"].day, w["last"].day, w["extent_permille"]) for w in row["windows"]] == [(1, 5, 500), (6, 7, 1000), (11, 20, 500)]


def test_a_waiting_span_of_the_deciding_decision_hides_the_day_that_another_grants() -> None:
    first = fact("DECISION", "05-01", "05-03", spans=[span("05-01", "05-03")])
    second = fact("DECISION", "05-02", "05-02", fact_id="G", recorded_at=at(1), spans=[span("05-02", waiting=True)])
    assert shown(compensated(first, second, payment("05-01", "05-03"))["P"]) == [("05-01", "05-01", 1), ("05-03", "05-03", 1)]


@pytest.mark.parametrize(("period_from", "period_to"), [(None, None), (None, "05-10"), ("05-01", None)])
def test_an_open_end_of_a_decision_contains_all_dates_on_that_side(period_from: str | None, period_to: str | None) -> None:
    decision = fact("DECISION", period_from, period_to, spans=[span("05-01", "05-10")])
    assert shown(compensated(decision, payment("01-01", "12-31"))["P"]) == [("05-01", "05-10", 10)]


def test_an_open_end_reaches_to_before_1970() -> None:
    decision = fact("DECISION", None, "1961-12-31", spans=[span("1961-05-01", "1961-05-10")])
    assert shown(compensated(decision, payment("1961-05-03", "1961-05-31"))["P"]) == [("05-03", "05-10", 8)]


@pytest.mark.parametrize("earlier_decides", [True, False])
def test_where_one_decision_ends_and_the_next_begins_no_day_is_lost(earlier_decides: bool) -> None:
    first = fact("DECISION", "05-01", "05-10", spans=[span("05-01", "05-10")], recorded_at=at(earlier_decides))
    second = fact("DECISION", "05-11", "05-20", fact_id="G", spans=[span("05-11", "05-20")], recorded_at=at(not earlier_decides))
    assert shown(compensated(first, second, payment("05-01", "05-20"))["P"]) == [("05-01", "05-20", 20)]


def test_a_payment_under_one_decision_stays_as_it_is_beside_one_under_two() -> None:
    alone = fact("DECISION", "05-01", "05-05", benefit="FK:TFP", spans=[span("05-01", "05-05")])
    rivals = [fact("DECISION", "06-01", "06-05", benefit="FK:TFP", fact_id=name, spans=[span("06-01", "06-05")]) for name in "GH"]
    rows = compensated(
        alone, *rivals, payment("05-01", "05-05", benefit="FK:TFP"), payment("06-01", "06-05", benefit="FK:TFP") | {"fact_id": "Q"}
    )
    assert [shown(rows[name]) for name in "PQ"] == [[("05-01", "05-05", 5)], [("06-01", "06-05", 5)]]


def test_each_payment_is_held_against_rival_decisions_by_itself() -> None:
    rivals = [fact("DECISION", "04-01", "06-30", fact_id=name, spans=[span("04-01", "06-30")]) for name in "GH"]
    rows = compensated(*rivals, payment("06-01", "06-05"), payment("05-01", "05-05") | {"fact_id": "Q"})
    assert [shown(rows[name]) for name in "PQ"] == [[("06-01", "06-05", 5)], [("05-01", "05-05", 5)]]


@pytest.mark.parametrize("kind", ["RECOVERY_CLAIM", "LIFE_CERTIFICATE"])
def test_other_kinds_have_no_windows(kind: str) -> None:
    decision = fact("DECISION", "05-01", "05-10", spans=[span("05-01", "05-10")])
    row = compensated(decision, fact(kind, "05-01", "05-10", fact_id="P", spans=[span("05-01")]))["P"]
    assert (row["windows"], row["units"]) == ([], None)


def test_event_benefits_have_no_windows() -> None:
    lint = {"benefit": "PM:LINT"}
    rows = compensated(fact("DECISION", "05-01", "05-10", spans=[span("05-01")], **lint), payment("05-01", "05-10", **lint))
    assert [(row["windows"], row["units"], row["deviation"]) for row in rows.values()] == [([], None, None)] * 2


# R31, how days join to windows


def test_neighbouring_days_of_equal_extent_and_level_join_and_others_do_not() -> None:
    spans = [span("05-03", "05-04"), span("05-01", "05-02"), span("05-06"), span("05-07", level="GRUND"), span("05-08", extent=500)]
    row = compensated(fact("DECISION", "05-01", "05-10", spans=spans))["F"]
    assert [(w["first"].day, w["last"].day) for w in row["windows"]] == [(1, 4), (6, 6), (7, 7), (8, 8)]


def test_days_join_across_two_decisions_of_the_case() -> None:
    first = fact("DECISION", "05-01", "05-10", spans=[span("05-01", "05-10")])
    second = fact("DECISION", "05-11", "05-20", fact_id="G", spans=[span("05-11", "05-20")])
    assert shown(compensated(first, second, payment("05-01", "05-20"))["P"]) == [("05-01", "05-20", 20)]


def test_equal_spans_on_one_date_make_layers_side_by_side() -> None:
    spans = [span("05-01", "05-03"), span("05-02", "05-05"), span("05-04", "05-04")]
    row = compensated(fact("DECISION", "05-01", "05-10", benefit="FK:TFP", spans=spans))["F"]
    assert (shown(row), row["units"]) == ([("05-01", "05-05", 5), ("05-02", "05-04", 3)], 8)


def test_equal_spans_that_share_one_date_make_a_layer_of_that_date() -> None:
    spans = [span("05-01", "05-03", level="A"), span("05-03", "05-05", level="A"), span("05-06", "05-07", level="A")]
    row = compensated(fact("DECISION", "05-01", "05-10", benefit="FK:TFP", spans=spans))["F"]
    assert (shown(row), row["units"]) == ([("05-01", "05-07", 7), ("05-03", "05-03", 1)], 8)


@pytest.mark.parametrize("other", [{"extent": 500}, {"level": "GRUND"}])
def test_days_join_although_others_lie_between_them(other: dict[str, Any]) -> None:
    spans = [span("05-01", "05-03", level="A"), span("05-02", **{"level": "A", **other}), span("05-04", "05-05", level="A")]
    row = compensated(fact("DECISION", "05-01", "05-10", benefit="FK:TFP", spans=spans))["F"]
    assert shown(row) == [("05-01", "05-05", 5), ("05-02", "05-02", 1)]


def test_windows_come_by_first_last_extent_falling_and_level_null_first() -> None:
    spans = [span("05-01", "05-02", 500, "B"), span("05-01", "05-02", 500, "Å"), span("05-01", "05-02", 500), span("05-01", "05-02", 750)]
    spans.append(span("05-01", "05-01", 250))
    row = compensated(fact("DECISION", "05-01", "05-10", benefit="FK:TFP", spans=spans))["F"]
    assert [(w["last"].day, w["extent_permille"], w["level"]) for w in row["windows"]] == [
        (1, 250, None),
        (2, 750, None),
        (2, 500, None),
        (2, 500, "B"),
        (2, 500, "Å"),
    ]


# R32, months without spans


MONTHLY = {"benefit": "FK:SA"}


@pytest.mark.parametrize(("extent", "shown_extent"), [(None, 1000), (750, 750)])
def test_a_month_payment_of_a_case_without_spans_is_one_window(extent: int | None, shown_extent: int) -> None:
    decision = fact("DECISION", "01-01", None, extent_permille=500, **MONTHLY)
    row = compensated(decision, payment("05-15", "06-14", extent_permille=extent, **MONTHLY))["P"]
    assert row["windows"] == [
        {"first": day("05-15"), "last": day("06-14"), "extent_permille": shown_extent, "level": None, "units": 2},
    ]


def test_a_month_payment_needs_no_decision_at_all() -> None:
    row = compensated(payment("05-01", "05-31", **MONTHLY))["P"]
    assert (shown(row), row["units"], row["deviation"]) == ([("05-01", "05-31", 1)], 1, None)


@pytest.mark.parametrize(
    ("decision", "windows"),
    [
        ({}, []),
        ({"spans": [span("01-01", waiting=True)]}, []),
        ({"withdrawn": True}, [("05-01", "05-31", 1)]),
        ({"case_id": "D"}, [("05-01", "05-31", 1)]),
    ],
)
def test_a_span_anywhere_in_the_case_even_a_waiting_one_ends_that(decision: Row, windows: list[Any]) -> None:
    elsewhere = fact("DECISION", "01-01", "01-31", spans=[span("01-01", "01-31")], **MONTHLY) | decision
    assert shown(compensated(elsewhere, payment("05-01", "05-31", **MONTHLY))["P"]) == windows


def test_a_day_payment_of_a_case_without_spans_has_no_window() -> None:
    row = compensated(fact("DECISION", "05-01", "05-31"), payment("05-01", "05-31"))["P"]
    assert (row["windows"], row["units"], row["deviation"]) == ([], 0, "NO_COMPENSATED_DAYS")


# R33, what is counted


def test_five_days_count_of_each_iso_week_however_many_windows_it_has() -> None:
    spans = [span("2024-12-27", "2024-12-31"), span("2025-01-01", "2025-01-03", 500), span("2025-01-05", "2025-01-06")]
    row = compensated(fact("DECISION", "2024-12-01", "2025-01-31", benefit="FK:AS", spans=spans))["F"]
    assert (shown(row), row["units"]) == ([("12-27", "12-31", 5), ("01-01", "01-03", 3), ("01-05", "01-06", 1)], 9)


def test_what_is_counted_beyond_five_days_takes_nothing_away() -> None:
    spans = [span("2024-12-30", "2025-01-04"), span("2025-01-05", extent=500)]
    row = compensated(fact("DECISION", "2024-12-01", "2025-01-31", benefit="FK:AS", spans=spans))["F"]
    assert (shown(row), row["units"]) == ([("12-30", "01-04", 5), ("01-05", "01-05", 0)], 5)


def test_the_five_days_are_counted_for_each_fact() -> None:
    decision = fact("DECISION", "12-01", "12-31", benefit="FK:AS", spans=[span("12-16", "12-22")])
    rows = compensated(decision, payment("12-16", "12-18", benefit="FK:AS"), payment("12-19", "12-22", benefit="FK:AS") | {"fact_id": "Q"})
    assert [rows[name]["units"] for name in "FPQ"] == [5, 3, 4]


def test_a_month_counts_once_however_many_windows_it_has() -> None:
    spans = [span("2023-12-31", "2024-01-10"), span("01-20", "02-01", 500), span("02-05", "02-06")]
    row = compensated(fact("DECISION", "2023-12-01", "03-31", spans=spans, **MONTHLY))["F"]
    assert ([w["units"] for w in row["windows"]], row["units"]) == ([2, 1, 0], 3)


@pytest.mark.parametrize(
    ("benefit", "kind", "units"),
    [
        ("FK:SJP", "PAYMENT", 0),
        ("FK:TFP", "PAYMENT", 0),
        ("FK:AS", "PAYMENT", 0),
        ("FK:SJP", "DECISION", None),
        ("FK:SA", "DECISION", None),
        ("FK:SJP", "RECOVERY_CLAIM", None),
    ],
)
def test_without_windows_units_are_null_but_nought_for_a_payment_by_days(benefit: str, kind: str, units: int | None) -> None:
    assert compensated(fact(kind, "05-01", "05-31", benefit=benefit))["F"]["units"] == units


# R34, what does not fit


@pytest.mark.parametrize(
    ("period", "code"),
    [
        (("04-20", "04-30"), "PERIOD_MISMATCH"),
        (("04-20", "05-01"), "NO_COMPENSATED_DAYS"),
        (("05-11", "05-20"), "NO_COMPENSATED_DAYS"),
        (("05-20", "05-25"), "NO_COMPENSATED_DAYS"),
        (("05-21", "05-25"), "PERIOD_MISMATCH"),
        (("05-10", "05-10"), None),
        (("05-02", "05-02"), None),
    ],
)
def test_a_payment_outside_the_decisions_or_the_spans_says_so(period: tuple[str, str], code: str | None) -> None:
    decision = fact("DECISION", "05-01", "05-20", spans=[span("05-01", waiting=True), span("05-02", "05-10")])
    assert compensated(decision, payment(*period))["P"]["deviation"] == code


@pytest.mark.parametrize(("stated", "code"), [(None, None), (10, None), (9, "DAY_COUNT_MISMATCH"), (0, "DAY_COUNT_MISMATCH")])
def test_another_number_of_days_than_the_source_states_is_said(stated: int | None, code: str | None) -> None:
    decision = fact("DECISION", "05-01", "05-20", spans=[span("05-01", "05-10")])
    assert compensated(decision, payment("05-01", "05-31", stated_days=stated))["P"]["deviation"] == code


def test_no_days_are_no_deviation_where_months_count() -> None:
    decision = fact("DECISION", "01-01", "01-31", spans=[span("01-01")], **MONTHLY)
    assert compensated(decision, payment("05-01", "05-31", stated_days=7, **MONTHLY))["P"]["deviation"] is None


@pytest.mark.parametrize(
    ("refers_to", "target", "code"),
    [
        ("P", {}, None),
        ("P", {"withdrawn": True}, None),
        (None, {}, "UNKNOWN_REFERENCE"),
        ("Q", {}, "UNKNOWN_REFERENCE"),
        ("P", {"kind": "DECISION"}, "UNKNOWN_REFERENCE"),
        ("P", {"person": BO}, "UNKNOWN_REFERENCE"),
        ("P", {"benefit": "FK:TFP"}, "UNKNOWN_REFERENCE"),
        ("P", {"case_id": "D"}, None),
    ],
)
def test_a_claim_refers_to_a_held_payment_of_the_same_person_and_benefit(refers_to: str | None, target: Row, code: str | None) -> None:
    claim = fact("RECOVERY_CLAIM", "05-01", "05-10", refers_to=refers_to)
    assert compensated(payment("05-01", "05-10") | target, claim)["F"]["deviation"] == code


def test_a_claim_is_told_apart_from_the_withdrawn_facts_before_it() -> None:
    withdrawn, held = fact(fact_id="A", withdrawn=True), payment("05-01", "05-10")
    claims = [fact("RECOVERY_CLAIM", "05-01", "05-10", fact_id=name, refers_to=target) for name, target in (("X", "P"), ("Y", "Q"))]
    rows = compensated(withdrawn, held, *claims)
    assert [rows[name]["deviation"] for name in "XY"] == [None, "UNKNOWN_REFERENCE"]


def test_withdrawn_facts_are_left_out_and_the_order_stays() -> None:
    facts = [fact(fact_id="A"), fact(fact_id="B", withdrawn=True), fact(fact_id="C")]
    assert list(compensated(*facts)) == ["A", "C"]


def test_no_facts_give_no_rows() -> None:
    assert compensated() == {}


# Random facts against the oracle

START = date(2023, 12, 20)  # a year's, two months' and an ISO year's end lie within
OFFSETS = st.integers(0, 46)
EXTENTS = st.sampled_from([1000, 1000, 500])
LEVELS = st.sampled_from([None, None, "GRUND", "Å"])


@st.composite
def spans(draw: st.DrawFn, first: int, last: int, may_overlap: bool) -> list[Row]:
    """Spans within a period, in any order."""
    edges = draw(st.lists(st.integers(first, last), max_size=8))
    pairs = list(zip(edges[::2], edges[1::2], strict=False)) if may_overlap else pairs_apart(sorted(edges))
    return [
        {
            "first": START + timedelta(min(pair)),
            "last": START + timedelta(max(pair)),
            "extent_permille": draw(EXTENTS),
            "level": draw(LEVELS),
            "waiting": draw(st.sampled_from([False, False, False, True])),
        }
        for pair in draw(st.permutations(pairs))
    ]


def pairs_apart(edges: list[int]) -> list[tuple[int, int]]:
    """Pairs that may touch, but share no day."""
    pairs: list[tuple[int, int]] = []
    for first, last in zip(edges[::2], edges[1::2], strict=False):
        start = max(first, pairs[-1][1] + 1) if pairs else first
        if start <= last:
            pairs.append((start, last))
    return pairs


BENEFITS = ["FK:SJP", "FK:TFP", "FK:TFP", "FK:AS", "FK:SA", "PM:LINT"]


@st.composite
def any_fact(draw: st.DrawFn, benefits: list[str]) -> Row:
    """A fact of one of two persons, of one of some benefits, sound or once sound."""
    benefit = draw(st.sampled_from(benefits))
    kind = draw(st.sampled_from(["DECISION"] * 4 + ["PAYMENT"] * 4 + ["RECOVERY_CLAIM", "LIFE_CERTIFICATE"]))
    first, last = sorted((draw(OFFSETS), draw(OFFSETS)))
    bounded = kind in ("PAYMENT", "RECOVERY_CLAIM")
    unit_has_changed = draw(st.integers(0, 4)) == 0  # spans that came in as those of WORKING_TIME may lie over each other
    open_from, open_to = (not bounded and draw(st.integers(0, 4)) == 0 for _ in range(2))
    return fact(
        kind,
        personnummer=draw(st.sampled_from([ANNA, ANNA, ANNA, BO])),
        benefit=benefit,
        case_id=draw(st.sampled_from(["C", "C", "D"])),
        version=draw(st.integers(1, 3)),
        recorded_at=at(draw(st.integers(0, 3))),
        withdrawn=draw(st.sampled_from([False] * 5 + [True])),
        extent_permille=draw(st.none() | EXTENTS),
        stated_days=draw(st.none() | st.integers(0, 12)),
        refers_to=draw(st.none() | st.sampled_from(["F00", "F01", "F02", "F03"])),
        spans=draw(spans(first, last, UNITS[benefit] == "WORKING_TIME" or unit_has_changed)) if draw(st.integers(0, 4)) else [],
    ) | {"period_from": None if open_from else START + timedelta(first), "period_to": None if open_to else START + timedelta(last)}


@st.composite
def any_facts(draw: st.DrawFn, most: int) -> list[Row]:
    """Facts most of which are of one benefit, so that they have to do with each other."""
    own = draw(st.sampled_from(BENEFITS))
    return draw(st.lists(any_fact([own] * 12 + BENEFITS), max_size=most))


@settings(max_examples=70, deadline=None)
@given(facts=any_facts(18))
def test_any_facts_are_compensated_as_day_by_day(facts: list[Row]) -> None:
    named = [row | {"fact_id": f"F{place:02}"} for place, row in enumerate(facts)]
    frame = facts_frame(named).sort("person", "benefit", "fact_id").with_columns(UNIT_OF)
    result = compensate(frame)

    assert set(result.columns) == {*FACTS, "unit", "windows", "units", "deviation"} - {"spans"}
    assert result["fact_id"].to_list() == frame.filter(~pl.col("withdrawn"))["fact_id"].to_list()
    expected: dict[str, Row] = {}
    for person, benefit in {(row["person"], row["benefit"]) for row in named}:
        own = [row for row in named if (row["person"], row["benefit"]) == (person, benefit)]
        expected |= oracle.compensate(own, UNITS[benefit])
    for row in result.to_dicts():
        assert {name: row[name] for name in ("windows", "units", "deviation")} == expected[row["fact_id"]]


@settings(max_examples=30, deadline=None)
@given(facts=any_facts(18), pairs=st.sampled_from([1, 3, 10]))
def test_any_facts_are_compensated_alike_however_few_are_looked_at_at_a_time(facts: list[Row], pairs: int) -> None:
    named = [row | {"fact_id": f"F{place:02}"} for place, row in enumerate(facts)]
    with mock.patch("transforms.compensate.PAIRS", pairs):
        turned = compensated(*named)
    assert turned == compensated(*named)


def test_many_payments_of_which_none_has_a_decision_do_not_decide_anything() -> None:
    with mock.patch("transforms.compensate.PAIRS", 3):
        rows = compensated(
            *(fact(case_id="D", fact_id=f"D{place}") for place in range(3)), payment("05-01", "05-02"), fact("PAYMENT", "05-01", "05-02")
        )
    assert [rows[name]["deviation"] for name in ("P", "F")] == ["PERIOD_MISMATCH"] * 2


@settings(max_examples=20, deadline=None)
@given(facts=any_facts(12))
def test_a_persons_facts_are_compensated_alike_alone_and_among_others(facts: list[Row]) -> None:
    named = [row | {"fact_id": f"F{place:02}"} for place, row in enumerate(facts)]
    together = compensated(*named)
    alone = compensated(*(row for row in named if row["person"] == ANNA)) | compensated(*(row for row in named if row["person"] == BO))
    assert together == alone
