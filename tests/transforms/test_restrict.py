"""Rows whose key is among some others stay, in their order."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.restrict import restrict

Pair = tuple[str | None, int | None]


def frame(pairs: list[Pair]) -> pl.DataFrame:
    """Pairs as a frame, each with its place."""
    return pl.DataFrame(pairs, {"name": pl.String, "age": pl.Int64}, orient="row").with_row_index("place")


def kept(rows: list[Pair], keys: list[Pair], *on: str) -> list[int]:
    """The places of the rows that stay."""
    result = restrict(frame(rows), frame(keys).drop("place"), on or ("name", "age"))
    assert result.schema == frame([]).schema
    return result["place"].to_list()


def test_a_row_stays_when_all_of_its_key_is_among_the_others() -> None:
    assert kept([("a", 1), ("a", 2), ("b", 1)], [("a", 1), ("b", 2)]) == [0]
    assert kept([("a", 1), ("a", 2), ("b", 1)], [("a", 1), ("b", 2)], "name") == [0, 1, 2]
    assert kept([("a", 1), ("a", 2), ("b", 1)], [("a", 1), ("c", 2)], "age") == [0, 1, 2]


def test_a_key_that_stands_twice_doubles_no_row_and_equal_rows_all_stay() -> None:
    assert kept([("b", 1), ("a", 1), ("a", 1)], [("a", 1), ("a", 1)]) == [1, 2]


def test_nothing_stays_without_keys_and_of_nothing() -> None:
    assert kept([("a", 1)], []) == kept([], [("a", 1)]) == []


def test_an_unknown_part_of_a_key_is_equal_to_nothing() -> None:
    assert kept([("a", None), (None, 1), ("a", 1)], [("a", None), (None, 1)]) == []


PAIRS = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([1, 2, None])), max_size=12)


@settings(max_examples=60, deadline=None)
@given(rows=PAIRS, keys=PAIRS)
def test_any_rows_are_kept_as_by_a_look_at_each(rows: list[Pair], keys: list[Pair]) -> None:
    assert kept(rows, keys) == [place for place, pair in enumerate(rows) if None not in pair and pair in keys]
