"""A full recalculation of the guarantee benefit: a quarter of the population has FK:SA, and everyone gets a new decision in one night.

    python -m benchmarks.recalculation [--persons 1000000] [--dir DIR]

Against a full view of the same workspace (`lefi reconcile`), and against plain Polars that reads the same decisions, reckons with the same
formula and writes as many new decisions. Fails when persons or kronor differ.
"""

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time

import polars as pl

from benchmarks.bare import read_lines
from benchmarks.inputs import read_inputs
from benchmarks.measure import Measured
from benchmarks.night import lefi
from schemas.contracts import BENEFIT_FACT, DELIVERY_RECORD, ORDER_LINE, PERSON, Contract
from schemas.rules import GuaranteeRules
from storage import avro
from storage.conf import read_conf
from transforms.guarantee import yearly_guarantee

FIRST = date(2021, 12, 28)
STOCK, RECALCULATION = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
EFFECTIVE = date(2022, 1, 1)
PARTNER, PURPOSE = "LIVBOLAGET-TEST", "insurance"
MARKER = b"recalculation..."
SHARE = 4


def person_records(inbox: Path) -> pl.DataFrame:
    """(personnummer, birth_date) of whom has been sent by the register."""
    files = sorted(path for folder in inbox.glob("persons-*") for path in folder.glob("*.avro"))
    frames = [avro.read(path, PERSON).select("personnummer", "former_personnummer", "birth_date") for path in files]
    records = pl.concat(frames)
    changed = records.filter(pl.col("former_personnummer").is_not_null())
    numbers = [*changed["personnummer"], *changed["former_personnummer"]]
    return records.filter(~pl.col("personnummer").is_in(numbers)).unique("personnummer", maintain_order=True).drop("former_personnummer")


def ending(workspace: Path) -> pl.Series:
    """Numbers whose subscription has an end: one that comes in the night of the recalculation has nothing told any more."""
    lines = pl.concat(read_lines(source) for source in read_inputs(workspace).orders if source.partner == PARTNER)
    return lines.filter(pl.col("end_date").is_not_null())["personnummer"].unique()


def decisions(persons: pl.DataFrame) -> pl.DataFrame:
    """A decision on sjukersättning for each person, with a guarantee of what insurance years and income make it."""
    row = pl.int_range(pl.len(), dtype=pl.Int32())
    years, income = 3 + row % 38, (row * 37 % 60_000).cast(pl.Decimal(12, 2))
    given = {
        "personnummer": pl.col("personnummer"),
        "benefit": pl.lit("FK:SA"),
        "case_id": pl.format("bench-{}", row),
        "fact_id": pl.lit("bench"),
        "version": pl.lit(1),
        "kind": pl.lit("DECISION"),
        "withdrawn": pl.lit(False),
        "period_from": pl.lit(date(2021, 1, 1)),
        "spans": pl.lit([], BENEFIT_FACT.frame["spans"]),
        "extent_permille": pl.lit(1000),
        "amount": pl.lit(1).cast(pl.Decimal(12, 2)),
        "guarantee": pl.struct(insurance_years=years, income_related_yearly=income, yearly_amount=pl.lit(12).cast(pl.Decimal(12, 2))),
        "recorded_at": pl.lit(datetime(2021, 12, 29, tzinfo=UTC)),
        "source_run": pl.lit("FK:SA/bench"),
    }
    frame = BENEFIT_FACT.frame
    return persons.select(given.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in frame.items())


def order_lines(persons: pl.DataFrame) -> pl.DataFrame:
    """An order for each person."""
    given = {
        "order_id": pl.lit("bench"),
        "line_no": pl.int_range(1, pl.len() + 1),
        "action": pl.lit("SUBSCRIBE"),
        "personnummer": pl.col("personnummer"),
        "benefit": pl.lit("FK:SA"),
        "purpose": pl.lit(PURPOSE),
        "from_date": pl.lit("2021-01-01"),
    }
    return persons.select(given.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in ORDER_LINE.frame.items())


def drop(inbox: Path, name: str, day: date, frame: pl.DataFrame | None, contract: Contract, **head: str) -> None:
    """Write a drop of one file, or of none."""
    folder = inbox / f"{name}-{day}"
    folder.mkdir()
    files = []
    if frame is not None:
        avro.write(folder / "part-0.avro", frame, contract, MARKER)
        digest = hashlib.sha256((folder / "part-0.avro").read_bytes()).hexdigest()
        files = [{"name": "part-0.avro", "rows": frame.height, "sha256": digest}]
    chain = {} if "partner" in head else {"previous_business_date": str(day - timedelta(days=1))}
    document = {"source": "bench", "business_date": str(day), **chain, **head, "files": files}
    (folder / "_drop.json").write_text(json.dumps(document), "utf-8")


def plain(stock: Path, persons: pl.DataFrame, rules: GuaranteeRules, out: Path) -> tuple[float, float, int, int]:
    """Bare Polars: read, reckon, write. Seconds by the clock and of the processors, decisions, and the sum of the monthly amounts."""
    began, idle = perf_counter(), process_time()
    facts = avro.read(stock, BENEFIT_FACT).join(persons, on="personnummer")
    bands, base = rules.bands_on(EFFECTIVE), rules.base_amount_on(EFFECTIVE)
    if bands is None or base is None:
        raise LookupError(f"no figures for {EFFECTIVE}")
    guarantee = pl.col("guarantee").struct
    yearly = yearly_guarantee(
        pl.col("birth_date"),
        guarantee.field("insurance_years"),
        pl.col("extent_permille"),
        guarantee.field("income_related_yearly"),
        EFFECTIVE,
        bands,
        base,
    )
    amount = (yearly // 12).cast(pl.Decimal(12, 2))
    fresh = facts.with_columns(amount.alias("amount"), (pl.col("fact_id") + f"@{EFFECTIVE}").alias("fact_id"))
    fresh = fresh.filter(pl.col("amount") != 1).select(list(BENEFIT_FACT.frame))
    avro.write(out, fresh, BENEFIT_FACT, MARKER)
    return perf_counter() - began, process_time() - idle, fresh.height, int(fresh["amount"].sum())


def night(workspace: Path, day: date) -> Measured:
    """A night."""
    return lefi("nightly", workspace, "--business-date", day, "--json")


def delivered(workspace: Path) -> tuple[int, int]:
    """New decisions of the partner's last delivery, and the sum of their amounts."""
    folder = max((workspace / "outbox" / PARTNER).iterdir())
    records = pl.concat([avro.read(path, DELIVERY_RECORD).select("fact_id", "amount") for path in sorted(folder.glob("part-*.avro"))])
    fresh = records.filter(pl.col("fact_id") == f"bench@{EFFECTIVE}")
    return fresh.height, int(fresh["amount"].sum())


def main(arguments: Sequence[str]) -> int:
    """Prepare, run, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recalculation")
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--dir", type=Path)
    chosen = parser.parse_args(arguments)
    folder = (chosen.dir or Path(tempfile.mkdtemp())) / "recalculation"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    workspace, inbox = folder / "ws", folder / "ws" / "inbox"
    lefi("init", workspace)
    lefi("generate", workspace, "--persons", chosen.persons, "--nights", 1, "--seed", 1, "--start", FIRST)
    first = night(workspace, FIRST)
    persons = person_records(inbox).filter(~pl.col("personnummer").is_in(ending(workspace).implode())).head(chosen.persons // SHARE)
    stock = decisions(persons)
    for day in (STOCK, RECALCULATION):
        today = day == STOCK
        drop(inbox, "persons", day, None, BENEFIT_FACT, dataset="persons")
        drop(inbox, "fk-sa", day, stock if today else None, BENEFIT_FACT, dataset="facts", benefit="FK:SA")
    drop(inbox, "orders-bench", STOCK, order_lines(persons), ORDER_LINE, dataset="orders", partner=PARTNER)
    lefi("accept", workspace, f"fk-sa-{STOCK}", "--reason", "the stock of the bench")
    stocked = night(workspace, STOCK)
    wish = ("--rule", "guarantee", "--effective", EFFECTIVE, "--reason", "bench", "--first-night", RECALCULATION, "--nights", 1, "--json")
    planned = lefi("recalculate", workspace, *wish, "--plan")
    ordered = lefi("recalculate", workspace, *wish)
    recalculated = night(workspace, RECALCULATION)
    full = lefi("reconcile", workspace, "--json")
    seconds, used, count, kronor = plain(
        inbox / f"fk-sa-{STOCK}" / "part-0.avro", persons, read_conf(workspace / "conf").rules.guarantee, folder / "plain.avro"
    )
    if delivered(workspace) != (count, kronor) or full.said["differences"]:
        print(
            f"the night told {delivered(workspace)}, plain Polars {(count, kronor)}; {full.said['differences']} differences",
            file=sys.stderr,
        )
        return 1
    print(f"{chosen.persons:,} persons, {persons.height:,} with FK:SA, {count:,} new decisions told, equal in number and kronor\n")
    print("| what | seconds | CPU s | peak GiB |\n|---|--:|--:|--:|")
    for what, each in {
        "first night of everybody": first,
        "night that brings the stock of FK:SA and its orders": stocked,
        "recalculate --plan": planned,
        "recalculate": ordered,
        "night of the recalculation": recalculated,
        "full view (reconcile)": full,
    }.items():
        print(f"| {what} | {each.wall_seconds:.1f} | {each.cpu_seconds:.1f} | {each.peak_bytes / (1 << 30):.2f} |")
    print(f"| plain Polars, same formula | {seconds:.1f} | {used:.1f} | |")
    print(
        f"\nnight against full view {recalculated.wall_seconds / full.wall_seconds:.2f} by the clock, {recalculated.cpu_seconds / full.cpu_seconds:.2f} by the"
        f" processors; against plain Polars {recalculated.wall_seconds / seconds:.1f} and {recalculated.cpu_seconds / used:.1f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
