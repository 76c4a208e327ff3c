"""Records looked up by record_no in parts of several blocks."""

from pathlib import Path

import polars as pl
import pytest

from schemas.contracts import DELIVERY_RECORD
from storage import avro
from storage.delivered import records_between

MARKER = bytes(16)
PLAIN = {
    "action": "EMPTY",
    "trigger": "CHANGE",
    "personnummer": "-",
    "protected": False,
    "benefit": "FK:SJP",
    "windows": [],
    "unit": "MONTH",
}


@pytest.fixture
def delivery(tmp_path: Path) -> Path:
    """Two parts of three blocks each: records 1, 3, 5 ... 23, two a block."""
    for part, first in enumerate((1, 13), 1):
        rows = [dict.fromkeys(DELIVERY_RECORD.fields) | PLAIN | {"record_no": number} for number in range(first, first + 12, 2)]
        frame = pl.DataFrame(rows, schema=DELIVERY_RECORD.frame, orient="row")
        avro.write(tmp_path / f"part-0000{part}.avro", frame, DELIVERY_RECORD, MARKER, [2, 2, 2])
    return tmp_path


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [
        (1, 1, [1]),
        (23, 23, [23]),
        (2, 2, []),
        (4, 8, [5, 7]),
        (10, 16, [11, 13, 15]),
        (0, 99, list(range(1, 24, 2))),
        (24, 99, []),
        (-5, 0, []),
    ],
)
def test_records_are_found_by_number_wherever_they_lie(delivery: Path, first: int, last: int, found: list[int]) -> None:
    assert records_between(delivery, first, last)["record_no"].to_list() == found


def test_a_record_comes_with_the_name_of_its_part(delivery: Path) -> None:
    assert records_between(delivery, 11, 13)["file"].to_list() == ["part-00001.avro", "part-00002.avro"]


def test_a_delivery_that_is_not_there_any_more_has_no_records(tmp_path: Path) -> None:
    assert records_between(tmp_path / "gone", 0, 99).is_empty()
