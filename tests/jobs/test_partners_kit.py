"""docs/partners.md: its commands run, and the examples come to the picture that `lefi receive` has."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import fastavro
import polars as pl
import pytest

from jobs.receive import receive
from tests.kit import ANNA, BO, CIA, DAN, ROOT, World, number
from tests.needles import Needles

PAGE = (ROOT / "docs" / "partners.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
EXAMPLES = ROOT / "docs" / "examples"
Picture = dict[str, int | None]


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Deliveries with every action, a change of number, a merge and a freeze."""
    world = World(tmp_path_factory.mktemp("kit") / "ws")
    world.partner("BOLAGET", "FK:SJP", "PM:AP")
    people = (ANNA, BO, CIA, DAN)
    for person in people:
        world.subscribe("BOLAGET", person, "FK:SJP")
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-20")
        world.payment(person, "FK:SJP", "P", "2024-05-01", "2024-05-10")
    world.subscribe("BOLAGET", ANNA, "PM:AP")
    world.night("2024-05-21")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-20", 500, version=2)
    world.fact("FK:SJP", BO, "P", "PAYMENT", period_from="2024-05-01", period_to="2024-05-10", withdrawn=True, version=2)
    world.fact("FK:SJP", CIA, "wrong", period_from="2024-05-02", period_to="2024-05-01")
    world.person(number("1970-01-01", 981), former_personnummer=DAN)
    world.night("2024-05-22")
    world.person(ANNA, former_personnummer=BO)
    world.decision(number("1970-01-01", 981), "FK:SJP", "E", "2024-06-01", "2024-06-20")
    world.night("2024-05-23")
    world.decision(CIA, "FK:SJP", "wrong", "2024-05-01", "2024-05-02", version=2)
    world.payment(ANNA, "PM:AP", "A", "2024-05-01", "2024-05-31")
    world.refresh("BOLAGET", benefit="FK:SJP")
    world.night("2024-05-24")
    told = {action for sequence in range(1, 5) for action in world.told("BOLAGET", "action", sequence=sequence)}
    assert told == {"SNAPSHOT", "EMPTY", "NEW", "CORRECTED", "ANNULLED", "DEVIATION"}
    return world.root / "outbox" / "BOLAGET"


@pytest.fixture(scope="module")
def ours(outbox: Path, tmp_path_factory: pytest.TempPathFactory) -> Picture:
    """The picture of `lefi receive`: key of each fact and its units."""
    state = tmp_path_factory.mktemp("ours") / "picture.duckdb"
    receive(outbox, state)
    with duckdb.connect(str(state), read_only=True) as connection:
        rows = connection.execute("SELECT personnummer || ' ' || benefit || ' ' || fact_id, units FROM facts").fetchall()
    assert len(rows) >= 8
    return dict(rows)


def run(*line: str) -> str:
    """Run a program; what it printed."""
    return subprocess.run(line, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def test_the_python_example_folds_as_we_do(outbox: Path, ours: Picture, tmp_path: Path) -> None:
    said = run(sys.executable, str(EXAMPLES / "receive.py"), str(outbox), str(tmp_path / "picture.json"))
    assert json.loads((tmp_path / "picture.json").read_text("utf-8")) == ours
    assert said == f"4 deliveries, {len(ours)} facts, 0 groups incomplete\n"


def test_the_python_example_refuses_what_was_changed(outbox: Path, tmp_path: Path) -> None:
    copy = tmp_path / "BOLAGET"
    shutil.copytree(outbox, copy)
    path = copy / "00000002" / "manifest.json"
    path.write_text(path.read_text("utf-8").replace('"run": "2024', '"run": "2023'), "utf-8")
    done = subprocess.run([sys.executable, EXAMPLES / "receive.py", copy, tmp_path / "p.json"], capture_output=True, text=True, check=False)
    assert "00000002: the manifest was changed" in done.stderr


def test_the_sql_example_folds_as_we_do(outbox: Path, ours: Picture) -> None:
    script = (EXAMPLES / "fold.sql").read_text("utf-8")
    with duckdb.connect() as connection:
        for folder in sorted(outbox.iterdir()):
            parts = sorted(folder.glob("part-*.avro"))
            rows = [row for path in parts for row in fastavro.reader(path.open("rb"))]
            records = pl.DataFrame(rows, schema=schema_of_records(), orient="row")
            connection.register("incoming", records)
            connection.execute("CREATE OR REPLACE TEMP VIEW records AS SELECT * FROM incoming")
            connection.execute(script)
        found = connection.execute("SELECT personnummer || ' ' || benefit || ' ' || fact_id, units FROM picture").fetchall()
        assert connection.execute("SELECT count(*) FROM incomplete").fetchall() == [(0,)]
    assert dict(found) == ours


def schema_of_records() -> pl.Schema:
    """The columns of a delivery record, enums as texts."""
    from schemas.contracts import DELIVERY_RECORD

    return pl.Schema({name: pl.String() if isinstance(dtype, pl.Enum) else dtype for name, dtype in DELIVERY_RECORD.frame.items()})


@pytest.mark.slow
def test_the_java_example_folds_as_we_do(outbox: Path, ours: Picture, tmp_path: Path) -> None:
    if not (shutil.which("java") and shutil.which("mvn")):
        pytest.skip("SKIPPED: no JDK with Maven on this machine, so the partner's example in Java was not run")
    run("mvn", "-q", "-B", "-f", str(EXAMPLES / "pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={tmp_path / 'jars'}")
    said = run("java", "-cp", f"{tmp_path / 'jars'}/*", str(EXAMPLES / "Receive.java"), str(outbox), str(tmp_path / "picture.json"))
    assert json.loads((tmp_path / "picture.json").read_text("utf-8")) == ours
    assert said == f"4 deliveries, {len(ours)} facts, 0 groups incomplete\n"


@pytest.mark.slow
def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    """As they stand there, in a folder with the workspace's name; the person in the CSV is one of the invented ones."""
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    lines = [line for language, block in BLOCKS if not language for line in block.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith(("lefi ", "python "))]
    assert len(commands) >= 9
    csv = next(block for language, block in BLOCKS if language == "csv")
    (tmp_path / "order.csv").write_text(csv, "utf-8")
    for command in commands:
        program = [sys.executable, "-m", "jobs.lefi"] if command[0] == "lefi" else [sys.executable]
        done = subprocess.run([*program, *command[1:]], cwd=tmp_path, env={**ENVIRONMENT}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
    assert len((tmp_path / "ws" / "outbox" / "LIVBOLAGET-TEST" / "00000003" / "manifest.json").read_text()) > 100
    assert len(json.loads((tmp_path / "picture.json").read_text())) > 1000
    assert (tmp_path / "schemas" / "manifest.schema.json").exists()


ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}


def test_no_person_of_the_page_is_anybody() -> None:
    assert not Needles(frozenset()).found(PAGE.encode())
    assert re.findall(r"\b[0-9]{12}\b", PAGE) == [ANNA]
