"""Rows as every tool can say them, and the stories whose files are read and written by other tools than ours."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from schemas.contracts import DELIVERY_RECORD, RECEIPT
from storage import avro
from tests.kit import ANNA, BO, CIA, DAN, ROOT, World, number, span

HERE = Path(__file__).parent
Row = dict[str, Any]


def plain(value: Any) -> Any:
    """A value as JSON can have it: money, dates and times as texts."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:.2f}"
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def files_of(outbox: Path, name: str) -> list[Path]:
    """Part files, or receipts, of all deliveries, in order."""
    return sorted(outbox.glob(f"*/*/{name}"))


def ours(paths: Iterable[Path]) -> list[Row]:
    """The rows that our receiver reads."""
    contracts = {"receipts.avro": RECEIPT}
    return [plain(row) for path in paths for row in avro.read(path, contracts.get(path.name, DELIVERY_RECORD)).to_dicts()]


def everything(root: Path) -> World:
    """A workspace with every action, a change of number, a merge, a freeze, money below zero, two spans on a day, levels, and open ends."""
    world = World(root)
    world.partner("BOLAGET", "FK:SJP", "FK:TFP", "FK:SA", "PM:AP", "PM:LINT")
    world.partner("KASSAN", "FK:SJP")
    for person in (ANNA, BO, CIA, DAN):
        world.subscribe("BOLAGET", person, "FK:SJP")
        world.subscribe("KASSAN", person, "FK:SJP", until="2025-01-01")
        half = [span("2024-05-01", waiting=True), span("2024-05-02", "2024-05-09", 750, "GRUNDNIVÅ"), span("2024-05-12", "2024-05-20")]
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-20", spans=half, reason="Ändrad uppgift", outcome="GRANTED")
        world.payment(person, "FK:SJP", "P", "2024-05-01", "2024-05-10", "-1234.56", stated_days=8)
    for benefit in ("FK:TFP", "FK:SA", "PM:AP", "PM:LINT"):
        world.subscribe("BOLAGET", ANNA, benefit)
    side = [span("2024-05-03", "2024-05-06", 500), span("2024-05-05", "2024-05-08", 500, "A"), span("2024-05-05", "2024-05-08", 500)]
    world.decision(ANNA, "FK:TFP", "T", "2024-05-01", "2024-05-20", spans=side)
    guarantee = {"insurance_years": 40, "income_related_yearly": Decimal("0.00"), "yearly_amount": Decimal("9999999999.99")}
    world.decision(ANNA, "FK:SA", "S", "2024-01-01", None, amount=Decimal("9999999999.99"), guarantee=guarantee)
    world.certificate(ANNA, "L", "2024-03-01", "2", country="ES")
    world.refresh("BOLAGET", benefit="FK:AS")
    world.drops("2024-05-21")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-20", 500, version=2)
    world.fact("FK:SJP", BO, "P", "PAYMENT", period_from="2024-05-01", period_to="2024-05-10", withdrawn=True, version=2)
    world.fact("FK:SJP", CIA, "wrong", period_from="2024-05-02", period_to="2024-05-01")
    world.person(number("1970-01-01", 981), former_personnummer=DAN, protected=True)
    world.claim(ANNA, "FK:SJP", "C", "P", "2024-05-01", "2024-05-10", amount=Decimal("0.01"))
    world.drops("2024-05-22")
    world.person(ANNA, former_personnummer=BO, country="NO")
    world.decision(CIA, "FK:SJP", "wrong", "2024-05-01", "2024-05-02", version=2)
    world.payment(ANNA, "PM:AP", "A", "2024-05-01", "2024-05-31", "127.00")
    world.refresh("BOLAGET", benefit="FK:SJP")
    world.end("KASSAN", CIA, "FK:SJP")
    world.drops("2024-05-23")
    return world


NIGHTS = ("2024-05-21", "2024-05-22", "2024-05-23")


def nights(world: World) -> World:
    """Run the nights of the story."""
    for night in NIGHTS:
        world.night(night)
    return world


@cache
def java() -> tuple[str, ...]:
    """The command that runs Avro.java, with Avro's jars as they come with PySpark; skips where there is none."""
    found = find_spec("pyspark")
    if not (shutil.which("java") and found and found.submodule_search_locations):
        pytest.skip("SKIPPED: no JDK, or no PySpark (make test-all installs it), so nothing was read or written by Apache Avro")
    jars = Path(found.submodule_search_locations[0]) / "jars"
    return "java", "-cp", f"{jars}/*", str(HERE / "Avro.java")


def run(*line: str) -> str:
    """Run a program; what it printed."""
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def json_lines(path: Path) -> list[Row]:
    """The rows of a file with one JSON value a line."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def texts(paths: Sequence[Path]) -> list[str]:
    """Paths as arguments."""
    return [str(path) for path in paths]
