"""(d) The floor: decode every input, encode as many records as the night delivers. No logic, two threads, whole frames.

python -m benchmarks.floor WORKSPACE OUT RECORDS
"""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from time import perf_counter

import polars as pl
from polars_avro._avro_rs import AvroFileSink, AvroSource, Codec

from benchmarks.inputs import read_inputs
from schemas.contracts import DELIVERY_RECORD
from storage.avro import to_arrow

READ_ROWS, WRITE_ROWS, PART_ROWS = 32_768, 32_768, 262_144
THREADS = 2


def decode(path: str) -> int:
    """Decode a file to frames. Returns its rows."""
    if path.endswith(".csv"):
        return pl.read_csv(path, infer_schema=False).height
    return sum(pl.DataFrame(batch).height for batch in AvroSource([path], False, False).batch_iter(READ_ROWS, None))


def prebuilt() -> pl.DataFrame:
    """A part of records with the content of an ordinary payment or decision."""
    day, row, pays = date(2025, 10, 1), pl.int_range(PART_ROWS), pl.int_range(PART_ROWS) % 5 > 0
    case = pl.format("AP-{}-1", (row // 5).cast(pl.String).str.zfill(7))
    window = pl.struct(
        first=pl.lit(day), last=pl.lit(date(2025, 10, 31)), extent_permille=pl.lit(1000), level=pl.lit(None, pl.String), units=pl.lit(1)
    )
    given = {
        "record_no": row + 1,
        "action": pl.lit("SNAPSHOT"),
        "trigger": pl.lit("INITIAL"),
        "personnummer": pl.format("19{}", row.cast(pl.String).str.zfill(10)),
        "protected": pl.lit(False),
        "benefit": pl.lit("PM:AP"),
        "case_id": case,
        "fact_id": pl.format("{}-U{}", case, row % 5),
        "version": pl.lit(1),
        "kind": pl.when(pays).then(pl.lit("PAYMENT")).otherwise(pl.lit("DECISION")),
        "period_from": pl.lit(day),
        "period_to": pl.when(pays).then(pl.lit(date(2025, 10, 31))),
        "windows": pl.concat_list(window),
        "unit": pl.lit("MONTH"),
        "units": pl.lit(1),
        "amount": 15_000 + row % 900,
        "extent_permille": pl.lit(1000),
        "outcome": pl.when(~pays).then(pl.lit("BIFALL")),
    }
    columns = [given.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in DELIVERY_RECORD.frame.items()]
    return pl.select(row.alias("row")).select(columns)


def encode(part: pl.DataFrame, path: Path) -> None:
    """Write a part."""
    table = to_arrow(part, DELIVERY_RECORD)
    sink = AvroFileSink(str(path), table.schema.empty_table(), Codec.Snappy)
    for first in range(0, table.num_rows, WRITE_ROWS):
        sink.write(table.slice(first, WRITE_ROWS))
    sink.close()


def parts(records: int) -> Iterator[int]:
    """Rows of each part."""
    for first in range(0, records, PART_ROWS):
        yield min(PART_ROWS, records - first)


def main(workspace: Path, out: Path, records: int) -> dict[str, float]:
    """Measure. The frame that is written is built before."""
    frame = prebuilt()
    out.mkdir(parents=True)
    began = perf_counter()
    inputs = read_inputs(workspace)
    paths = [*inputs.persons, *(path for source in (*inputs.facts, *inputs.orders) for path in source.paths)]
    with ThreadPoolExecutor(THREADS) as threads:
        decoded = sum(threads.map(decode, sorted(paths, key=lambda path: -Path(path).stat().st_size)))
        list(threads.map(lambda part: encode(frame.head(part[1]), out / f"part-{part[0]:04d}.avro"), enumerate(parts(records))))
    return {"seconds": perf_counter() - began, "rows": decoded, "records": records}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
