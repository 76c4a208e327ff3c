"""The order of records (R27), against Python's own."""

from datetime import date
from itertools import pairwise

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from receiver.check import ORDER, sorts_before_the_last
from schemas.contracts import DELIVERY_RECORD

KEYS = st.tuples(
    st.sampled_from(["1", "10", "2"]),
    st.sampled_from(["FK:FP", "FK:SJP"]),
    st.sampled_from([None, date(2024, 1, 1), date(2024, 1, 2)]),
    st.sampled_from([None, "a", "B", "å", "\U0001f600", "\uffff"]),
)


def by_bytes(key: tuple[str, str, date | None, str | None]) -> tuple[bytes, bytes, date, bytes]:
    """The same order for Python: null first, strings by their bytes."""
    personnummer, benefit, period_from, fact_id = key
    return personnummer.encode(), benefit.encode(), period_from or date.min, fact_id.encode() if fact_id else b""


@given(keys=st.lists(KEYS, min_size=1, max_size=8))
def test_a_record_out_of_order_is_seen(keys: list[tuple[str, str, date | None, str | None]]) -> None:
    frame = pl.DataFrame(keys, schema={name: DELIVERY_RECORD.frame[name] for name in ORDER}, orient="row")
    falls = [False, *(by_bytes(below) < by_bytes(above) for above, below in pairwise(keys))]
    assert frame.select(sorts_before_the_last(ORDER)).to_series().to_list() == falls
