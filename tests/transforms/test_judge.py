"""R20, R35: each code with its border, what a repeat is, and random drops against the record-by-record oracle."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.frames import FACTS
from tests.oracle import facts as oracle
from tests.transforms.facts import ANNA, BO, CIA, UNITS, Row, at, day, fact, facts_frame, numbered, span
from transforms.judge import SAME, judge

SJP, TFP = "FK:SJP", "FK:TFP"
WRONG_DIGIT = ANNA[:-1] + str((int(ANNA[-1]) + 1) % 10)
WORKING_TIME = [benefit for benefit, unit in UNITS.items() if unit == "WORKING_TIME"]
WAITING = pl.Schema({**FACTS, "drop_benefit": pl.String()})


def codes(waiting: Sequence[Row], held: Sequence[Row] = ()) -> dict[int, str | None]:
    """arrival -> code. A record's drop is of SJP where nothing else is said."""
    frame = pl.DataFrame([{"drop_benefit": SJP} | row for row in waiting], WAITING, orient="row")
    judged = judge(frame, facts_frame(held), WORKING_TIME)
    order = list(judged.select("bucket", "person", "benefit", "fact_id", "version", "arrival").iter_rows())
    assert order == sorted(order)
    return dict(judged.select("arrival", "code").iter_rows())


def code(row: Row) -> str | None:
    return codes([row])[0]


# R35: one record by itself

SOUND = fact("PAYMENT", "05-01", "05-31", spans=[span("05-01", "05-10")], extent_permille=1000)


@pytest.mark.parametrize(
    ("expected", "change"),
    [
        (None, {}),
        ("INVALID_PERSONNUMMER", {"personnummer": WRONG_DIGIT}),
        ("INVALID_PERSONNUMMER", {"personnummer": ""}),
        ("INVALID_PERSONNUMMER", {"personnummer": "199001150000"}),
        ("INVALID_PERSONNUMMER", {"personnummer": ANNA + "\n"}),
        (None, {"personnummer": numbered("19900175980")}),
        ("WRONG_BENEFIT", {"benefit": TFP}),
        ("WRONG_BENEFIT", {"drop_benefit": TFP}),
        ("WRONG_BENEFIT", {"benefit": ""}),
        ("MISSING_FIELD", {"case_id": ""}),
        ("MISSING_FIELD", {"fact_id": ""}),
        (None, {"case_id": " "}),
        ("INVALID_PERIOD", {"period_to": day("04-30")}),
        ("INVALID_PERIOD", {"kind": "DECISION", "period_to": day("04-30")}),
        (None, {"period_to": day("05-01"), "spans": []}),
        ("INVALID_PERIOD", {"period_to": None}),
        ("INVALID_PERIOD", {"period_from": None}),
        ("INVALID_PERIOD", {"kind": "RECOVERY_CLAIM", "period_from": None}),
        ("INVALID_PERIOD", {"kind": "RECOVERY_CLAIM", "period_to": None}),
        (None, {"kind": "DECISION", "period_from": None, "period_to": None}),
        (None, {"kind": "LIFE_CERTIFICATE", "period_to": None}),
    ],
)
def test_a_record_gets_the_code_of_its_fault(expected: str | None, change: Row) -> None:
    assert code(SOUND | change) == expected


LAST_DAY = (date.max - date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, LAST_DAY, None),
        (0, LAST_DAY + 1, "INVALID"),
        (0, 2**31 - 1, "INVALID"),
        (-(2**31), 0, "INVALID"),
        (-719_162, 0, None),
        (-719_163, 0, "INVALID"),
    ],
)
@pytest.mark.parametrize("where", ["PERIOD", "SPAN"])
def test_a_day_outside_the_years_1_to_9999_is_no_date(first: int, last: int, expected: str | None, where: str) -> None:
    ends = pl.lit(first).cast(pl.Date()), pl.lit(last).cast(pl.Date())
    row = fact("DECISION", None, None, spans=[span("05-01")] if where == "SPAN" else [])
    frame = pl.DataFrame([{"drop_benefit": SJP} | row], WAITING, orient="row")
    if where == "PERIOD":
        frame = frame.with_columns(ends[0].alias("period_from"), ends[1].alias("period_to"))
    else:
        spans = pl.col("spans").list.eval(pl.element().struct.with_fields(ends[0].alias("first"), ends[1].alias("last")))
        frame = frame.with_columns(spans)
    assert judge(frame, facts_frame([]), WORKING_TIME)["code"].to_list() == [expected and f"{expected}_{where}"]


@pytest.mark.parametrize(
    ("expected", "spans"),
    [
        (None, [span("05-01", "05-31")]),
        (None, [span("05-01", "05-01")]),
        ("INVALID_SPAN", [span("05-03", "05-02")]),
        ("INVALID_SPAN", [span("04-30", "05-02")]),
        ("INVALID_SPAN", [span("05-31", "06-01")]),
        ("INVALID_SPAN", [span("05-10"), span("04-30")]),
        ("INVALID_SPAN", [span("06-01"), span("05-10")]),
        (None, [span("05-03", "05-04"), span("05-01", "05-02")]),
        ("INVALID_SPAN", [span("05-03", "05-04"), span("05-01", "05-03")]),
        ("INVALID_SPAN", [span("05-01"), span("05-01", waiting=True)]),
        ("INVALID_SPAN", [span("05-01", "05-20"), span("05-02"), span("05-05")]),
        ("INVALID_SPAN", [span("05-01", "05-20"), span("05-02"), span("05-20")]),
        ("INVALID_EXTENT", [span("05-01", extent=0)]),
        (None, [span("05-01", extent=1)]),
        (None, [span("05-01", extent=1000)]),
        ("INVALID_EXTENT", [span("05-01", extent=1000), span("05-02", extent=1001)]),
        ("INVALID_EXTENT", [span("05-01", extent=-5, waiting=True)]),
        ("INVALID_SPAN", [span("05-01", extent=0), span("04-01")]),
    ],
)
def test_spans_lie_in_order_within_the_period_apart_and_have_an_extent(expected: str | None, spans: list[Row]) -> None:
    assert code(SOUND | {"spans": spans}) == expected


@pytest.mark.parametrize(("period", "expected"), [((None, "05-31"), None), (("05-01", None), None), ((None, None), None)])
def test_an_open_end_holds_every_span(period: tuple[str | None, str | None], expected: str | None) -> None:
    inside = span("05-02", "05-03")
    assert code(fact("DECISION", *period, spans=[inside])) == expected
    outside = [span("06-01")] if period[1] else [span("04-01")] if period[0] else [span("05-03", "05-02")]
    assert code(fact("DECISION", *period, spans=outside)) == "INVALID_SPAN"


def test_spans_of_one_record_are_not_held_against_those_of_another() -> None:
    overlapping = SOUND | {"spans": [span("05-01", "05-09"), span("05-05", "05-06")]}
    apart = SOUND | {"fact_id": "G", "arrival": 1, "spans": [span("05-02", "05-03"), span("05-07", "05-09")]}
    assert codes([overlapping, apart]) == {0: "INVALID_SPAN", 1: None}


def test_repeats_come_in_the_order_of_arrival() -> None:
    assert codes([SOUND | {"arrival": 5}, SOUND | {"arrival": 3}]) == {3: None, 5: SAME}
    assert codes([SOUND | {"arrival": 5, "bucket": 1}, SOUND | {"arrival": 3, "person": BO, "personnummer": BO}]) == {3: None, 5: None}


def test_spans_may_overlap_where_working_time_counts() -> None:
    overlapping = [span("05-01", "05-10"), span("05-10", "05-12")]
    in_tfp = {"benefit": TFP, "drop_benefit": TFP}
    assert code(SOUND | in_tfp | {"spans": overlapping}) is None
    assert code(SOUND | in_tfp | {"spans": [*overlapping, span("06-01")]}) == "INVALID_SPAN"


@pytest.mark.parametrize(("extent", "expected"), [(0, "INVALID_EXTENT"), (1, None), (1000, None), (1001, "INVALID_EXTENT"), (None, None)])
def test_a_facts_own_extent_is_a_share_of_thousand(extent: int | None, expected: str | None) -> None:
    assert code(SOUND | {"extent_permille": extent}) == expected


FAULTS: list[tuple[str, Row]] = [
    ("INVALID_PERSONNUMMER", {"personnummer": "1"}),
    ("WRONG_BENEFIT", {"drop_benefit": "FK:AS"}),
    ("MISSING_FIELD", {"fact_id": ""}),
    ("INVALID_PERIOD", {"period_to": None}),
    ("INVALID_SPAN", {"spans": [span("04-01")]}),
    ("INVALID_EXTENT", {"extent_permille": 0}),
]


@pytest.mark.parametrize("first", range(len(FAULTS)))
def test_of_several_faults_the_first_of_the_contract_is_named(first: int) -> None:
    row = SOUND
    for _, fault in FAULTS[first:]:
        row = row | fault
    assert code(row) == FAULTS[first][0]


# R20: the same version again

GUARANTEE = {"insurance_years": 40, "income_related_yearly": Decimal("1.00"), "yearly_amount": Decimal("2.00")}
COMPARED: list[Row] = [
    {"case_id": "D"},
    {"kind": "RECOVERY_CLAIM"},
    {"withdrawn": True},
    {"period_from": day("04-30")},
    {"period_to": day("06-01")},
    {"spans": []},
    {"spans": [span("05-01", "05-09")]},
    {"spans": [span("05-01", "05-10", 500)]},
    {"spans": [span("05-01", "05-10", level="")]},
    {"spans": [span("05-01", "05-10", waiting=True)]},
    {"spans": [span("05-01", "05-10"), span("05-11")]},
    {"extent_permille": None},
    {"amount": Decimal("0.00")},
    {"stated_days": 0},
    {"outcome": ""},
    {"status": ""},
    {"country": ""},
    {"refers_to": ""},
    {"guarantee": GUARANTEE},
]


@pytest.mark.parametrize("change", COMPARED, ids=str)
@pytest.mark.parametrize("stored", [True, False])
def test_the_same_version_with_other_content_is_a_conflict(change: Row, stored: bool) -> None:
    first, again = SOUND, SOUND | {"arrival": 1} | change
    assert (codes([again], [first]) if stored else codes([first, again]))[1] == "VERSION_CONFLICT"
    assert (codes([first | {"arrival": 2}], [again]) if stored else codes([again, first | {"arrival": 2}]))[2] == "VERSION_CONFLICT"


@pytest.mark.parametrize(
    "change", [{}, {"reason": "r"}, {"recorded_at": at(5)}, {"source_run": "r"}, {"personnummer": BO}, {"spans": SOUND["spans"]}], ids=str
)
@pytest.mark.parametrize("stored", [True, False])
def test_the_same_version_with_the_same_content_is_a_repeat(change: Row, stored: bool) -> None:
    again = SOUND | {"guarantee": GUARANTEE, "arrival": 1} | change
    first = SOUND | {"guarantee": GUARANTEE}
    assert (codes([again], [first]) if stored else codes([first, again]))[1] == SAME


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"version": 0}, {"fact_id": "G"}, {"benefit": TFP, "drop_benefit": TFP}, {"person": BO, "personnummer": BO}],
    ids=str,
)
def test_another_version_fact_benefit_or_person_is_no_repeat(change: Row) -> None:
    assert codes([SOUND | {"outcome": "x"} | change], [SOUND])[0] is None


def test_the_first_to_arrive_is_the_measure_and_a_rejected_one_is_none() -> None:
    rows = [SOUND | {"arrival": n, "outcome": outcome} for n, outcome in enumerate(["a", "b", "a", "b"])]
    assert codes(rows) == {0: None, 1: "VERSION_CONFLICT", 2: SAME, 3: "VERSION_CONFLICT"}
    assert codes([rows[1], rows[0] | {"extent_permille": 0}]) == {1: None, 0: "INVALID_EXTENT"}
    assert codes(rows[2:] + rows[:2]) == codes(rows)


def test_a_repeat_is_seen_through_facts_of_others_between_the_two() -> None:
    """Of one bucket, and with fact_ids that are unique only within a person."""
    rows = [SOUND | {"arrival": n, "person": person, "personnummer": person} for n, person in enumerate([ANNA, BO, CIA, ANNA, CIA, BO])]
    assert codes(rows) == {0: None, 1: None, 2: None, 3: SAME, 4: SAME, 5: SAME}


def test_twins_of_a_merge_are_both_a_measure() -> None:
    twins = [SOUND | {"outcome": "a"}, SOUND | {"outcome": "b", "personnummer": BO, "recorded_at": at(1)}]
    rows = [SOUND | {"arrival": n, "outcome": outcome} for n, outcome in enumerate("abc")]
    assert codes(rows, twins) == {0: SAME, 1: SAME, 2: "VERSION_CONFLICT"}


def test_a_faulty_repeat_has_its_fault_and_not_the_conflict() -> None:
    assert codes([SOUND | {"arrival": 1, "extent_permille": 0}], [SOUND]) == {1: "INVALID_EXTENT"}


def test_a_premature_block_comes_after_the_other_faults_and_before_a_conflict() -> None:
    rows = [SOUND | {"arrival": 1, "outcome": "b"}, SOUND | {"arrival": 2, "extent_permille": 0}, SOUND | {"arrival": 3, "fact_id": "G"}]
    frame = pl.DataFrame([{"drop_benefit": SJP} | row for row in rows], WAITING, orient="row")
    judged = judge(frame, facts_frame([SOUND]), WORKING_TIME, premature=pl.col("fact_id") == "F")
    assert dict(judged.select("arrival", "code").iter_rows()) == {1: "PREMATURE_BLOCK", 2: "INVALID_EXTENT", 3: None}


# Random drops against the oracle

OFFSET = st.integers(-1, 8)
SPAN = st.tuples(
    OFFSET, st.integers(-1, 3), st.sampled_from([1000, 1000, 1000, 500, 0, 1001]), st.sampled_from([None, "", "A"]), st.booleans()
)
RECORD = st.fixed_dictionaries(
    {
        "personnummer": st.sampled_from([ANNA, ANNA, ANNA, ANNA, BO, WRONG_DIGIT]),
        "drop_benefit": st.sampled_from([SJP, SJP, TFP]),
        "misplaced": st.sampled_from([False] * 7 + [True]),
        "case_id": st.sampled_from(["C"] * 6 + ["D", ""]),
        "fact_id": st.sampled_from(["F", "F", "F", "G", "G", ""]),
        "version": st.integers(1, 2),
        "kind": st.sampled_from(["DECISION", "DECISION", "PAYMENT"]),
        "first": st.none() | st.just(0),
        "last": st.sampled_from([7, 7, 7, None, -1]),
        "spans": st.just([]) | st.just([(2, 1, 500, None, False)]) | st.lists(SPAN, max_size=3),
        "amount": st.sampled_from([None, Decimal("1.00")]),
        "outcome": st.sampled_from([None, None, ""]),
        "reason": st.sampled_from([None, "r"]),
        "guarantee": st.sampled_from([None, None, None, GUARANTEE, GUARANTEE | {"insurance_years": 39}]),
        "recorded_at": st.integers(0, 2).map(at),
    }
)


def record(drawn: Row, arrival: int) -> Row:
    """A drawn record as it arrives."""
    given: dict[str, Any] = dict(drawn)
    start = day("05-01")
    misplaced, first, last = given.pop("misplaced"), given.pop("first"), given.pop("last")
    given["spans"] = [
        {"first": start + timedelta(f), "last": start + timedelta(f + n), "extent_permille": extent, "level": level, "waiting": waiting}
        for f, n, extent, level, waiting in given["spans"]
    ]
    period = {"period_from": None if first is None else start, "period_to": None if last is None else start + timedelta(last)}
    benefit = "FK:AS" if misplaced else given["drop_benefit"]
    return fact(arrival=arrival, benefit=benefit, person=ANNA if given["personnummer"] == BO else given["personnummer"], **given) | period


@settings(max_examples=80, deadline=None)
@given(drawn=st.lists(RECORD, max_size=25), cut=st.integers(0, 25), held=st.lists(RECORD, max_size=4))
def test_any_drops_are_judged_as_record_by_record_at_once_or_one_after_the_other(drawn: list[Row], cut: int, held: list[Row]) -> None:
    stored = [
        row for place, each in enumerate(held) if oracle.fault(row := record(each, -1 - place), row["drop_benefit"], "WORKING_TIME") is None
    ]
    stored = [{name: row[name] for name in FACTS} for row in stored]
    rows = [record(each, place) for place, each in enumerate(drawn)]
    expected = oracle.judge([(row, row["drop_benefit"], UNITS[row["drop_benefit"]]) for row in rows], stored)

    assert codes(rows[::-1], stored) == expected
    before = codes(rows[:cut], stored)
    consumed = [{name: row[name] for name in FACTS} for row in rows[:cut] if before[row["arrival"]] is None]
    assert before | codes(rows[cut:], stored + consumed) == expected


def test_every_record_comes_out_once_sorted_by_person_fact_version_and_arrival() -> None:
    rows = [SOUND | {"arrival": n, "version": v, "drop_benefit": SJP} for n, v in enumerate([2, 1, 2, 1])]
    result = judge(pl.DataFrame(rows, WAITING, orient="row"), FACTS.to_frame(), WORKING_TIME)
    assert result["arrival"].to_list() == [1, 3, 0, 2]
    assert result.columns == [*WAITING, "code"]
