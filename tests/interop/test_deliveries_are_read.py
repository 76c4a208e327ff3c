"""Deliveries read by other tools (R50's input): each finds the rows that our receiver finds, of every field, in the same order."""

from collections.abc import Callable
from pathlib import Path

import fastavro
import polars as pl
import polars_avro
import pytest

from schemas.contracts import DELIVERY_RECORD
from tests.interop.rows import HERE, ROOT, Row, everything, files_of, java, json_lines, nights, ours, plain, run, texts
from tests.kit import World
from tests.spark.session import session
from tests.straight import straight

DUCKDB = ROOT / ".venv-duckdb" / "bin" / "python"
Read = Callable[[list[Path], Path], list[Row]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An outbox with whatever a delivery can hold."""
    with straight():
        world = nights(everything(tmp_path_factory.mktemp("told") / "ws"))
    rows = ours(files_of(world.root / "outbox", "part-*.avro"))
    assert {row["action"] for row in rows} == {"NEW", "CORRECTED", "ANNULLED", "SNAPSHOT", "EMPTY", "DEVIATION"}
    assert {"-1234.56", "9999999999.99", "0.01", "127.00"} <= {row["amount"] for row in rows}
    for name in DELIVERY_RECORD.nullable:
        assert {row[name] is None for row in rows} == {True, False}, name
    assert max(len(row["windows"]) for row in rows) == 3
    return world.root / "outbox"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outbox of two nights of an invented population."""
    world = World(tmp_path_factory.mktemp("generated") / "ws")
    (world.root / "conf" / "partners.yaml").unlink()
    world.lefi("generate", "--persons", "400", "--nights", "2", "--seed", "11", "--start", "2026-01-05")
    with straight():
        for day in ("2026-01-05", "2026-01-06"):
            world.lefi("nightly", "--business-date", day)
    assert sum(len(ours([path])) for path in files_of(world.root / "outbox", "part-*.avro")) > 1000
    return world.root / "outbox"


def by_fastavro(paths: list[Path], _: Path) -> list[Row]:
    return [plain(row) for path in paths for row in fastavro.reader(path.open("rb"))]


def by_polars(paths: list[Path], _: Path) -> list[Row]:
    return [plain(row) for path in paths for row in polars_avro.read_avro(path).to_dicts()]


def by_java(paths: list[Path], scratch: Path) -> list[Row]:
    run(*java(), "read", str(scratch / "java.jsonl"), *texts(paths))
    return json_lines(scratch / "java.jsonl")


def by_duckdb(paths: list[Path], scratch: Path) -> list[Row]:
    if not DUCKDB.exists():
        pytest.skip("SKIPPED: no DuckDB with its avro extension (make test-all installs it), so nothing was read by DuckDB")
    run(str(DUCKDB), str(HERE / "duck.py"), str(scratch / "duck.jsonl"), *texts(paths))
    return json_lines(scratch / "duck.jsonl")


def by_spark(paths: list[Path], _: Path) -> list[Row]:
    read = session().read.format("avro")
    return [plain(row.asDict(recursive=True)) for path in paths for row in read.load(str(path)).collect()]


SLOW = [by_java, by_duckdb, by_spark]
TOOLS = [by_fastavro, by_polars, *(pytest.param(tool, marks=pytest.mark.slow) for tool in SLOW)]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("files", ["part-*.avro", "receipts.avro"])
def test_every_field_of_a_delivery_is_read_alike(told: Path, tool: Read, files: str, tmp_path: Path) -> None:
    paths = files_of(told, files)
    expected = ours(paths)
    assert len(expected) > 10
    assert tool(paths, tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("tool", [by_polars, *SLOW])
def test_a_generated_population_is_read_alike(generated: Path, tool: Read, tmp_path: Path) -> None:
    paths = files_of(generated, "part-*.avro")
    assert tool(paths, tmp_path) == ours(paths)


def test_polars_without_the_codec_reads_all_but_the_nullable_enum(told: Path) -> None:
    """`pl.read_avro` has no nullable enums, and panics on `kind`; named columns are read rightly."""
    names = [name for name in DELIVERY_RECORD.fields if name != "kind"]
    paths = files_of(told, "part-*.avro")
    rows = [plain(row) for path in paths for row in pl.read_avro(path, columns=names).to_dicts()]
    assert rows == [{name: value for name, value in row.items() if name != "kind"} for row in ours(paths)]
