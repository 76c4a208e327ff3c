"""(c) Bare Polars: the same records by one script, as fast as it goes. No buckets, ledger, digests or Beam; nothing is checked.

Each benefit is a job of its own, since sources deliver by benefit and no rule looks across: facts are narrowed to subscribed persons
batch by batch while they are decoded. Two threads, the largest benefits first.

    python -m benchmarks.bare WORKSPACE OUT
"""

import json
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter

import polars as pl
from polars_avro._avro_rs import AvroFileSink, AvroSource, Codec

from benchmarks.inputs import Inputs, Source, fold_links, read_inputs
from benchmarks.windows import compensate
from schemas.contracts import DELIVERY_RECORD
from storage.avro import to_arrow
from transforms.compare import DEVIATION_TEXTS

READ_ROWS, WRITE_ROWS = 32_768, 32_768
THREADS = 2
RECORD_NO_STEP = 1_000_000_000
FACT_COLUMNS = [
    "personnummer", "case_id", "fact_id", "version", "kind", "withdrawn", "period_from", "period_to", "spans", "extent_permille", "amount",
    "stated_days", "outcome", "status", "country", "refers_to", "reason", "recorded_at",
]  # fmt: skip


def decode(paths: Iterable[str], columns: list[str] | None = None) -> Iterable[pl.DataFrame]:
    """Batches of some Avro files."""
    return (pl.DataFrame(batch) for path in paths for batch in AvroSource([path], False, False).batch_iter(READ_ROWS, columns))


def read_persons(inputs: Inputs) -> tuple[pl.DataFrame, dict[str, str]]:
    """(person, personnummer, protected), and number -> person of those who have changed number (R11)."""
    records = pl.concat(decode(inputs.persons, ["personnummer", "former_personnummer", "protected", "recorded_at"]))
    links = records.filter(pl.col("former_personnummer").is_not_null()).select("personnummer", "former_personnummer")
    keys = fold_links(links.iter_rows())
    changed = records.filter(pl.col("personnummer").is_in([*keys, *keys.values()]))
    alone = records.filter(~pl.col("personnummer").is_in([*keys, *keys.values()]))
    folded = (
        changed.with_columns(pl.col("personnummer").replace(keys).alias("person"))
        .sort("recorded_at", maintain_order=True)
        .group_by("person")
        .agg(
            pl.coalesce(
                pl.col("personnummer").filter(pl.col("former_personnummer").is_not_null()).last(), pl.col("personnummer").last()
            ).alias("personnummer"),
            pl.last("protected"),
        )
    )
    same = (
        alone.sort("recorded_at", maintain_order=True).unique("personnummer", keep="last")
        if alone["personnummer"].is_duplicated().any()
        else alone
    )
    return pl.concat([same.select(pl.col("personnummer").alias("person"), "personnummer", "protected"), folded]), keys


def read_lines(source: Source) -> pl.DataFrame:
    """A partner's order lines, in order."""
    columns = ["line_no", "action", "personnummer", "benefit", "purpose", "from_date", "end_date"]
    if source.paths[0].endswith(".csv"):
        frames = [pl.read_csv(path, columns=columns, infer_schema=False).cast({"line_no": pl.Int32}) for path in source.paths]
    else:
        frames = list(decode(source.paths, columns))
    return pl.concat(frames).select(pl.lit(source.partner).alias("partner"), *columns)


def subscribe(inputs: Inputs, persons: pl.DataFrame, keys: dict[str, str]) -> dict[str, pl.DataFrame]:
    """The subscriptions that the SUBSCRIBE lines make (R12-R14), by benefit: (partner, person, personnummer, protected, from_date)."""
    lines = pl.concat(read_lines(source) for source in inputs.orders)
    if lines.filter(pl.col("action") == "REFRESH").height:
        raise NotImplementedError("a first night without REFRESH lines is expected")
    permitted = pl.DataFrame(list(inputs.permitted), schema=["partner", "purpose", "benefit"], orient="row")
    day = pl.lit(inputs.business_date)
    accepted = (
        lines.filter(pl.col("action") == "SUBSCRIBE")
        .with_columns(
            pl.col("from_date", "end_date").str.to_date("%Y-%m-%d", strict=False),
            pl.col("end_date").is_not_null().alias("ends"),
            pl.col("personnummer").replace(keys).alias("person"),
        )
        .filter(
            pl.col("from_date") <= day,
            ~pl.col("ends") | ((pl.col("end_date") > day) & (pl.col("end_date") > pl.col("from_date"))).fill_null(False),
        )
        .join(permitted, on=["partner", "purpose", "benefit"], how="semi")
        .sort("from_date", "line_no")
        .unique(["partner", "person", "benefit"], keep="first")
        .drop("personnummer")
        .join(persons, on="person")
    )
    parts = accepted.select("benefit", "partner", "person", "personnummer", "protected", "from_date").partition_by(
        "benefit", as_dict=True, include_key=False
    )
    return {str(benefit): part for (benefit,), part in parts.items()}


def read_facts(source: Source, watched: pl.Series, keys: dict[str, str]) -> pl.DataFrame:
    """The held facts (R20) of one benefit, of those whom somebody watches."""
    person = pl.col("personnummer").replace(keys).alias("person") if keys else pl.col("personnummer").alias("person")
    among = pl.col("person").is_in(watched.implode())
    batches = [batch.with_columns(person).filter(among).drop("personnummer") for batch in decode(source.paths, FACT_COLUMNS)]
    facts = pl.concat(batches).with_columns(pl.col("kind").cast(DELIVERY_RECORD.frame["kind"]))
    again = facts.select(pl.struct("person", "fact_id").is_duplicated()).to_series()
    if again.any():
        newest = facts.filter(again).sort("version", "recorded_at", maintain_order=True).unique(["person", "fact_id"], keep="last")
        facts = pl.concat([facts.filter(~again), newest])
    return facts


def deliver(source: Source, subscriptions: pl.DataFrame, keys: dict[str, str], unit: str, number: int, out: Path) -> int:
    """Write the records of one benefit, a part per partner (R21-R23). Returns their number."""
    facts = compensate(read_facts(source, subscriptions["person"].unique(), keys), unit).with_row_index("fact")
    groups = subscriptions.with_row_index("group")
    pairs = facts.select("fact", "person", "period_to").join(groups.select("group", "person", "from_date"), on="person")
    visible = pairs.filter(pl.col("period_to").is_null() | (pl.col("period_to") >= pl.col("from_date"))).select("group", "fact")
    shown = groups.select("group").join(visible, on="group", how="left", maintain_order="left")
    written = 0
    places = groups.with_columns(pl.col("partner").cast(pl.Categorical)).drop("person", "from_date")[shown["group"]]
    contents = facts.drop("fact", "person")
    full = shown["fact"].null_count() == 0
    picked = contents[shown["fact"]] if full else pl.DataFrame([column.gather(shown["fact"]) for column in contents])
    empty = shown["fact"].is_null()
    records = pl.concat([places, picked], how="horizontal").with_columns(empty=empty)
    for (partner,), own in records.partition_by("partner", as_dict=True).items():
        frame = own.select(columns(source.benefit, unit, number))
        table = to_arrow(frame, DELIVERY_RECORD)
        folder = out / str(partner)
        folder.mkdir(exist_ok=True)
        sink = AvroFileSink(str(folder / f"part-{number:04d}.avro"), table.schema.empty_table(), Codec.Snappy)
        for first in range(0, table.num_rows, WRITE_ROWS):
            sink.write(table.slice(first, WRITE_ROWS))
        sink.close()
        written += frame.height
    return written


def columns(benefit: str, unit: str, number: int) -> list[pl.Expr]:
    """The contract's fields, in its order."""
    frame = DELIVERY_RECORD.frame
    deviation = pl.col("deviation")
    given = {
        "record_no": pl.int_range(1, pl.len() + 1, dtype=pl.Int64) + number * RECORD_NO_STEP,
        "action": pl.when("empty").then(pl.lit("EMPTY", frame["action"])).otherwise(pl.lit("SNAPSHOT", frame["action"])),
        "trigger": pl.lit("INITIAL", frame["trigger"]),
        "former_personnummer": pl.lit(None, pl.String),
        "benefit": pl.lit(benefit),
        "windows": pl.col("windows").fill_null(pl.lit([], frame["windows"])),
        "unit": pl.lit(unit, frame["unit"]),
        "supersedes": pl.lit(None, frame["supersedes"]),
        "deviation": pl.when(deviation.is_not_null()).then(
            pl.struct(code=deviation, text=deviation.replace_strict(DEVIATION_TEXTS, return_dtype=pl.String))
        ),
    }
    return [given.get(name, pl.col(name)).alias(name) for name in frame]


def main(workspace: Path, out: Path) -> dict[str, float]:
    """Read, compare, write."""
    out.mkdir(parents=True)
    began = perf_counter()
    inputs = read_inputs(workspace)
    persons, keys = read_persons(inputs)
    subscriptions = subscribe(inputs, persons, keys)
    jobs = [
        partial(deliver, source, subscriptions[source.benefit], keys, inputs.units[source.benefit], number, out)
        for number, source in enumerate(sorted(inputs.facts, key=lambda source: -source.rows))
        if source.benefit in subscriptions
    ]
    with ThreadPoolExecutor(THREADS) as threads:
        records = sum(threads.map(lambda job: job(), jobs))
    return {"seconds": perf_counter() - began, "records": records}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
