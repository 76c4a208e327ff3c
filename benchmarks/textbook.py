"""(b) The textbook Beam pipeline: ReadFromAvro, CoGroupByKey, a DoFn in plain Python per person, WriteToAvro.

python -m benchmarks.textbook WORKSPACE OUT
"""

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import apache_beam as beam
from apache_beam.io.avroio import ReadFromAvro, WriteToAvro
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pvalue import AsSingleton
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from benchmarks.inputs import Inputs, fold_links, read_inputs
from schemas.contracts import DELIVERY_RECORD
from transforms.compare import DEVIATION_TEXTS

DAY = timedelta(days=1)
DAY_UNITS = ("CALENDAR_DAY", "FIVE_DAY_WEEK", "WORKING_TIME")
Row = dict[str, Any]
Piece = tuple[date, date, int, str | None]
SHARED = ("case_id", "fact_id", "version", "kind", "period_from", "period_to", "amount", "extent_permille", "outcome", "status", "country")


def read_csv(path: str, partner: str) -> Iterator[Row]:
    """The order lines of a CSV file; empty is null."""
    with FileSystems.open(path) as file:
        for row in csv.DictReader(file.read().decode().splitlines()):
            yield {name: value or None for name, value in row.items()} | {"line_no": int(row["line_no"]), "partner": partner}


def by_person(row: Row, keys: Mapping[str, str]) -> tuple[str, Row]:
    """A row under its person's key."""
    return keys.get(row["personnummer"], row["personnummer"]), row


def day_of(text: str | None) -> date | None:
    """A date, or null when it is none."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


class Deliver(beam.DoFn):
    """A person's records, tagged by partner: first deliveries of all that is visible (R20-R23)."""

    def __init__(self, inputs: Inputs) -> None:
        self.day, self.units, self.permitted = inputs.business_date, inputs.units, inputs.permitted

    def process(self, element: tuple[str, Mapping[str, Iterable[Row]]]) -> Iterator[Any]:
        """One person's rows of the three inputs."""
        _, rows = element
        register = sorted(rows["persons"], key=lambda row: row["recorded_at"])
        subscriptions = self.subscriptions(rows["orders"]) if register else {}
        if not subscriptions:
            return
        renamed = [row for row in register if row["former_personnummer"]]
        person = {"personnummer": (renamed or register)[-1]["personnummer"], "protected": register[-1]["protected"]}
        facts: dict[str, list[Row]] = defaultdict(list)
        for fact in hold(rows["facts"]):
            facts[fact["benefit"]].append(fact)
        contents = {benefit: list(with_windows(facts[benefit], self.units[benefit])) for benefit in {b for _, b in subscriptions}}
        for (partner, benefit), from_date in subscriptions.items():
            about = person | {"benefit": benefit, "unit": self.units[benefit]}
            visible = [fact for fact in contents[benefit] if fact["period_to"] is None or fact["period_to"] >= from_date]
            for number, fact in enumerate(visible or [{}]):
                record = dict.fromkeys(DELIVERY_RECORD.fields) | {"record_no": number, "windows": []} | about | fact
                record |= {"action": "SNAPSHOT" if fact else "EMPTY", "trigger": "INITIAL"}
                yield beam.pvalue.TaggedOutput(partner, record)

    def subscriptions(self, lines: Iterable[Row]) -> dict[tuple[str, str], date]:
        """(partner, benefit) -> from_date of the lines that are accepted (R13, R14)."""
        taken: dict[tuple[str, str], date] = {}
        for line in sorted(lines, key=lambda line: line["line_no"]):
            from_date, end_date = day_of(line["from_date"]), day_of(line["end_date"])
            if (
                line["action"] == "SUBSCRIBE"
                and (line["partner"], line["purpose"], line["benefit"]) in self.permitted
                and from_date is not None
                and from_date <= self.day
                and (not line["end_date"] or (end_date is not None and end_date > self.day and end_date > from_date))
            ):
                group = line["partner"], line["benefit"]
                taken[group] = min(taken.get(group, from_date), from_date)
        return taken


def hold(facts: Iterable[Row]) -> list[Row]:
    """The highest version of each fact (R20)."""
    newest: dict[tuple[str, str], Row] = {}
    for fact in facts:
        key = fact["benefit"], fact["fact_id"]
        if key not in newest or (fact["version"], fact["recorded_at"]) > (newest[key]["version"], newest[key]["recorded_at"]):
            newest[key] = fact
    return list(newest.values())


def with_windows(facts: Sequence[Row], unit: str) -> Iterator[Row]:
    """What a partner is told of each fact of a benefit that is not withdrawn: its fields, windows, units and deviation (R30-R34)."""
    cases: dict[str, list[Row]] = defaultdict(list)
    for fact in facts:
        if fact["kind"] == "DECISION" and not fact["withdrawn"]:
            cases[fact["case_id"]].append(fact)
    payments = {fact["fact_id"] for fact in facts if fact["kind"] == "PAYMENT"}
    for fact in facts:
        if fact["withdrawn"]:
            continue
        decisions = cases[fact["case_id"]]
        windows = [] if unit == "EVENT" else count(join(pieces_of(fact, decisions, unit)), unit)
        units: int | None = sum(window["units"] for window in windows)
        if not windows and not (fact["kind"] == "PAYMENT" and unit in DAY_UNITS):
            units = None
        code = deviation(fact, decisions, windows, units, unit, payments)
        told = {name: fact[name] for name in (*SHARED, "refers_to", "reason")} | {"windows": windows, "units": units}
        yield told | {"deviation": {"code": code, "text": DEVIATION_TEXTS[code]} if code else None}


def pieces_of(fact: Row, decisions: Sequence[Row], unit: str) -> list[Piece]:
    """The compensated pieces of a fact (R30, R32)."""
    if fact["kind"] == "DECISION":
        return [piece_of(span) for span in fact["spans"] if not span["waiting"]]
    if fact["kind"] != "PAYMENT":
        return []
    if unit == "MONTH" and not any(decision["spans"] for decision in decisions):
        extent = 1000 if fact["extent_permille"] is None else fact["extent_permille"]
        return [(fact["period_from"], fact["period_to"], extent, None)]
    first, last = fact["period_from"], fact["period_to"]
    rivals = [decision for decision in decisions if touches(decision, first, last)]
    rivals.sort(key=lambda decision: (decision["recorded_at"], decision["version"], decision["fact_id"]))
    borders = {first, last + DAY}
    for decision in rivals:
        borders |= {decision["period_from"] or first, (decision["period_to"] or last) + DAY}
    stretches = sorted(border for border in borders if first <= border <= last + DAY)
    pieces: list[Piece] = []
    for start, stop in pairwise(stretches):
        deciding = [decision for decision in rivals if touches(decision, start, stop - DAY)]
        if deciding:
            spans = [piece_of(span) for span in deciding[-1]["spans"] if not span["waiting"]]
            pieces += [(max(a, start), min(b, stop - DAY), extent, level) for a, b, extent, level in spans if a < stop and b >= start]
    return pieces


def piece_of(span: Row) -> Piece:
    """A span as a piece."""
    return span["first"], span["last"], span["extent_permille"], span["level"]


def touches(decision: Row, first: date, last: date) -> bool:
    """Whether a decision's period has a day in common with others."""
    return (decision["period_from"] or date.min) <= last and first <= (decision["period_to"] or date.max)


def join(pieces: Iterable[Piece]) -> list[Piece]:
    """Windows: neighbouring days of equal extent and level, layer by layer, in the contract's order (R31)."""
    alike: dict[tuple[int, str | None], list[tuple[date, int]]] = defaultdict(list)
    for first, last, extent, level in pieces:
        alike[extent, level] += [(first, 1), (last + DAY, -1)]
    windows: list[Piece] = []
    for (extent, level), edges in alike.items():
        open_since: list[date] = []
        changes: dict[date, int] = defaultdict(int)
        for day, step in edges:
            changes[day] += step
        for day in sorted(changes):
            for _ in range(changes[day]):
                open_since.append(day)
            for _ in range(-changes[day]):
                windows.append((open_since.pop(), day - DAY, extent, level))
    return sorted(windows, key=lambda w: (w[0], w[1], -w[2], w[3] is not None, w[3] or ""))


def count(windows: Iterable[Piece], unit: str) -> list[Row]:
    """Windows with what each adds to those before it (R33)."""
    months: set[int] = set()
    weeks: dict[int, int] = defaultdict(int)
    counted = []
    for first, last, extent, level in windows:
        if unit == "MONTH":
            before = len(months)
            months |= set(range(first.year * 12 + first.month, last.year * 12 + last.month + 1))
            units = len(months) - before
        elif unit == "FIVE_DAY_WEEK":
            before = sum(min(5, days) for days in weeks.values())
            for day in range(first.toordinal(), last.toordinal() + 1):
                weeks[(day - 1) // 7] += 1
            units = sum(min(5, days) for days in weeks.values()) - before
        else:
            units = (last - first).days + 1
        counted.append({"first": first, "last": last, "extent_permille": extent, "level": level, "units": units})
    return counted


def deviation(fact: Row, decisions: Sequence[Row], windows: list[Row], units: int | None, unit: str, payments: set[str]) -> str | None:
    """The code of R34, if any."""
    if fact["kind"] == "RECOVERY_CLAIM":
        return None if fact["refers_to"] in payments else "UNKNOWN_REFERENCE"
    if fact["kind"] != "PAYMENT" or unit not in DAY_UNITS:
        return None
    if not any(touches(decision, fact["period_from"], fact["period_to"]) for decision in decisions):
        return "PERIOD_MISMATCH"
    if not windows:
        return "NO_COMPENSATED_DAYS"
    return "DAY_COUNT_MISMATCH" if fact["stated_days"] not in (None, units) else None


def build(pipeline: beam.Pipeline, inputs: Inputs, out: Path) -> None:
    """Read, co-group by person, deliver, write."""
    persons = read(pipeline, "persons", inputs.persons)
    facts = read(pipeline, "facts", [path for source in inputs.facts for path in source.paths])
    orders = []
    for source in inputs.orders:
        paths, partner = list(source.paths), source.partner
        if paths[0].endswith(".csv"):
            orders.append(pipeline | f"files {partner}" >> beam.Create(paths) | f"lines {partner}" >> beam.FlatMap(read_csv, partner))
        else:
            lines = read(pipeline, f"orders {partner}", paths)
            orders.append(lines | f"of {partner}" >> beam.Map(lambda row, partner: row | {"partner": partner}, partner))
    lines = orders | beam.Flatten() | "with number" >> beam.Filter(lambda row: row["personnummer"])
    links = persons | "links" >> beam.Filter(lambda row: row["former_personnummer"])
    pairs = links | "pairs" >> beam.Map(lambda row: (row["personnummer"], row["former_personnummer"]))
    keys = AsSingleton(pairs | beam.combiners.ToList() | beam.Map(fold_links))
    keyed = {
        "persons": persons | "persons by person" >> beam.Map(by_person, keys),
        "facts": facts | "facts by person" >> beam.Map(by_person, keys),
        "orders": lines | "orders by person" >> beam.Map(by_person, keys),
    }
    records = keyed | beam.CoGroupByKey() | beam.ParDo(Deliver(inputs)).with_outputs(*inputs.partners)
    for partner in inputs.partners:
        path = out / partner / "part"
        sink = WriteToAvro(str(path), dict(DELIVERY_RECORD.schema), file_name_suffix=".avro", codec="snappy")
        _ = records[partner] | f"write {partner}" >> sink


def read(pipeline: beam.Pipeline, name: str, paths: Sequence[str]) -> beam.PCollection[Row]:
    """All records of some Avro files."""
    parts = [pipeline | f"{name} {number}" >> ReadFromAvro(path) for number, path in enumerate(paths)]
    return parts | f"all {name}" >> beam.Flatten()


def main(workspace: Path, out: Path) -> dict[str, float]:
    """Run the pipeline on the embedded runner."""
    out.mkdir(parents=True)
    began = perf_counter()
    inputs = read_inputs(workspace)
    with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
        build(pipeline, inputs, out)
    return {"seconds": perf_counter() - began}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
