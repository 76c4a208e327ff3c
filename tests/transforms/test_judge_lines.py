"""R13: what is wrong with an order line by itself, in which order it is found, and what is read of a sound one."""

from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contracts import ORDER_LINE
from tests.oracle import orders as oracle
from tests.transforms.facts import ANNA, BO, Row
from transforms.judge_lines import ANSWER, CHECKS, CODES, DATES, REFRESHED, USED_BY, answer, code_of, day, judge_lines

D = date(2024, 5, 21)
LINES = pl.Schema({**ORDER_LINE.frame, "partner": pl.String(), "person": pl.String()})
PERMISSIONS = {("P", "insurance", "FK:SJP"), ("P", "insurance", "FK:FP"), ("Q", "pension", "FK:SJP")}
BENEFITS = ("FK:SJP", "FK:FP", "FK:AS")
WRONG = ANNA[:-1] + str((int(ANNA[-1]) + 1) % 10)
SUBSCRIBE = {"action": "SUBSCRIBE", "personnummer": ANNA, "benefit": "FK:SJP", "purpose": "insurance", "from_date": "2024-05-01"}
END = {"action": "END", "personnummer": ANNA, "benefit": "FK:SJP"}
REFRESH = {"action": "REFRESH"}


def judged(*rows: Row) -> list[Row]:
    """Lines of partner P, judged; the person is whoever has the number, if it is a number; BO is not registered."""
    blank = dict.fromkeys(LINES) | {"order_id": "O", "line_no": 1, "partner": "P"}
    persons = [{"person": row.get("personnummer") if row.get("personnummer") in (ANNA, BO) else None} for row in rows]
    frame = pl.DataFrame([blank | person | row for person, row in zip(persons, rows, strict=True)], LINES)
    permissions = pl.DataFrame(sorted(PERMISSIONS), ["partner", "purpose", "benefit"], orient="row")
    found = judge_lines(frame, pl.Series([ANNA]), permissions, BENEFITS, pl.lit(D))
    assert found.schema == pl.Schema({**LINES, **dict.fromkeys(DATES, pl.Date()), "answer": ANSWER})
    return found.to_dicts()


def answers(*rows: Row) -> list[str | None]:
    return [row["answer"] for row in judged(*rows)]


# Each check by its text, with a line that nothing else is wrong with.
BROKEN: list[tuple[str, Row]] = [
    ("action must be SUBSCRIBE, END or REFRESH.", SUBSCRIBE | {"action": "Subscribe"}),
    ("personnummer is missing: SUBSCRIBE and END need one.", SUBSCRIBE | {"personnummer": None}),
    ("personnummer is missing: SUBSCRIBE and END need one.", END | {"personnummer": ""}),
    ("benefit is missing: SUBSCRIBE and END need one.", SUBSCRIBE | {"benefit": ""}),
    ("benefit is missing: SUBSCRIBE and END need one.", END | {"benefit": None}),
    ("purpose is missing: SUBSCRIBE needs one.", SUBSCRIBE | {"purpose": ""}),
    ("from_date is missing: SUBSCRIBE needs one.", SUBSCRIBE | {"from_date": None}),
    ("personnummer must be 12 digits with a real date, a serial that is not 000 and the right check digit.", END | {"personnummer": WRONG}),
    (
        "personnummer must be 12 digits with a real date, a serial that is not 000 and the right check digit.",
        REFRESH | {"personnummer": "1"},
    ),
    ("benefit must be a code of the catalogue.", SUBSCRIBE | {"benefit": "FK:sjp"}),
    ("benefit must be a code of the catalogue.", REFRESH | {"benefit": "FK:XYZ"}),
    ("from_date must be a real date, written YYYY-MM-DD.", SUBSCRIBE | {"from_date": "2024-02-30"}),
    ("end_date must be a real date, written YYYY-MM-DD.", SUBSCRIBE | {"end_date": "24-06-01"}),
    ("end_date must be a real date, written YYYY-MM-DD.", END | {"end_date": "tomorrow"}),
    ("born_from must be a real date, written YYYY-MM-DD.", REFRESH | {"born_from": "1990"}),
    ("born_to must be a real date, written YYYY-MM-DD.", REFRESH | {"born_to": "1990-1-1"}),
    ("end_date must be after from_date.", SUBSCRIBE | {"from_date": "2024-06-01", "end_date": "2024-06-01"}),
    ("end_date of a new subscription must be after the business date.", SUBSCRIBE | {"end_date": "2024-05-21"}),
    ("born_from must not be after born_to.", REFRESH | {"born_from": "1990-01-02", "born_to": "1990-01-01"}),
    ("from_date must not be after the business date.", SUBSCRIBE | {"from_date": "2024-05-22"}),
    ("purpose and benefit: the partner has no such permission.", SUBSCRIBE | {"purpose": "pension"}),
    ("purpose and benefit: the partner has no such permission.", SUBSCRIBE | {"partner": "Q"}),
    ("personnummer is not in the register.", SUBSCRIBE | {"personnummer": BO}),
    ("personnummer is not in the register.", REFRESH | {"personnummer": BO}),
]


@pytest.mark.parametrize(("text", "line"), BROKEN)
def test_a_line_is_answered_by_the_check_that_it_breaks(text: str, line: Row) -> None:
    assert answers(line) == [text]


def test_every_check_is_broken_by_some_line_here() -> None:
    assert {text for text, _ in BROKEN} == {check.text for check in CHECKS}


SOUND: list[Row] = [
    SUBSCRIBE,
    SUBSCRIBE | {"from_date": "2024-05-21", "end_date": "2024-05-22"},
    SUBSCRIBE | {"partner": "Q", "purpose": "pension", "born_from": "nonsense", "born_to": "nonsense"},
    END,
    END | {"end_date": "2020-01-01", "purpose": "nonsense", "from_date": "nonsense", "benefit": "FK:AS"},
    END | {"end_date": "2999-12-31"},
    REFRESH,
    REFRESH | {"born_from": "1990-01-01", "born_to": "1990-01-01", "benefit": "FK:AS", "from_date": "x", "end_date": "x", "purpose": "x"},
    REFRESH | {"personnummer": "", "benefit": "", "born_from": "", "born_to": ""},
]


@pytest.mark.parametrize("line", SOUND)
def test_a_sound_line_has_no_answer_yet(line: Row) -> None:
    assert answers(line) == [None]


def test_fields_not_in_use_and_empty_ones_are_null_and_dates_are_dates() -> None:
    full = dict.fromkeys(DATES, "2024-05-01") | {"personnummer": ANNA, "benefit": "FK:SJP", "purpose": "insurance"}
    for row in judged(*({"action": action} | full for action in ("SUBSCRIBE", "END", "REFRESH"))):
        for name, actions in USED_BY.items():
            read: Any = date(2024, 5, 1) if name in DATES else full[name]
            assert row[name] == (read if row["action"] in actions else None)
    empty = judged({"action": "REFRESH"} | dict.fromkeys(USED_BY, ""))[0]
    assert {name: empty[name] for name in USED_BY} == dict.fromkeys(USED_BY)


def test_lines_keep_their_order_and_a_permission_given_twice_doubles_none() -> None:
    permissions = pl.DataFrame([("P", "insurance", "FK:SJP")] * 2, ["partner", "purpose", "benefit"], orient="row")
    blank = dict.fromkeys(LINES) | {"order_id": "O", "partner": "P", "person": ANNA}
    frame = pl.DataFrame([blank | SUBSCRIBE | {"line_no": place} for place in (3, 1, 2)], LINES)
    found = judge_lines(frame, pl.Series([ANNA]), permissions, BENEFITS, pl.lit(D))
    assert found.select("line_no", "answer").rows() == [(3, None), (1, None), (2, None)]


# A line with all that can be wrong; each step mends what the answer before has named, or says it otherwise.
MENDED: list[tuple[Row, str | None]] = [
    ({"action": "START", "end_date": "never"}, "action must be SUBSCRIBE, END or REFRESH."),
    ({"action": "SUBSCRIBE"}, "personnummer is missing: SUBSCRIBE and END need one."),
    ({"personnummer": WRONG}, "benefit is missing: SUBSCRIBE and END need one."),
    ({"benefit": "FK:XYZ"}, "purpose is missing: SUBSCRIBE needs one."),
    ({"purpose": "pension"}, "from_date is missing: SUBSCRIBE needs one."),
    ({"from_date": "2024-02-30"}, "personnummer must be 12 digits with a real date, a serial that is not 000 and the right check digit."),
    ({"personnummer": BO}, "benefit must be a code of the catalogue."),
    ({"benefit": "FK:SJP"}, "from_date must be a real date, written YYYY-MM-DD."),
    ({"from_date": "2024-05-22"}, "end_date must be a real date, written YYYY-MM-DD."),
    ({"end_date": "2024-05-22"}, "end_date must be after from_date."),
    ({"from_date": "2024-05-20", "end_date": "2024-05-21"}, "end_date of a new subscription must be after the business date."),
    ({"from_date": "2024-05-22", "end_date": "2024-05-23"}, "from_date must not be after the business date."),
    ({"from_date": "2024-05-21"}, "purpose and benefit: the partner has no such permission."),
    ({"purpose": "insurance"}, "personnummer is not in the register."),
    ({"personnummer": ANNA}, None),
]


def test_of_all_that_is_wrong_the_first_check_answers() -> None:
    line: Row = {}
    for change, text in MENDED:
        line |= change
        assert answers(line) == [text]


@pytest.mark.parametrize(
    ("text", "is_day"),
    [
        ("2024-02-29", date(2024, 2, 29)),
        ("0001-01-01", date(1, 1, 1)),
        ("9999-12-31", date(9999, 12, 31)),
        ("2023-02-29", None),
        ("0000-01-01", None),
        ("2024-1-01", None),
        ("2024-01-01 ", None),
        (" 2024-01-01", None),
        ("2024-01-01\n", None),
        ("x2024-01-01", None),
        ("2024/01/01", None),
        ("12024-01-01", None),
        ("", None),
        (None, None),
    ],
)
def test_a_day_is_written_in_one_way_only(text: str | None, is_day: date | None) -> None:
    assert pl.DataFrame({"text": [text]}, {"text": pl.String}).select(day(pl.col("text"))).to_series().to_list() == [is_day]


def test_every_answer_has_its_code() -> None:
    frame = pl.DataFrame({"answer": [*CODES, None]}, {"answer": ANSWER}).select("answer", code=code_of(pl.col("answer")))
    assert frame["code"].to_list() == [*CODES.values(), None]
    assert pl.select(answer(REFRESHED)).to_series().to_list() == [REFRESHED]


TEXTS = {
    "action": ["SUBSCRIBE", "END", "REFRESH", "subscribe", ""],
    "personnummer": [ANNA, BO, WRONG, "", None],
    "benefit": ["FK:SJP", "FK:AS", "FK:XYZ", "", None],
    "purpose": ["insurance", "pension", "", None],
    **{name: ["2024-05-20", "2024-05-21", "2024-05-22", "2024-13-01", "", None] for name in DATES},
}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.fixed_dictionaries({name: st.sampled_from(values) for name, values in TEXTS.items()}), min_size=1, max_size=6))
def test_any_line_is_refused_for_what_a_careful_reader_finds_first(lines: list[Row]) -> None:
    for row, line in zip(judged(*lines), lines, strict=True):
        night = oracle.Night(D, 1, {ANNA: date(1990, 1, 15)}, PERMISSIONS, BENEFITS)
        known = {"partner": "P", "person": line["personnummer"] if line["personnummer"] in (ANNA, BO) else None, "bucket": 0}
        code, _ = oracle.take_line(
            night, {**dict.fromkeys(ORDER_LINE.fields), **line, **known, "order_id": "O", "line_no": 1, "drop": "d", "position": 0}
        )
        later = code in ("ACCEPTED", "NO_SUBSCRIPTION")  # what depends on the subscriptions is answered at the line's turn
        assert (row["answer"] and CODES[row["answer"]]) == (None if later else code)
