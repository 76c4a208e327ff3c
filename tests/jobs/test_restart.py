"""A night that is killed anywhere ends, once it is given again, with the same bytes as one that nobody disturbed (R28; S04, S05)."""

import json
import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from deltalake import DeltaTable

from schemas.errors import RefusedError
from schemas.frames import TABLES
from storage.agreement import agreed
from storage.lock import only_writer
from storage.workspace import Workspace
from tests.kit import World, numbers, small_story

FIRST, SECOND, THIRD = "2024-05-21", "2024-05-22", "2024-05-23"
BEFORE_COMMIT = ("plan", "stage", "verify", "commit.before")
SETTLED = ("drops", "chains", "runs", "totals", "facts", "told", "touched", "subscriptions", "refreshes", "members")
AFTER_COMMIT = (
    "commit.after",
    "publish",
    "publish:2",
    *(f"settle.{table}.{side}" for table in SETTLED for side in ("before", "after")),
    "settle.catalog",
    "settle.report",
)
QUICK = ("commit.before", "commit.after", "publish:2", "settle.told.after")
MOMENTS = 12


@dataclass(frozen=True)
class Story:
    """A workspace after its first night, and what the outbox of an undisturbed twin holds after the second and third."""

    world: World
    second: dict[str, str]
    third: dict[str, str]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    world = World(tmp_path_factory.mktemp("story") / "ws")
    small_story(world, FIRST, SECOND, THIRD)
    world.night(FIRST)
    twin = world.twin("undisturbed")
    twin.night(SECOND)
    second = twin.outbox()
    twin.night(THIRD)
    return Story(world, second, twin.outbox())


def test_the_story_has_something_to_lose(story: Story) -> None:
    assert set(SETTLED) <= set(TABLES)
    assert len(story.second) > len(story.world.outbox())
    assert not set(story.second.items()) ^ set(story.second.items() & story.third.items())


def ends_as_if_undisturbed(world: World, story: Story) -> None:
    """Give the night again, and the next one."""
    world.night(SECOND)
    assert world.outbox() == story.second
    world.night(THIRD)
    assert world.outbox() == story.third
    assert not list((world.root / "staging").iterdir())


@pytest.mark.parametrize("failpoint", QUICK)
def test_killed_at_a_step_a_night_given_again_ends_the_same(story: Story, failpoint: str) -> None:
    world = story.world.twin(f"quick-{failpoint}")
    world.killed_night(SECOND, failpoint)
    ends_as_if_undisturbed(world, story)


@pytest.mark.slow
@pytest.mark.parametrize("failpoint", [each for each in (*BEFORE_COMMIT, *AFTER_COMMIT) if each not in QUICK])
def test_killed_at_any_other_step_it_ends_the_same_too(story: Story, failpoint: str) -> None:
    world = story.world.twin(f"slow-{failpoint}")
    world.killed_night(SECOND, failpoint)
    ends_as_if_undisturbed(world, story)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(MOMENTS))
def test_killed_at_a_random_moment_it_ends_the_same_too(story: Story, seed: int) -> None:
    world = story.world.twin(f"moment-{seed}")
    with world.started_night(SECOND) as child:
        time.sleep(random.Random(seed).uniform(1.5, 4))
        child.send_signal(signal.SIGKILL)
    ends_as_if_undisturbed(world, story)


@pytest.mark.slow
def test_killed_three_times_in_a_row_it_ends_the_same_too(story: Story) -> None:
    world = story.world.twin("thrice")
    for failpoint in ("verify", "publish:2", "settle.catalog"):
        world.killed_night(SECOND, failpoint)
    ends_as_if_undisturbed(world, story)


def test_before_the_commit_nothing_was_published(story: Story) -> None:
    world = story.world.twin("unpublished")
    world.killed_night(SECOND, "commit.before")
    assert world.outbox() == story.world.outbox()
    assert world.lefi("status", "--json").json["last_night"] == FIRST


def test_a_committed_run_is_completed_by_the_night_of_another_date(story: Story) -> None:
    world = story.world.twin("another-date")
    world.killed_night(SECOND, "commit.after")
    ran = world.night(THIRD)
    assert f"completing the committed run {SECOND}" in ran.err
    assert world.outbox() == story.third


def test_a_committed_run_is_completed_by_a_date_that_is_refused(story: Story) -> None:
    world = story.world.twin("refused-date")
    world.killed_night(SECOND, "publish:2")
    ran = world.night(FIRST, code=3)
    assert f"--business-date {FIRST} is before the last night, {SECOND}" in ran.err
    assert world.outbox() == story.second


def test_while_a_committed_run_is_unfinished_other_commands_are_refused_and_status_says_what_to_do(story: Story) -> None:
    world = story.world.twin("unfinished")
    world.killed_night(SECOND, "publish")
    drop = world.folder("FK:SJP", THIRD).name
    for command in (
        ("refresh", "--partner", "BOLAGET"),
        ("retract", "--source-run", f"FK:SJP/{FIRST}", "--reason", "r"),
        ("accept", drop, "--reason", "r"),
        ("release", "Q1-2-3", "--reason", "r"),
        ("rebuild",),
        ("generate", "--persons", "10", "--nights", "1", "--seed", "1"),
    ):
        assert "is committed and not finished: give its `lefi nightly` again" in world.lefi(*command, code=3).err
    assert not (world.root / "store" / "commands").exists()
    status = world.lefi("status", "--json").json
    assert status["last_night"] == FIRST
    assert status["next"].startswith(f"run {SECOND}-")
    assert status["next"].endswith("is committed and not finished: give its `lefi nightly` again")
    world.night(SECOND)
    assert world.outbox() == story.second


@pytest.mark.slow
@pytest.mark.parametrize("place", ["publish", "settle.told.after", "settle.runs.before", "settle.runs.after", "settle.catalog"])
def test_while_a_committed_run_is_unfinished_explain_says_so_and_answers(story: Story, place: str) -> None:
    world = story.world.twin(f"explained-{place}")
    world.killed_night(SECOND, place)
    person = numbers(12)[0]
    told = world.lefi("explain", "--partner", "BOLAGET", "--person", person, "--json").json
    assert [run[:10] for run in told["unfinished"]] == [SECOND]
    world.night(SECOND)
    assert world.lefi("explain", "--partner", "BOLAGET", "--person", person, "--json").json["unfinished"] == []


@pytest.mark.slow
@pytest.mark.parametrize("place", ["durable.write:commit.json", "durable.link:commit.json"])
def test_of_a_run_that_was_not_committed_nothing_is_left_among_the_runs(story: Story, place: str) -> None:
    world = story.world.twin(place.replace(":", "-"))
    world.killed_night(SECOND, place)
    world.night(THIRD)
    left = {path.name for path in (world.root / "runs").rglob("*") if path.is_file()}
    assert left == {"commit.json", "report.json", "report.html"}
    assert len(list((world.root / "runs").iterdir())) == 2


@pytest.mark.slow
def test_a_published_night_does_not_fail_over_the_report_of_an_older_one(story: Story) -> None:
    world = story.world.twin("old-report")
    (report,) = (world.root / "runs").glob("*/report.json")
    report.write_bytes(report.read_bytes()[:100])
    world.night(SECOND)
    assert world.outbox() == story.second
    assert "2024" in world.lefi("status").out


def test_without_an_inbox_there_is_no_night(story: Story) -> None:
    world = story.world.twin("no-inbox")
    inbox = world.root / "inbox"
    inbox.rename(world.root / "not mounted")
    assert "inbox/ is not there: is what it lies on mounted?" in world.night(SECOND, code=3).err
    (world.root / "not mounted").rename(inbox)
    world.night(SECOND)
    assert world.outbox() == story.second


@pytest.mark.slow
@pytest.mark.parametrize("what", ["folder", "manifest"])
def test_a_delivery_that_is_not_in_the_outbox_any_more_is_told_to_the_operator(story: Story, what: str) -> None:
    world = story.world.twin(f"lost-{what}")
    folder = world.deliveries("BOLAGET")[-1]
    shutil.rmtree(folder) if what == "folder" else (folder / "manifest.json").unlink()
    lost = "outbox/BOLAGET/00000001 was published and is not there whole: bring it back"
    assert world.lefi("status", "--json").json["next"].startswith(lost)
    assert lost in world.night(SECOND).err
    assert lost in world.lefi("reconcile").err
    assert world.lefi("status", "--json").json["next"].startswith(lost)
    del world.conf["BOLAGET"]
    world.write_conf()
    world.night(THIRD)
    assert "outbox/BOLAGET" not in world.lefi("status", "--json").json["next"]


@pytest.mark.slow
def test_where_the_store_is_lost_beside_runs_every_command_names_rebuild(story: Story) -> None:
    world = story.world.twin("lost-store")
    commands = world.root / "store" / "commands"
    assert not commands.exists()
    shutil.rmtree(world.root / "store")
    for command in (("init",), ("status",), ("nightly", "--business-date", SECOND)):
        assert f"store/ was lost: give `lefi rebuild {world.root}`" in world.lefi(*command, code=1).err
    world.lefi("rebuild")
    world.night(SECOND)
    assert world.outbox() == story.second


@pytest.mark.slow
def test_killed_at_its_end_and_a_table_restored_rebuild_makes_the_way_free(story: Story) -> None:
    world = story.world.twin("restored-at-the-end")
    world.killed_night(SECOND, "settle.catalog")
    told = DeltaTable(str(world.root / "store" / "told"))
    told.restore(told.version() - 1)
    assert "store/told is of night 1, store/catalog.json of night 2" in world.night(SECOND, code=3).err
    world.lefi("rebuild")
    ends_as_if_undisturbed(world, story)


@pytest.mark.slow
@pytest.mark.parametrize("catalog", ["lost", "damaged", "of the run, and a table lost"])
def test_killed_in_the_first_night_of_all_rebuild_makes_the_way_free(story: Story, tmp_path: Path, catalog: str) -> None:
    world = World(tmp_path / "ws")
    small_story(world, FIRST, SECOND, THIRD)
    world.killed_night(FIRST, "settle.catalog" if catalog.startswith("of") else "commit.after")
    if catalog == "lost":
        (world.root / "store" / "catalog.json").unlink()
    elif catalog == "damaged":
        (world.root / "store" / "catalog.json").write_text("{", "utf-8")
    else:
        shutil.rmtree(world.root / "store" / "told" / "_delta_log")
    world.night(FIRST, code=3 if catalog.startswith("of") else 1)
    world.lefi("rebuild")
    world.night(FIRST)
    assert world.outbox() == story.world.outbox()


def test_what_a_committed_run_has_still_to_publish_and_is_gone_is_told_with_what_helps(story: Story) -> None:
    world = story.world.twin("no-staging")
    world.killed_night(SECOND, "commit.after")
    shutil.rmtree(world.root / "staging")
    said = world.night(SECOND, code=1).err
    assert f"run {SECOND}" in said
    assert "is not there any more" in said
    assert "restore the whole workspace from a backup" in said


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["machine.yaml", "signing key"])
def test_what_is_wrong_with_the_machine_or_the_key_keeps_no_committed_run_from_its_end(story: Story, wrong: str) -> None:
    world = story.world.twin(wrong.replace(" ", "-"))
    world.killed_night(SECOND, "publish")
    if wrong == "machine.yaml":
        (world.root / "conf" / wrong).write_text("memory: lots\n", "utf-8")
    key = ("--signing-key", "/nowhere.pem") if wrong == "signing key" else ()
    world.night(THIRD, 2, (), *key)
    assert world.outbox() == story.second
    assert world.lefi("status", "--json").json["last_night"] == SECOND


@pytest.mark.slow
def test_a_lost_report_of_an_older_night_is_written_again_and_nothing_else(story: Story) -> None:
    world = story.world.twin("lost-report")
    world.night(SECOND)
    report = min((world.root / "runs").iterdir()) / "report.json"
    was = report.read_bytes()
    report.unlink()
    world.night(THIRD)
    assert world.outbox() == story.third
    assert report.read_bytes() == was


def test_who_looks_while_a_night_settles_looks_again(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    world = story.world.twin("looked-at")
    workspace = Workspace(world.root)
    before = workspace.catalog()
    world.night(SECOND)
    after = workspace.catalog()
    read = iter([before])
    monkeypatch.setattr(Workspace, "catalog", lambda _: next(read, after))
    assert agreed(workspace) == after
    monkeypatch.setattr(Workspace, "catalog", lambda _: before)
    with pytest.raises(RefusedError, match="the newest in runs/ is"):
        agreed(workspace)


def test_a_second_night_at_the_same_time_is_refused(story: Story) -> None:
    world = story.world.twin("two-at-once")
    with only_writer(Workspace(world.root)):
        refused = world.process("nightly", "--business-date", SECOND, code=3)
    assert refused.err == f"lefi: another command is writing to {world.root}: wait for it, and give this one again\n"
    world.night(SECOND)
    assert world.outbox() == story.second


@pytest.mark.slow
def test_of_two_processes_that_start_together_one_is_refused_or_finds_it_done(story: Story) -> None:
    world = story.world.twin("together")
    with world.started_night(SECOND) as one, world.started_night(SECOND) as other:
        codes = sorted((one.wait(), other.wait()))
    assert codes in ([0, 0], [0, 3])
    assert world.outbox() == story.second


def test_the_same_night_twice_changes_nothing_and_says_so(story: Story) -> None:
    world = story.world.twin("twice")
    first = world.night(SECOND)
    files = {path: path.read_bytes() for path in (world.root / "lake").rglob("*") if path.is_file()}
    again = world.night(SECOND)
    assert again.json | {"work": None} == first.json | {"work": None}  # what this command itself took is another matter
    assert f"the night of {SECOND} is done already" in again.err
    assert world.outbox() == story.second
    assert {path: path.read_bytes() for path in (world.root / "lake").rglob("*") if path.is_file()} == files


def test_a_lake_that_is_older_than_the_outbox_is_refused(story: Story, tmp_path: Path) -> None:
    world = story.world.twin("older-lake")
    old = (world.root / "lake").rename(tmp_path / "lake")
    (world.root / "lake").mkdir()
    assert "the lake was restored or replaced" in world.night(SECOND, code=3).err
    (world.root / "lake").rmdir()
    old.rename(world.root / "lake")
    world.night(SECOND)
    assert world.outbox() == story.second


def test_the_report_of_an_interrupted_run_is_that_of_a_whole_one(story: Story) -> None:
    whole, killed = story.world.twin("whole"), story.world.twin("killed")
    whole.night(SECOND)
    killed.killed_night(SECOND, "settle.facts.before")
    killed.night(SECOND)
    reports = [
        {key: value for key, value in world.report().items() if key not in ("seconds", "peak_mib", "steps")} for world in (whole, killed)
    ]
    assert json.dumps(reports[0], sort_keys=True) == json.dumps(reports[1], sort_keys=True)
