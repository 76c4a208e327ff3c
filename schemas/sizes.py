"""Sizes as people write them."""

import re

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?P<unit>[KMG]?)(?:i?B)?", re.IGNORECASE)


def size_of(text: str) -> int:
    """Bytes of a size such as 1GiB, 800M or 1.5 GB; all units count by 1024. ValueError for anything else."""
    found = SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no size such as 1GiB or 800MiB")
    return int(float(found["number"]) * UNITS[found["unit"].upper()])
