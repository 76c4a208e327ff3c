"""Orders as CSV (R2): what is taken, and what is refused by line or column without a value."""

from pathlib import Path

import pytest

from schemas.contracts import ORDER_LINE
from schemas.errors import BrokenFileError
from storage.csv_orders import read

HEADER = ",".join(ORDER_LINE.fields)


def written(tmp_path: Path, text: str | bytes) -> Path:
    """A file of orders."""
    path = tmp_path / "orders.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_empty_is_null_where_null_is_allowed_and_text_elsewhere(tmp_path: Path) -> None:
    frame = read(written(tmp_path, f"{HEADER}\n,7,,,,,,,,\n"))
    assert frame.schema == ORDER_LINE.frame
    assert frame.rows() == [("", 7, "", None, None, None, None, None, None, None)]


@pytest.mark.parametrize("before", ["\n", "\r\n\n", "\ufeff\n"])
def test_blank_lines_count_for_nothing_before_the_header_too(tmp_path: Path, before: str) -> None:
    assert read(written(tmp_path, f"{before}{HEADER}\n\n,7,,,,,,,,\n")).height == 1


def test_a_header_alone_is_no_rows(tmp_path: Path) -> None:
    assert read(written(tmp_path, HEADER)).schema == ORDER_LINE.frame
    assert read(written(tmp_path, f"{HEADER}\r\n\r\n")).height == 0


def test_quotes_commas_and_newlines_in_values_are_kept(tmp_path: Path) -> None:
    frame = read(written(tmp_path, f'{HEADER}\r\n"a ""b"", c",1,"END\r\n",,,,,,,\r\n'))
    assert frame.select("order_id", "action").rows() == [('a "b", c', "END\r\n")]


def test_leading_zeros_stay(tmp_path: Path) -> None:
    assert read(written(tmp_path, f"{HEADER}\n007,1,END,000000000000,,,,,,\n"))["order_id"].to_list() == ["007"]


@pytest.mark.parametrize("number", ["", "one", "1.0", "1_0", "１", "2147483648", "0x1", "1e3"])
def test_a_line_no_that_is_no_integer_is_refused_by_row(tmp_path: Path, number: str) -> None:
    with pytest.raises(BrokenFileError, match=r"^row 2: line_no is not an integer$"):
        read(written(tmp_path, f"{HEADER}\nO,1,END,,,,,,,\nO,{number},END,,,,,,,\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column order_id is missing"),
        ("order_id,line_no\nO,1\n", "column action is missing"),
        (f"{HEADER},action\n", "column action stands there twice"),
        (f"{HEADER}\nO,1,END\n", "line 2: 3 values, the header has 10"),
        (f'{HEADER}\n"O"x,1,END,,,,,,,\n', "line 2: ',' expected after '\"'"),
        (HEADER.encode("utf-16"), "it is not UTF-8 (byte 0)"),
    ],
)
def test_a_broken_file_is_refused_by_line_or_column(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(BrokenFileError) as refused:
        read(written(tmp_path, text))
    assert str(refused.value) == message
