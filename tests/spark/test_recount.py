"""The recount agrees with the nights, and says where somebody has changed what was delivered or what is held."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.interop.rows import NIGHTS, everything
from tests.kit import World
from tests.spark.session import session
from tests.straight import straight

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spark() -> Any:
    return session()


def recounted(world: World, capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    """What the job prints."""
    from jobs.spark import recount

    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        recount.main([str(world.root)])
    said = capsys.readouterr()
    assert ended.value.code == code, said
    return json.loads(said.out)


def test_every_night_of_a_story_is_counted_alike(spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Snapshots, changes, a merge, a change of number, freezes and their end, a refresh, an END; then a retraction and a withheld benefit."""
    world = everything(tmp_path / "ws")
    actions: set[str] = set()
    for night in (*NIGHTS, "2024-05-24"):
        if night == "2024-05-24":
            world.lefi("retract", "--source-run", "FK:SJP/2024-05-22", "--reason", "wrong")
        with straight():
            world.night(night, 0, ["PM:AP"] if night == "2024-05-24" else ())
        found = recounted(world, capsys)
        assert found["differences"] == found["pictures"] == found["earlier"] == []
        assert found["records"] == sum(len(world.records(partner)) for partner in ("BOLAGET", "KASSAN"))
        actions |= {record["action"] for partner in ("BOLAGET", "KASSAN") for record in world.records(partner)}
    assert actions == {"NEW", "CORRECTED", "ANNULLED", "SNAPSHOT", "EMPTY", "DEVIATION"}
    assert found["facts"] > 5


def test_a_fact_that_was_lost_from_the_store_is_found(spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows are changed below our feet, and the commit is dressed as ours: the recount says which partner, benefit and action do not agree."""
    world = everything(tmp_path / "ws")
    with straight():
        world.night(NIGHTS[0])
    (part,) = (world.root / "store" / "facts").glob("night-*.parquet")
    import polars as pl

    rows = pl.read_parquet(part)
    rows.with_columns(withdrawn=(pl.col("fact_id") == "T") | pl.col("withdrawn")).write_parquet(part)
    found = recounted(world, capsys, code=4)
    assert found["differences"] == [
        {"partner": "BOLAGET", "benefit": "FK:TFP", "action": "EMPTY", "manifest": 0, "files": 0, "recounted": 1},
        {"partner": "BOLAGET", "benefit": "FK:TFP", "action": "SNAPSHOT", "manifest": 1, "files": 1, "recounted": 0},
    ]
    assert found["pictures"] == [{"partner": "BOLAGET", "benefit": "FK:TFP", "facts": 1}]
    rows.with_columns(pl.when(pl.col("fact_id") == "T").then(pl.lit("other")).otherwise("case_id").alias("case_id")).write_parquet(part)
    found = recounted(world, capsys, code=4)
    assert (found["differences"], found["pictures"]) == ([], [{"partner": "BOLAGET", "benefit": "FK:TFP", "facts": 1}])


def test_a_manifest_that_says_otherwise_is_found(spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = everything(tmp_path / "ws")
    with straight():
        world.night(NIGHTS[0])
    path = world.root / "outbox" / "KASSAN" / "00000001" / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["totals"]["FK:SJP"]["SNAPSHOT"] += 1
    path.write_text(json.dumps(manifest), "utf-8")
    found = recounted(world, capsys, code=4)
    (difference,) = found["differences"]
    assert difference["manifest"] == difference["files"] + 1 == difference["recounted"] + 1
    assert [(each["partner"], each["sequence"]) for each in found["earlier"]] == [("KASSAN", 1)]
