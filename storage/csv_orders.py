"""Orders as CSV: UTF-8, a BOM allowed, a header, empty = null (R2; contract, section 4)."""

import csv
import io
from pathlib import Path

import polars as pl

from schemas.contracts import ORDER_LINE
from schemas.errors import BrokenFileError

INT_32 = range(-(2**31), 2**31)


def read(path: Path) -> pl.DataFrame:
    """A CSV file as order lines. BrokenFileError names the line or the column, never a value: the caller adds the file."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenFileError(f"it is not UTF-8 (byte {error.start})") from error
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: dict[str, list[str | None]] = {name: [] for name in ORDER_LINE.fields}
    try:
        header = next((row for row in rows if row), [])
        places = {name: header.index(name) for name in columns if name in header}
        for name in columns:
            if name not in places and name not in ORDER_LINE.nullable:
                raise BrokenFileError(f"column {name} is missing")
            if header.count(name) > 1:
                raise BrokenFileError(f"column {name} stands there twice")
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise BrokenFileError(f"line {rows.line_num}: {len(row)} values, the header has {len(header)}")
            for name, values in columns.items():
                value = row[places[name]] if name in places else ""
                values.append(value or (None if name in ORDER_LINE.nullable else ""))
    except csv.Error as error:
        raise BrokenFileError(f"line {rows.line_num}: {error}") from error
    numbers = [line_no(text or "", place) for place, text in enumerate(columns["line_no"], start=1)]
    return pl.DataFrame(columns | {"line_no": numbers}, schema=ORDER_LINE.frame)


def line_no(text: str, place: int) -> int:
    """A line_no that is an integer."""
    try:
        number = int(text) if text.isascii() and "_" not in text else None
    except ValueError:
        number = None
    if number is None or number not in INT_32:
        raise BrokenFileError(f"row {place}: line_no is not an integer")
    return number
