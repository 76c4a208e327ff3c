"""A large order batch made a drop by Spark: the night takes it as it takes the partner's own drop, receipt by receipt, row by row."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.contracts import ORDER_LINE
from schemas.frames import SUBSCRIPTION_ROWS
from storage import tables
from tests.kit import World, numbers
from tests.spark.session import session
from tests.straight import straight

pytestmark = pytest.mark.slow
DATE = "2024-05-21"


@pytest.fixture(scope="module")
def spark() -> Any:
    return session()


def lines_of(people: list[str]) -> list[dict[str, Any]]:
    """Lines that are accepted, doubled, moved back, ended, wrong in several ways, and refreshes."""
    wanted = []
    for place, person in enumerate(people):
        subscribe = {"action": "SUBSCRIBE", "personnummer": person, "benefit": "FK:SJP", "purpose": "insurance", "from_date": "2024-02-01"}
        wanted += [subscribe, subscribe | {"from_date": ("2024-01-01", "2024-03-01", "2025-01-01", "soon", None)[place % 5]}]
        if place % 7 == 0:
            wanted.append({"action": "END", "personnummer": person, "benefit": "FK:SJP"})
    wanted += [
        {"action": "REFRESH", "benefit": "FK:SJP"},
        {"action": "REMOVE"},
        {"action": "SUBSCRIBE", "personnummer": "1", "benefit": "X"},
    ]
    named = [{"order_id": f"order-{place % 3}", "line_no": place, **line} for place, line in enumerate(wanted, 1)]
    return [dict.fromkeys(ORDER_LINE.fields) | line for line in named]


def prepare(world: World, batch: Path, capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """Run the job; its summary, or what it said."""
    from jobs.spark import prepare_orders

    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        prepare_orders.main([str(world.root), "--partner", "BOLAGET", "--business-date", DATE, "--batch", str(batch), *arguments])
    said = capsys.readouterr()
    assert ended.value.code == code, said.err
    return json.loads(said.out) if code == 0 else said.err


def outcome(world: World) -> list[Any]:
    """What the partner got, and its subscriptions."""
    rows = tables.read(tables.files(world.root / "lake" / "subscriptions"), SUBSCRIPTION_ROWS)
    return [world.records("BOLAGET"), world.receipt_rows("BOLAGET"), rows.sort("person", "benefit").rows()]


def test_a_batch_is_merged_as_the_partners_own_drop(spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path / "ws")
    world.partner("BOLAGET", "FK:SJP")
    people = numbers(60)
    for person in people[:50]:
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-20")
    lines = lines_of(people)
    twin = world.twin()
    twin.drops(DATE)
    twin.drop(DATE, {"dataset": "orders", "partner": "BOLAGET"}, lines)
    world.drops(DATE)
    batch = tmp_path / "batch"
    frame = spark.createDataFrame(
        [(*line.values(), "extra") for line in [*reversed(lines), *lines[:9]]],
        ", ".join(f"{name} {'int' if name == 'line_no' else 'string'}" for name in ORDER_LINE.fields) + ", channel string",
    )
    frame.repartition(4).write.parquet(str(batch))
    done = prepare(world, batch, capsys, "--files", "3")
    assert done == {"drop": f"orders-bolaget-{DATE}", "lines": len(lines), "twice": 9, "written": True, "files": 3}
    assert prepare(world, batch, capsys)["written"] is False
    with straight():
        for each in (world, twin):
            each.night(DATE)
    assert outcome(world) == outcome(twin)
    codes = set(world.receipts("BOLAGET"))
    assert {"ACCEPTED", "DUPLICATE", "FUTURE_DATE", "INVALID_DATE", "MISSING_FIELD", "UNKNOWN_PERSON", "INVALID_ACTION"} <= codes

    frame.limit(5).write.parquet(str(tmp_path / "less"))
    assert "is there already, with other lines" in prepare(world, tmp_path / "less", capsys, code=3)
    clash = frame.limit(1).unionByName(frame.limit(1).withColumn("action", literal("END")))
    clash.write.parquet(str(tmp_path / "clash"))
    said = prepare(world, tmp_path / "clash", capsys, "--name", "other", code=3)
    assert "1 times two lines of the batch have the same order_id and line_no" in said
    frame.drop("action").write.parquet(str(tmp_path / "lacking"))
    assert "the batch has no column action" in prepare(world, tmp_path / "lacking", capsys, "--name", "other", code=2)
    assert not (world.root / "inbox" / "other").exists()


def literal(text: str) -> Any:
    """A constant column."""
    from pyspark.sql import functions

    return functions.lit(text)
