"""Look records up in a published delivery. record_no rises through its parts (R27), so a look-up decodes a few blocks of each."""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from schemas.contracts import DELIVERY_RECORD
from schemas.errors import BrokenFileError
from storage import avro

FOUND = pl.Schema({"file": pl.String(), **DELIVERY_RECORD.frame})


@contextmanager
def naming(part: Path) -> Iterator[None]:
    """Say of which delivered file it is that something is wrong."""
    try:
        yield
    except BrokenFileError as error:
        raise BrokenFileError(f"{'/'.join(part.parts[-4:])}: {error}: bring it back as it was published") from error


def records_between(folder: Path, first: int, last: int) -> pl.DataFrame:
    """The records of a delivery from record_no `first` to `last`, both included: FOUND. None when the delivery is not there any more."""
    found = [
        rows.select(pl.lit(part.name).alias("file"), *DELIVERY_RECORD.frame)
        for part in sorted(folder.glob("part-*.avro"))
        for rows in blocks_between(part, first, last)
    ]
    return pl.concat([pl.DataFrame(schema=FOUND), *found])


def blocks_between(part: Path, first: int, last: int) -> Iterator[pl.DataFrame]:
    """The wanted records of a part, block by block. BrokenFileError when it is damaged."""
    with naming(part), part.open("rb") as file:
        found, layout = avro.index(file, DELIVERY_RECORD)

        def block(number: int) -> pl.DataFrame:
            return avro.decode([avro.content_of(file, found, number)], [found.blocks[number].rows], layout, DELIVERY_RECORD, number)

        start = bisect_left(range(len(found.blocks)), first, key=lambda number: int(block(number)["record_no"][-1]))
        for number in range(start, len(found.blocks)):
            rows = block(number)
            if rows["record_no"][0] > last:
                return
            yield rows.filter(pl.col("record_no").is_between(first, last))
