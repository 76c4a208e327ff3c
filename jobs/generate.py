"""Write a synthetic population as drops (contract, section 2). No number in it is meant to be anybody's: see synthetic/numbers.py."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from schemas.contracts import BENEFIT_FACT, BY_DATASET, ORDER_LINE, PERSON, Contract
from schemas.errors import RefusedError, UsageError
from storage import avro, durable
from storage.agreement import require_finished
from storage.inbox import HEAD
from storage.workspace import Workspace
from synthetic import facts, nights, orders, people, stock
from synthetic.catalogue import BENEFITS
from synthetic.dice import Dice, Ints
from synthetic.partners import PARTNERS, Partner, partners_yaml
from synthetic.people import People
from synthetic.scenarios import Scenario, scenario_of

GENERATOR = 1
FIRST_DATE = date(2026, 1, 5)
YEARS = (1900, 2900)  # of a first date: a population has a history, and nights to come
CHUNK_PERSONS = 50_000
FILE_ROWS = 250_000
MARKER_BYTES = 16
Progress = Callable[[str], None]
Frames = Iterable[pl.DataFrame]


@dataclass(frozen=True)
class Batch:
    """A drop to be: its head without files, and how its frames are made when they are needed."""

    name: str
    head: Mapping[str, Any]
    contract: Contract
    frames: Callable[[], Frames]
    csv: bool = False


def generate(
    workspace: Path,
    persons: int,
    nights: int,
    seed: int,
    start: date | None = None,
    scenario: str | None = None,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Write the drops of `nights` business dates, and conf/partners.yaml where it is missing; the same arguments make the same bytes.

    Returns first and last date, drops made and kept, and rows by dataset of all of them. Kept is what a run with the same arguments has
    left, so more nights can follow. UsageError for an impossible number or an unknown scenario; RefusedError, before anything is written,
    where the inbox has another drop of one of the names, for a workspace of a newer lefi, and while a committed run is unfinished.
    """
    if Workspace(workspace).catalog_file.exists():
        Workspace(workspace).catalog()
        require_finished(Workspace(workspace))
    if nights < 1:
        raise UsageError(f"--nights {nights}: at least one business date is needed")
    first, emphasis = start or FIRST_DATE, scenario_of(scenario)
    if not YEARS[0] <= first.year <= YEARS[1]:
        raise UsageError(f"--start {first}: a date of the years {YEARS[0]} to {YEARS[1]}")
    population = people.populate(Dice((seed, scenario or "")), persons, first, emphasis)
    source = f"synthetic {GENERATOR}: {persons} persons from {first}, seed {seed}" + (f", scenario {scenario}" if scenario else "")
    days = [first + timedelta(days=night) for night in range(nights)]
    inbox = workspace / "inbox"
    refuse_others(inbox, source, [f"{stem}-{day}" for day in days for stem in stems()])
    conf = workspace / "conf" / "partners.yaml"
    if not conf.exists():
        durable.write_file(conf, partners_yaml().encode())
    made, kept, rows = 0, 0, dict.fromkeys(BY_DATASET, 0)
    for batch in batches(population, emphasis, source, days):
        head = finished(inbox / batch.name)
        made, kept = made + (head is None), kept + (head is not None)
        head = head or write_drop(inbox / batch.name, batch)
        rows[head["dataset"]] += sum(file["rows"] for file in head["files"])
        progress(batch.name)
    return {"first": days[0], "last": days[-1], "drops": made, "kept": kept, "rows": rows}


def show(summary: Mapping[str, Any], workspace: Path) -> None:
    """The summary for people: what there is now, and what to do next."""
    rows = ", ".join(f"{count:,} {dataset}" for dataset, count in summary["rows"].items())
    kept = f", {summary['kept']} were there already" if summary["kept"] else ""
    print(f"{summary['drops']} drops made{kept}: {rows}, from {summary['first']} to {summary['last']}")
    print(f"Next: `lefi nightly {workspace} --business-date {summary['first']}`, then the dates after it.")


def stems() -> list[str]:
    """Names of a business date's drops, without the date."""
    return ["persons", *map(benefit_stem, BENEFITS), *(f"orders-{partner.code.lower()}" for partner in PARTNERS)]


def benefit_stem(benefit: str) -> str:
    """`FK:SJP` as `fk-sjp`."""
    return benefit.lower().replace(":", "-")


def refuse_others(inbox: Path, source: str, names: Iterable[str]) -> None:
    """RefusedError if one of the names is a drop of another source."""
    for name in names:
        head = finished(inbox / name)
        if head is not None and head.get("source") != source:
            theirs = head.get("source")
            raise RefusedError(f"inbox/{name} is there already, from '{theirs}': take another workspace or the arguments of that one")


def finished(folder: Path) -> dict[str, Any] | None:
    """The head of a finished drop, None if there is none; of one that is not ours the head may be empty."""
    if not (folder / HEAD).exists():
        return None
    try:
        head = json.loads((folder / HEAD).read_bytes())
    except ValueError:
        return {}
    return head if isinstance(head, dict) else {}


def batches(population: People, scenario: Scenario, source: str, days: list[date]) -> Iterator[Batch]:
    """All drops, in order of business date."""
    earlier: dict[str, list[pl.DataFrame]] = {benefit: [] for benefit in BENEFITS}
    for night, day in enumerate(days):
        head = {"source": source, "business_date": day.isoformat()}
        chain = head | ({"previous_business_date": days[night - 1].isoformat()} if night else {})
        yield Batch(f"persons-{day}", chain | {"dataset": "persons"}, PERSON, partial(register, population, night))
        said = nights.night_facts(population, scenario, night, earlier) if night else {}
        for benefit in BENEFITS:
            if night:
                earlier[benefit].append(said[benefit])
                make = partial(night_facts, population, benefit, said[benefit], f"{benefit}/{day}")
            else:
                make = partial(stock_facts, population, scenario, benefit, f"{benefit}/{day}")
            yield Batch(f"{benefit_stem(benefit)}-{day}", chain | {"dataset": "facts", "benefit": benefit}, BENEFIT_FACT, make)
        for partner in PARTNERS:
            name = f"orders-{partner.code.lower()}-{day}"
            lines = partial(ordered, population, scenario, partner, night, name)
            yield Batch(name, head | {"dataset": "orders", "partner": partner.code}, ORDER_LINE, lines, partner.csv)


def chunks(population: People) -> Iterator[Ints]:
    """All persons in portions, in an order that is not that of birth."""
    size = population.size
    stride = next(step for step in range(int(size * 0.618) or 1, size + 1) if np.gcd(step, size) == 1)
    for first in range(0, size, CHUNK_PERSONS):
        yield np.arange(first, min(first + CHUNK_PERSONS, size)) * stride % size


def register(population: People, night: int) -> Frames:
    """The register on the first business date, or its changes of a night."""
    if night:
        return [people.night_records(population, night)]
    return (people.stock_records(population, persons) for persons in chunks(population))


def stock_facts(population: People, scenario: Scenario, benefit: str, run: str) -> Frames:
    """All facts of a benefit on the first business date."""
    return (facts.records(stock.stock(population, scenario, benefit, persons), population, benefit, run) for persons in chunks(population))


def night_facts(population: People, benefit: str, drafts: pl.DataFrame, run: str) -> Frames:
    """The facts of a night."""
    return [facts.records(drafts, population, benefit, run)]


def stock_orders(population: People, scenario: Scenario, partner: Partner) -> Frames:
    """The orders with which a partner begins; every kind of mistake is in the first portion."""
    watched = orders.members(population, scenario, partner)
    for first in range(0, len(watched), CHUNK_PERSONS):
        portion = watched[first : first + CHUNK_PERSONS]
        yield orders.stock_lines(population, scenario, partner, portion, 0 if first else orders.EVERY_KIND)


def ordered(population: People, scenario: Scenario, partner: Partner, night: int, order_id: str) -> Frames:
    """A partner's order lines on a business date, numbered."""
    frames = [orders.night_lines(population, scenario, partner, night)] if night else stock_orders(population, scenario, partner)
    first = 1
    for frame in frames:
        numbers = first + pl.int_range(pl.len(), dtype=pl.Int32)
        yield frame.with_columns(order_id=pl.lit(order_id), line_no=numbers).select(*ORDER_LINE.frame)
        first += len(frame)


def files_of(frames: Frames) -> Iterator[pl.DataFrame]:
    """Frames joined and cut to files of at most FILE_ROWS rows; none is empty."""
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        waiting.append(frame)
        while sum(map(len, waiting)) >= FILE_ROWS:
            joined = pl.concat(waiting)
            yield joined.head(FILE_ROWS)
            waiting = [joined.slice(FILE_ROWS)]
    if sum(map(len, waiting)):
        yield pl.concat(waiting)


def write_drop(folder: Path, batch: Batch) -> dict[str, Any]:
    """Write a drop's files and, last, its head, which is returned."""
    files = []
    for place, frame in enumerate(files_of(batch.frames())):
        name = f"part-{place:04}.{'csv' if batch.csv else 'avro'}"
        data = as_csv(frame) if batch.csv else as_avro(frame, batch, name)
        durable.write_file(folder / name, data)
        files.append({"name": name, "rows": len(frame), "sha256": hashlib.sha256(data).hexdigest()})
    head = {**batch.head, "files": files}
    durable.write_file(folder / HEAD, durable.to_json(head))
    return head


def as_avro(frame: pl.DataFrame, batch: Batch, file: str) -> bytes:
    """A frame as the bytes of an Avro file; the sync marker follows from the drop's source and the file's name."""
    marker = hashlib.sha256(f"{batch.head['source']}/{batch.name}/{file}".encode()).digest()[:MARKER_BYTES]
    return avro.header(batch.contract, marker) + avro.encode(frame, batch.contract, marker)


def as_csv(frame: pl.DataFrame) -> bytes:
    """Order lines as the bytes of a CSV file with a header; null is empty."""
    data = io.BytesIO()
    frame.write_csv(data)
    return data.getvalue()
