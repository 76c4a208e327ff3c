"""The lake kept by delta-spark: folds, vacuum, restore, and two writers at one table."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines import compact as compaction
from schemas.frames import IN_STORE, TABLES
from storage import folds, tables
from storage.agreement import require_agreement
from storage.workspace import Workspace
from tests.kit import World, small_story
from tests.spark.session import session
from tests.straight import straight

pytestmark = pytest.mark.slow
FOLDED = ("facts", "subscriptions", "chains")
DATES = tuple(f"2024-05-{day}" for day in range(21, 25))


@pytest.fixture(scope="module")
def spark() -> Any:
    return session()


@pytest.fixture(scope="module")
def three_nights(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A workspace after three nights; the drops of a fourth wait."""
    world = World(tmp_path_factory.mktemp("nights") / "ws")
    small_story(world, *DATES)
    with straight():
        for date in DATES[:3]:
            world.night(date)
    return world


@pytest.fixture
def world(three_nights: World, tmp_path: Path) -> World:
    return three_nights.twin_at(tmp_path / "ws")


def job(module: Any, world: World, *arguments: str, code: int = 0) -> None:
    """Run a job in this process."""
    with pytest.raises(SystemExit) as ended:
        module.main([str(world.root), *arguments])
    assert ended.value.code == code


def folder(world: World, name: str) -> Path:
    return world.root / ("store" if name in IN_STORE else "lake") / name


def contents(world: World) -> dict[str, list[Any]]:
    """The rows of all tables, as our reader finds them, those of one person in their order."""
    found = {}
    for name, schema in TABLES.items():
        rows = tables.read(tables.files(folder(world, name)), schema)
        by = [column for column in ("bucket", "person") if column in schema]
        found[name] = (rows.sort(by, maintain_order=True) if by else rows).rows()
    return found


def after_the_fourth_night(world: World) -> dict[str, str]:
    """What the outbox has after one more night."""
    with straight():
        world.night(DATES[3])
    return world.outbox()


@pytest.fixture(scope="module")
def expected(three_nights: World) -> dict[str, str]:
    return after_the_fourth_night(three_nights.twin("untouched"))


def agrees(world: World) -> None:
    workspace = Workspace(world.root)
    require_agreement(workspace, workspace.catalog())


def test_folds_by_spark_are_those_of_lefi(world: World, spark: Any, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Same names, same rows in the same order, and the next night delivers the same bytes; with several files to a fold, too."""
    from jobs.spark import compact

    monkeypatch.setattr(folds, "FILE_ROWS", 20)
    chosen = {name: schema for name, schema in TABLES.items() if name in FOLDED}  # money, dates and records; lists; no buckets
    monkeypatch.setattr(compact, "TABLES", chosen)
    monkeypatch.setattr(compaction, "TABLES", chosen)
    twin = world.twin()
    before = contents(world)
    job(compact, world, "--all", "--vacuum", "0")
    twin.lefi("compact", "--all")
    assert contents(world) == before == contents(twin)
    for name in TABLES:
        ours, theirs = (tables.files(folder(each, name)) for each in (twin, world))
        names, told = (
            [(Path(file.path).name, file.rows, file.first_bucket, file.last_bucket) for file in files] for files in (ours, theirs)
        )
        assert names == told, name
        lying = {path.name for path in folder(world, name).glob("*.parquet")}
        assert name not in FOLDED or lying == {file for file, *_ in told}
        if any("fold" in name for name, *_ in told):
            settled = [tables.pl.read_parquet([file.path for file in files])["settled"].to_list() for files in (ours, theirs)]
            assert settled[0] == settled[1]
    agrees(world)
    assert after_the_fourth_night(world) == expected


def test_a_restore_to_the_last_run_undoes_another_writer(world: World, spark: Any, expected: dict[str, str]) -> None:
    """Spark deletes rows, and OPTIMIZE rewrites another table: both are refused by name, and both are undone."""
    from jobs.spark import restore

    spark.sql(f"DELETE FROM delta.`{folder(world, 'subscriptions')}` WHERE partner = 'KASSAN'")
    refusal = world.lefi("refresh", "--partner", "KASSAN", code=3).err
    assert re.search(r"lake/subscriptions: \d of its files are not there, damaged, or not ours", refusal)
    spark.sql(f"OPTIMIZE delta.`{folder(world, 'facts')}`")
    run = json.loads((world.root / "store" / "catalog.json").read_text("utf-8"))["run"]
    job(restore, world, "--run", run, "--table", "subscriptions")
    assert "store/facts: 1 of its files are not there, damaged, or not ours" in world.lefi("refresh", "--partner", "KASSAN", code=3).err
    job(restore, world, "--run", run, "--table", "facts", "--table", "persons")
    agrees(world)
    assert after_the_fourth_night(world) == expected


def test_a_restore_to_an_earlier_run_is_found_out_and_rebuilt(world: World, spark: Any, expected: dict[str, str]) -> None:
    """Delta keeps the transaction ids when it restores: the files say that the table is older."""
    from jobs.spark import restore

    before = contents(world)
    first = min(path.parent.name for path in (world.root / "runs").glob("*/report.json"))
    job(restore, world, "--run", first, "--table", "told")
    assert "store/told is of night 1, store/catalog.json of night 3" in world.lefi("refresh", "--partner", "KASSAN", code=3).err
    job(restore, world, "--run", first, "--table", "subscriptions", "--table", "touched")
    world.lefi("rebuild")
    agrees(world)
    assert contents(world) == before
    assert after_the_fourth_night(world) == expected


def test_a_restore_past_a_fold_is_refused(world: World, spark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from jobs.spark import restore

    world.lefi("compact", "--all")
    with straight():
        world.night(DATES[3])
    world.lefi("compact", "--all")  # whose first act is to remove what the earlier one has folded
    first = min(path.parent.name for path in (world.root / "runs").glob("*/report.json"))
    job(restore, world, "--run", first, "--table", "facts", code=3)
    assert "were folded, erased or vacuumed since: it cannot be restored to night 1" in capsys.readouterr().err
    agrees(world)


def test_two_writers_at_one_table_lose_nothing(world: World, spark: Any, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """By turns, and at once: Spark deletes rows while a night settles. The night ends by name, what the other did is refused, and all comes back."""
    at = folder(world, "subscriptions")
    spark.sql(f"ALTER TABLE delta.`{at}` SET TBLPROPERTIES ('lefi.seen' = 'before')")  # a commit that changes no row
    agrees(world)
    reach = tables.reach

    def while_we_commit(place: str, *arguments: Any) -> None:
        reach(place, *arguments)
        if place == "tables.commit:subscriptions":
            monkeypatch.setattr(tables, "reach", reach)
            spark.sql(f"DELETE FROM delta.`{at}` WHERE partner = 'KASSAN'")

    monkeypatch.setattr(tables, "reach", while_we_commit)
    with straight():
        ended = world.night(DATES[3], code=1)
    assert "another writer has committed to this table at the same time" in ended.err
    assert "not ours" in world.lefi("nightly", "--business-date", DATES[3], code=3).err
    world.lefi("rebuild")
    with straight():
        world.night(DATES[3])
    assert world.outbox() == expected
    agrees(world)
    assert {row[1] for row in contents(world)["subscriptions"]} == {"BOLAGET", "KASSAN"}
