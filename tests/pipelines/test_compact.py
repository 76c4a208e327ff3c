"""Folded tables have the same rows in fewer files, partners get the same bytes, and what was lost can still be made anew."""

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from schemas.frames import TABLES
from storage import folds, tables
from storage.agreement import table_folder
from storage.folds import Unit
from storage.lock import only_writer
from storage.tables import TableFile
from storage.workspace import Workspace
from tests.kit import ANNA, BO, World, number, numbers, small_story, span

DATES = [str(date(2024, 5, 20) + timedelta(days=place)) for place in range(5)]
BO_BEFORE = number("1985-06-30", 982)


@dataclass(frozen=True)
class Story:
    """A workspace after four nights, and an undisturbed twin's outbox after the fifth."""

    world: World
    fifth: dict[str, str]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    world = World(tmp_path_factory.mktemp("compact") / "ws")
    small_story(world, DATES[0], DATES[1])
    world.night(DATES[0])
    world.night(DATES[1])
    world.subscribe("BOLAGET", BO, "FK:SJP")
    world.subscribe("BOLAGET", BO_BEFORE, "FK:SJP")
    for person in (BO, BO_BEFORE):
        world.decision(person, "FK:SJP", "same id", "2024-05-01", "2024-05-10")
    world.decision(ANNA, "FK:SJP", "wrong", "2024-05-01", "2024-05-20", spans=[span("2024-05-01", "2024-05-20", 2000)])
    world.night(DATES[2])
    world.person(BO, former_personnummer=BO_BEFORE)
    world.end("KASSAN", numbers(1)[0], "FK:SJP")
    world.lefi("refresh", "--partner", "BOLAGET")
    world.night(DATES[3])
    for person in numbers(3):
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-20", 250, version=9)
    world.refresh("BOLAGET", benefit="FK:SJP")
    world.drops(DATES[4])
    twin = world.twin("undisturbed")
    twin.night(DATES[4])
    return Story(world, twin.outbox())


def folder(world: World, name: str) -> Path:
    return table_folder(Workspace(world.root), name)


def rows(world: World, name: str) -> pl.DataFrame:
    """All rows of a table, in one order."""
    frame = tables.read(tables.files(folder(world, name)), TABLES[name])
    return frame.sort([name for name, dtype in TABLES[name].items() if not isinstance(dtype, pl.List)])


def files(world: World) -> Iterator[str]:
    """The names of all files that the tables consist of."""
    return (Path(file.path).name for name in TABLES for file in tables.files(folder(world, name)))


def goes_on_as_if_nothing_had_been(world: World, story: Story) -> None:
    """The same rows, no difference, and the next night's bytes those of the undisturbed twin."""
    for name in TABLES:
        assert rows(world, name).equals(rows(story.world, name)), name
    found = world.lefi("reconcile", "--json").json
    assert (found["differences"], found["store"]) == (0, [])
    world.night(DATES[4])
    assert world.outbox() == story.fifth


def test_all_files_of_a_table_are_folded_to_one_and_the_next_night_has_the_same_bytes(story: Story) -> None:
    world = story.world.twin("folded")
    summary = world.lefi("compact", "--all", "--json").json
    assert summary["tables"]["told"]["folds"] == summary["tables"]["facts"]["folds"] == 1
    assert {len(folds.units(tables.files(folder(world, name)))) for name in TABLES} == {0, 1}
    goes_on_as_if_nothing_had_been(world, story)


@pytest.mark.slow
def test_explain_still_knows_the_whole_history(story: Story) -> None:
    world = story.world.twin("explained")
    asked = ("explain", "--partner", "BOLAGET", "--person", numbers(1)[0], "--json")
    before = world.lefi(*asked).json
    world.lefi("compact", "--all")
    assert world.lefi(*asked).json == before


def test_nothing_is_folded_before_enough_nights_have_written(story: Story) -> None:
    world = story.world.twin("few")
    before = sorted(files(world))
    assert world.lefi("compact", "--json").json["tables"] == {}
    assert sorted(files(world)) == before


@pytest.mark.slow
def test_the_eighth_small_night_folds_what_came_before(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    world = story.world.twin("rule")
    monkeypatch.setattr(folds, "NIGHTS", 3)
    assert "folded" in world.lefi("nightly", "--business-date", DATES[3]).err
    assert [(unit.first, unit.last) for unit in folds.units(tables.files(folder(world, "runs")))] == [(1, 4)]
    goes_on_as_if_nothing_had_been(world, story)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["fold.told", "durable.move:facts", "tables.commit:subscriptions"])
def test_a_killed_compaction_changes_nothing_and_given_again_it_goes_on(story: Story, place: str) -> None:
    world = story.world.twin(place.replace(":", "-"))
    world.process("compact", "--all", failpoint=place, code=-signal.SIGKILL)
    assert world.lefi("reconcile", "--json").json["differences"] == 0
    world.lefi("compact", "--all")
    assert not list(world.root.glob("*/*/_folding"))
    goes_on_as_if_nothing_had_been(world, story)


@pytest.mark.slow
def test_folded_files_are_removed_once_another_night_has_settled(story: Story) -> None:
    world = story.world.twin("swept")
    world.lefi("compact", "--all")
    assert world.lefi("compact", "--all", "--json").json["removed"] == 0
    assert len(list(folder(world, "told").glob("night-*.parquet"))) >= 4
    goes_on_as_if_nothing_had_been(world, story)
    world.lefi("compact")
    assert {path.name[:12] for path in folder(world, "told").glob("night-*.parquet")} == {"night-000005"}
    assert world.lefi("reconcile", "--json").json["differences"] == 0


def test_a_compaction_holds_the_workspace_only_to_commit_and_is_refused_while_another_command_writes(story: Story) -> None:
    world = story.world.twin("held")
    with only_writer(Workspace(world.root)):
        assert "another command is writing" in world.lefi("compact", "--all", code=3).err


def swept(story: Story, name: str) -> World:
    """A twin whose tables are folds only."""
    world = story.world.twin(name)
    world.lefi("compact", "--all")
    for table in TABLES:
        live = {Path(file.path).name for file in tables.files(folder(world, table))}
        for path in folder(world, table).glob("*.parquet"):
            if path.name not in live:
                path.unlink()
    return world


def test_folds_without_a_log_are_taken_in_again(story: Story) -> None:
    world = swept(story, "no-logs")
    for name in TABLES:
        shutil.rmtree(folder(world, name) / "_delta_log", ignore_errors=True)
    counted = world.lefi("rebuild", "--json").json["tables"]
    assert not any(each["rebuilt"] for each in counted.values())
    goes_on_as_if_nothing_had_been(world, story)


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["told", "subscriptions", "members", "facts"])
def test_a_lost_fold_is_made_anew_night_by_night_beside_the_folds_of_the_others(story: Story, lost: str) -> None:
    world = swept(story, f"lost-{lost}")
    next(folder(world, lost).glob("fold-*.parquet")).unlink()
    assert world.lefi("rebuild", "--json").json["tables"][lost]["found"] == 0
    goes_on_as_if_nothing_had_been(world, story)


def unit(first: int, last: int, rows: int) -> Unit:
    name = f"night-{first:06d}-0000.parquet" if first == last else f"fold-{first:06d}-{last:06d}-0001of0001.parquet"
    return Unit(first, last, (TableFile(name, rows, 0, 3),))


def test_a_large_fold_is_written_again_only_when_a_quarter_of_it_has_come() -> None:
    first, small = unit(1, 1, 1000), [unit(night, night, 20) for night in range(2, 10)]
    assert folds.worth_folding([first, *small[:7]]) == []
    assert folds.worth_folding([first, *small]) == small
    grown = [first, unit(2, 9, 160), *(unit(night, night, 20) for night in range(10, 18))]
    assert folds.worth_folding(grown) == grown


def test_a_large_table_is_folded_to_several_files_by_ranges_of_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "FILE_ROWS", 6)
    schema = TABLES["recalculated"]
    nights = [
        pl.DataFrame(
            {"bucket": [0, 1, 2, 3], "recalculation": night, "person": list("dcba"), "case_id": "c", "result": "r", "night": night}
        )
        for night in (1, 2, 3)
    ]
    for night, frame in enumerate(nights, 1):
        tables.append(tmp_path / "t", [tables.stage(tmp_path / "s" / f"{night}.parquet", frame.cast(dict(schema)))], schema, night)
    joined = folds.units(tables.files(tmp_path / "t"))
    assert folds.commit(tmp_path / "t", joined, folds.fold(tmp_path / "t", joined, schema, 4), schema, 3)
    files = tables.files(tmp_path / "t")
    assert [(file.first_bucket, file.last_bucket, file.rows) for file in files] == [(0, 1, 6), (2, 3, 6)]
    assert tables.read(files, schema)["night"].to_list() == [1, 2, 3] * 4
    assert tables.night_of(tmp_path / "t") == 3
    assert not folds.commit(tmp_path / "t", joined, files, schema, 3)
    assert pl.scan_delta(str(tmp_path / "t")).collect().shape == (12, len(schema))


def test_every_tenth_commit_leaves_a_checkpoint(tmp_path: Path) -> None:
    schema = TABLES["recalculations"]
    for night in range(1, 12):
        frame = pl.DataFrame({"recalculation": 1, "slice": 1, "night": night, "decisions": 0, "unchanged": 0, "skipped": 0})
        tables.append(tmp_path / "t", [tables.stage(tmp_path / f"{night}.parquet", frame.cast(dict(schema)))], schema, night)
    assert (tmp_path / "t" / "_delta_log" / "_last_checkpoint").exists()
    assert tables.night_of(tmp_path / "t") == 11
    assert len(tables.files(tmp_path / "t")) == 11
