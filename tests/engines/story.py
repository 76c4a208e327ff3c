"""Five nights of a small generated population, with orders, a refresh in slices, a recalculation and a rejected fact; the same on each engine."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jobs.local_engine import Started, members
from tests.faults.stories import rows_of
from tests.kit import ANNA, ROOT, World, span

NIGHTS = ("2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08", "2026-01-09")
PARTNER = "LIVBOLAGET-TEST"
PERSONS = 40
MEASURED = ("seconds", "peak_mib", "steps", "amount", "work")  # of a report, what a clock or a scale says
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class After:
    """What is there after a night. outbox: digest by file; report: but for what was measured."""

    outbox: Mapping[str, str]
    report: Mapping[str, Any]


def written(root: Path) -> World:
    """A workspace before its first night, the drops of all five in its inbox."""
    world = World(root, buckets=4)
    (world.root / "conf" / "partners.yaml").unlink()
    world.lefi("generate", "--persons", str(PERSONS), "--nights", str(len(NIGHTS)), "--seed", "5", "--start", NIGHTS[0])
    conf = world.root / "conf" / "partners.yaml"
    partners = yaml.safe_load(conf.read_text("utf-8"))
    partners["partners"][PARTNER]["refresh_persons_per_night"] = 8
    conf.write_text(yaml.safe_dump(partners, allow_unicode=True), "utf-8")
    spoil(world)
    return world


def spoil(world: World) -> None:
    """Have a fact in a drop of the third night that is rejected: its span lies outside its period."""
    folder = world.folder("FK:TFP", NIGHTS[2])
    head = json.loads((folder / "_drop.json").read_text("utf-8"))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    world.fact("FK:TFP", ANNA, "wrong", period_from="2025-01-01", period_to="2025-01-02", spans=[span("2025-02-01")])
    chain = {key: head[key] for key in ("dataset", "benefit", "previous_business_date")}
    world.drop(NIGHTS[2], chain, world.waiting.pop("FK:TFP"), name=folder.name)


def night(world: World, date: str, runner: str, **options: Any) -> After:
    """What operators decide before a night, and the night."""
    if date == NIGHTS[1]:
        world.lefi("refresh", "--partner", PARTNER)
        world.lefi(
            "recalculate", "--rule", "guarantee", "--effective", "2026-01-01", "--reason", "r", "--first-night", NIGHTS[2], "--nights", "2"
        )
    world.process("nightly", "--business-date", date, "--runner", runner, **options)
    return after(world)


def after(world: World) -> After:
    """What is there now."""
    return After(world.outbox(), {key: value for key, value in world.report().items() if key not in MEASURED})


def five_nights(world: World, runner: str) -> list[After]:
    """All of them on one engine, and at the end everybody compared on it."""
    told = [night(world, date, runner) for date in NIGHTS]
    assert json.loads(world.process("reconcile", "--runner", runner, "--json").out)["differences"] == 0
    return told


def same_rows(one: World, other: World) -> None:
    """Lake and store hold the same rows."""
    rows = rows_of(other)
    for name, frame in rows_of(one).items():
        assert frame.equals(rows[name]), name


def rehearsed(world: World, runner: str) -> dict[str, Any]:
    """What `rehearse` says of a sixth night, but for what was measured."""
    said = json.loads(world.process("rehearse", "--business-date", "2026-01-12", "--runner", runner, "--json").out)
    return {key: value for key, value in said.items() if key not in MEASURED}


def command(*arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """`lefi engines ...` as a process of its own."""
    line = [sys.executable, "-m", "jobs.lefi", "engines", *arguments]
    ran = subprocess.run(line, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert ran.returncode == code, ran.stderr
    return ran


@contextlib.contextmanager
def up(engine: str) -> Iterator[None]:
    """An engine that runs on this machine as long as it is needed."""
    command("start", engine)
    try:
        yield
    finally:
        command("stop", engine)


def process_of(engine: str, name: str) -> int:
    """The number of a process of an engine."""
    return int(json.loads(command("status", engine, "--json").stdout)["processes"][name])


def children(leader: int) -> list[int]:
    """The processes that a process of an engine has started: executors of a worker, Python's workers of the pool."""
    return [process for process in members(Started("", leader, 0)) if process != leader]


def with_a_loss(world: World, date: str, runner: str, lose: Callable[[], None], code: int = 0) -> str:
    """A night during which something is lost, once bites are being taken. Returns what it said."""
    with world.started_night_on(date, runner) as child:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not list((world.root / "staging").glob("*/pace/take_bite-*")):
            assert child.poll() is None, "the night is over already"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        lose()
        _, said = child.communicate(timeout=PATIENCE_SECONDS)
    assert child.returncode == code, said
    assert "Traceback" not in said
    return str(said)


def kill(*processes: int) -> None:
    """End processes at once, as when a machine is gone."""
    assert processes, "there is none"
    for process in processes:
        os.kill(process, signal.SIGKILL)


def loses_its_job_server(world: World, engine: str) -> None:
    """A night whose job server is killed ends with a sentence, and has delivered nothing."""
    server = process_of(engine, "job-server")
    said = with_a_loss(world, NIGHTS[0], engine, lambda: kill(server), code=1)
    assert f"lefi: --runner {engine}: the job server went away while the job was running" in said
    assert not world.outbox()


def start_anew(engine: str) -> None:
    """End what is left of an engine, and bring it up again."""
    command("stop", engine)
    command("start", engine)
