"""The receiver's fold (R50), in SQL, against cases and against the slow one."""

import contextlib
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver import fold
from receiver.picture import create_tables
from schemas.errors import VerificationError
from tests.oracle.fold import Fold
from tests.receiver.records import ANNA, BERIT, CARL, SJP, TFP, frame, numbered, record


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with empty_picture() as connection:
        yield connection


def empty_picture() -> contextlib.closing[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    create_tables(connection)
    return contextlib.closing(connection)


def deliver(connection: duckdb.DuckDBPyConnection, sequence: int, records: list[dict[str, Any]]) -> None:
    fold.begin(connection)
    if records:
        fold.load(connection, frame(records), "part-0001.avro")
    fold.fold(connection, "P", sequence)


def facts(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT personnummer, benefit, fact_id, sequence, record_no FROM facts ORDER BY ALL").fetchall()


def groups(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], str | None]:
    rows = connection.execute("SELECT personnummer, benefit, complete, code FROM groups").fetchall()
    assert all(complete == (code is None) for _, _, complete, code in rows)
    return {(personnummer, benefit): code for personnummer, benefit, _, code in rows}


def snapshot(*fact_ids: str, **fields: Any) -> list[dict[str, Any]]:
    return [record("SNAPSHOT", fact_id, **fields) for fact_id in fact_ids]


CASES = {
    "a snapshot fills": ([], snapshot("a", "b"), ["a", "b"]),
    "a snapshot replaces": (snapshot("a", "b"), snapshot("c"), ["c"]),
    "an empty group is emptied": (snapshot("a"), [record("EMPTY")], []),
    "new puts": (snapshot("a"), [record("NEW", "b")], ["a", "b"]),
    "new puts over": (snapshot("a"), [record("NEW", "a")], ["a"]),
    "corrected puts": (snapshot("a"), [record("CORRECTED", "a", supersedes=(1, 1_000_000_000))], ["a"]),
    "annulled removes": (snapshot("a", "b"), [record("ANNULLED", "b", supersedes=(1, 2_000_000_000))], ["a"]),
    "a deviation keeps": (snapshot("a"), [record("DEVIATION", code="INVALID_PERIOD")], ["a"]),
    "nothing changes nothing": (snapshot("a"), [], ["a"]),
    "other benefits stay": (snapshot("a", benefit=TFP), snapshot("b"), ["a", "b"]),
    "other persons stay": (snapshot("a", personnummer=BERIT), snapshot("b"), ["a", "b"]),
    "the former number's go": (snapshot("a", personnummer=BERIT), snapshot("b", former_personnummer=BERIT), ["b"]),
    "of the former number only that benefit's": (
        snapshot("a", personnummer=BERIT, benefit=TFP),
        snapshot("b", former_personnummer=BERIT),
        ["a", "b"],
    ),
    "the former number's go without any fact": (snapshot("a", personnummer=BERIT), [record("EMPTY", former_personnummer=BERIT)], []),
    "only the first snapshot record empties": ([], [record("NEW", "a"), *snapshot("b", "c")], ["b", "c"]),
    "new after a snapshot adds": ([], [*snapshot("a"), record("NEW", "b")], ["a", "b"]),
    "empty after a snapshot empties": ([], [*snapshot("a"), record("EMPTY")], []),
    "a snapshot after empty fills": (snapshot("a"), [record("EMPTY"), *snapshot("b")], ["b"]),
    "a snapshot goes on after empty": ([], [*snapshot("a"), record("EMPTY"), *snapshot("b")], ["b"]),
    "annulled within one delivery": ([], [record("NEW", "a"), record("ANNULLED", "a", supersedes=(2, 1_000_000_000))], []),
    "annulled and new again": (snapshot("a"), [record("ANNULLED", "a", supersedes=(1, 1_000_000_000)), record("NEW", "a")], ["a"]),
    "the former number lives on after it went": (
        snapshot("a", personnummer=BERIT),
        [*snapshot("b", former_personnummer=BERIT), record("NEW", "c", personnummer=BERIT)],
        ["b", "c"],
    ),
}


@pytest.mark.parametrize(("before", "delivery", "expected"), CASES.values(), ids=CASES.keys())
def test_a_delivery_is_folded_in_the_order_of_its_records(
    connection: duckdb.DuckDBPyConnection, before: list[dict[str, Any]], delivery: list[dict[str, Any]], expected: list[str]
) -> None:
    deliver(connection, 1, numbered(*before))
    deliver(connection, 2, numbered(*delivery))
    assert sorted(row[2] for row in facts(connection)) == expected


UNFOUNDED = {
    "annulled of nothing": ([record("ANNULLED", "a", supersedes=(1, 1_000_000_000))], "R50: ANNULLED of a fact that is not there"),
    "corrected of nothing": ([record("CORRECTED", "a", supersedes=(1, 1_000_000_000))], "R50: CORRECTED of a fact that is not there"),
    "corrected of another person's": (
        [record("CORRECTED", "x", personnummer=CARL, supersedes=(1, 1_000_000_000))],
        "R50: CORRECTED of a fact that is not there",
    ),
    "corrected after it was emptied": (
        [record("EMPTY"), record("CORRECTED", "x", supersedes=(1, 1_000_000_000))],
        "R50: CORRECTED of a fact that is not there",
    ),
    "corrected after it was annulled": (
        [record("ANNULLED", "x", supersedes=(1, 1_000_000_000)), record("CORRECTED", "x", supersedes=(1, 1_000_000_000))],
        "R50: CORRECTED of a fact that is not there",
    ),
    "corrected of another record": (
        [record("CORRECTED", "x", supersedes=(1, 7))],
        "R24: CORRECTED supersedes 1/7, the fact's last record is 1/1,000,000,000",
    ),
    "annulled of an overtaken record": (
        [record("NEW", "x"), record("ANNULLED", "x", supersedes=(1, 1_000_000_000))],
        "R24: ANNULLED supersedes 1/1,000,000,000, the fact's last record is 2/1,000,000,000",
    ),
}


@pytest.mark.parametrize(("delivery", "message"), UNFOUNDED.values(), ids=UNFOUNDED.keys())
def test_a_change_of_a_fact_that_is_not_there_is_refused(
    connection: duckdb.DuckDBPyConnection, delivery: list[dict[str, Any]], message: str
) -> None:
    deliver(connection, 1, numbered(record("NEW", "x")))
    with pytest.raises(VerificationError) as refused:
        deliver(connection, 2, numbered(*delivery))
    assert str(refused.value) == f"delivery P 00000002, part-0001.avro: record_no {len(delivery)},000,000,000: {message}"


def test_a_deviation_makes_a_group_incomplete_until_a_snapshot(connection: duckdb.DuckDBPyConnection) -> None:
    deliver(connection, 1, numbered(record("DEVIATION", code="INVALID_PERIOD"), record("DEVIATION", benefit=TFP, code="INVALID_SPAN")))
    assert groups(connection) == {(ANNA, SJP): "INVALID_PERIOD", (ANNA, TFP): "INVALID_SPAN"}
    deliver(connection, 2, numbered(record("NEW", "a"), record("EMPTY", benefit=TFP)))
    assert groups(connection) == {(ANNA, SJP): "INVALID_PERIOD", (ANNA, TFP): None}
    deliver(connection, 3, numbered(*snapshot("a")))
    assert groups(connection) == {(ANNA, SJP): None, (ANNA, TFP): None}


def test_a_former_number_is_no_group_any_more(connection: duckdb.DuckDBPyConnection) -> None:
    deliver(connection, 1, numbered(record("DEVIATION", personnummer=BERIT, code="INVALID_PERIOD")))
    deliver(connection, 2, numbered(record("EMPTY", former_personnummer=BERIT)))
    assert groups(connection) == {(ANNA, SJP): None}


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[dict[str, Any]]]:
    """Deliveries of any records in any order, but that each change is of the fact's last record."""
    told, chain = Fold(), []
    for sequence in range(1, draw(st.integers(1, 4)) + 1):
        records: list[dict[str, Any]] = []
        for place in range(draw(st.integers(0, 8))):
            action = draw(st.sampled_from(["NEW", "CORRECTED", "ANNULLED", "SNAPSHOT", "EMPTY", "DEVIATION"]))
            group = draw(st.sampled_from([ANNA, BERIT, CARL])), draw(st.sampled_from([SJP, TFP]))
            fact_id = draw(st.sampled_from("abc")) if action not in {"EMPTY", "DEVIATION"} else None
            former = draw(st.sampled_from([None, *({ANNA, BERIT, CARL} - {group[0]})])) if action in {"SNAPSHOT", "EMPTY"} else None
            so_far = Fold({**{key: dict(held) for key, held in told.facts.items()}}, dict(told.groups))
            so_far.deliver(sequence, records)
            last = so_far.facts.get(group, {}).get(fact_id or "")
            if action in {"CORRECTED", "ANNULLED"} and last is None:
                continue
            records.append(
                record(
                    action,
                    fact_id,
                    personnummer=group[0],
                    benefit=group[1],
                    record_no=(place + 1) * 1_000_000_000,
                    supersedes=(last[0], last[1]["record_no"]) if last and action in {"CORRECTED", "ANNULLED"} else None,
                    code=draw(st.sampled_from(["X", "Y"])) if action == "DEVIATION" else None,
                    former_personnummer=former,
                )
            )
        told.deliver(sequence, records)
        chain.append(records)
    return chain


@settings(max_examples=40, deadline=None)
@given(chain=deliveries())
def test_the_fold_equals_the_slow_one(chain: list[list[dict[str, Any]]]) -> None:
    slow = Fold()
    with empty_picture() as connection:
        for sequence, records in enumerate(chain, 1):
            slow.deliver(sequence, records)
            deliver(connection, sequence, records)
        expected = [(*group, fact_id, at, held["record_no"]) for group, told in slow.facts.items() for fact_id, (at, held) in told.items()]
        assert facts(connection) == sorted(expected)
        assert groups(connection) == slow.groups
