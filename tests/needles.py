"""Look for personnummer in bytes: of files, of names, of what was printed."""

import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tests.kit import avro_rows

IN_TEXT = re.compile(rb"(?=(?<![0-9])([0-9]{6}|[0-9]{8})[-+]([0-9]{4})(?![0-9]))")
RUNS_OF_DIGITS = re.compile(rb"[0-9]{10,}")


@dataclass(frozen=True)
class Needles:
    """The numbers to look for, in every form in which they are written."""

    numbers: frozenset[bytes]

    @property
    def short(self) -> frozenset[bytes]:
        """Without the century."""
        return frozenset(number[2:] for number in self.numbers)

    def found(self, data: bytes) -> bool:
        """Whether one of them is in some bytes, wherever."""
        whole = (run[at : at + 12] for run in RUNS_OF_DIGITS.findall(data) for at in range(len(run) - 11))
        alone = (run for run in RUNS_OF_DIGITS.findall(data) if len(run) == 10)
        hyphened = [born + rest for born, rest in IN_TEXT.findall(data)]
        wide = data.replace(b"\0", b"") if b"\0" in data else b""  # UTF-16, as some crash dumps have it
        return (
            any(each in self.numbers for each in (*whole, *hyphened))
            or any(each in self.short for each in (*alone, *hyphened))
            or (bool(wide) and self.found(wide))
        )


def content(path: Path) -> bytes:
    """The bytes of a file; of one that is compressed, with those that it stands for."""
    data = path.read_bytes()
    if path.suffix == ".parquet":
        return data + pl.read_parquet(path).select(pl.exclude(pl.Binary)).write_ndjson().encode()
    if path.suffix == ".avro":
        return data + "\n".join(map(str, avro_rows(path))).encode()
    return data
