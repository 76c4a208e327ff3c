"""How a rejected record is named: by when it arrived, never by whom it is about."""

import re

from schemas.arrival import DROP_BITS, NIGHT_BITS, ROW_BITS

MOST_DIGITS = 10  # of a row's number, which is the longest
PATTERN = re.compile(r"Q(\d+)-(\d+)-(\d+)")


def quarantine_id(arrival: int) -> str:
    """The id of a rejected record: Q<night>-<drop's ordinal>-<row>."""
    row, rest = arrival % (1 << ROW_BITS), arrival >> ROW_BITS
    return f"Q{rest >> DROP_BITS}-{rest % (1 << DROP_BITS)}-{row}"


def arrival_of_id(text: str) -> int | None:
    """The arrival that an id names; None when it is not an id."""
    found = PATTERN.fullmatch(text)
    if found is None:
        return None
    if max(map(len, found.groups())) > MOST_DIGITS:
        return None
    night, ordinal, row = map(int, found.groups())
    fits = night < 1 << NIGHT_BITS and ordinal < 1 << DROP_BITS and row < 1 << ROW_BITS
    return (night << DROP_BITS | ordinal) << ROW_BITS | row if fits else None
