"""Damaged files of the state: whoever runs into one is told its place and what helps, and goes on once it is back."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from storage.workspace import Workspace
from tests.kit import World, numbers, small_story

FIRST, SECOND = "2024-05-21", "2024-05-22"
NIGHT = ("nightly", "--business-date", SECOND)
REFRESH = ("refresh", "--partner", "KASSAN")
DAMAGES = ["{}", *(pytest.param(how, marks=pytest.mark.slow) for how in ("", "cut", "[]"))]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A workspace after its first night, in which a refresh was queued by command."""
    world = World(tmp_path_factory.mktemp("story") / "ws")
    small_story(world, FIRST, SECOND)
    world.night(FIRST)
    world.lefi(*REFRESH)
    return world


@pytest.fixture
def world(story: World, tmp_path: Path) -> World:
    """A copy of it."""
    return story.twin_at(tmp_path / "ws")


def damage(path: Path, how: str) -> bytes:
    """Damage a file: cut it, empty it, have it say something else, or put one letter of it in another's place. Returns what it was."""
    data = path.read_bytes()
    old, _, new = how.partition(" -> ")
    path.write_bytes(data[: len(data) // 2] if how == "cut" else data.replace(old.encode(), new.encode()) if new else how.encode())
    assert path.read_bytes() != data
    return data


def said(world: World, *command: str) -> str:
    """What a command that ends with 1 complains of."""
    err = world.lefi(*command, code=1).err
    assert "bug of ours" not in err
    return err


def of_table(world: World, name: str) -> Path:
    """The one file of a table."""
    (path,) = (world.root / name).glob("*.parquet")
    return path


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_command_is_named_and_restored_the_night_takes_it(world: World, how: str) -> None:
    path = world.root / "store" / "commands" / "000001.json"
    was = damage(path, how)
    for command in (("status",), REFRESH, NIGHT):
        assert "store/commands/000001.json is damaged: restore it from a backup" in said(world, *command)
    path.write_bytes(was)
    world.lefi(*NIGHT)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cut", pytest.param("", marks=pytest.mark.slow)])
def test_what_a_command_names_is_to_be_restored_since_nothing_makes_it_anew(world: World, how: str) -> None:
    path = world.root / "store" / "commands" / "000001.parquet"
    was = damage(path, how)
    for command in (REFRESH, NIGHT, ("rebucket", "--to", "8")):
        err = said(world, *command)
        assert "store/commands: a file is damaged: restore it from a backup" in err
        assert "lefi rebuild" not in err
    path.write_bytes(was)
    world.lefi("rebucket", "--to", "8")
    world.lefi(*NIGHT)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("lake/subscriptions", "cut"),
        pytest.param("lake/subscriptions", "", marks=pytest.mark.slow),
        ("lake/subscriptions", "bucket -> bucke|"),  # no such column
        ("lake/subscriptions", "///// -> |////"),  # of Arrow's schema, in base64
        ("lake/runs", "commands -> commandz"),
        pytest.param("store/facts", "person -> persoo", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_table_is_named_whatever_the_damage(world: World, name: str, how: str) -> None:
    damage(of_table(world, name), how)
    assert f"{name}: a file is damaged: bring the table back from a backup, or remove it and give `lefi rebuild`" in said(world, *NIGHT)
    shutil.rmtree(world.root / name)
    world.lefi("rebuild")
    world.lefi(*NIGHT)


def test_to_retract_a_run_from_a_damaged_table_says_so(world: World) -> None:
    damage(of_table(world, "store/facts"), "cut")
    assert "store/facts: a file is damaged" in said(world, "retract", "--source-run", "run", "--reason", "wrong")


def test_to_join_the_files_of_a_damaged_table_says_so(world: World) -> None:
    path = of_table(world, "store/told")
    world.lefi(*NIGHT)
    damage(path, "cut")
    assert "store/told: a file is damaged: bring the table back from a backup" in said(world, "compact", "--all")


@pytest.mark.parametrize("how", ["cut", '"sequence" -> "sequenze"'])
def test_a_damaged_manifest_is_named_before_anything_is_erased(world: World, how: str) -> None:
    manifest = world.root / "outbox" / "KASSAN" / "00000001" / "manifest.json"
    was = damage(manifest, how)
    err = world.lefi(*erase_command(world), code=3).err
    assert "outbox/KASSAN/00000001: manifest.json" in err
    assert "bring the delivery back as it was published" in err
    manifest.write_bytes(was)
    world.lefi(*erase_command(world))


@pytest.mark.parametrize("how", DAMAGES)
def test_a_report_that_is_none_is_named(world: World, how: str) -> None:
    path = next((world.root / "runs").glob("*/report.json"))
    damage(path, how)
    for command in (("status",), ("nightly", "--business-date", FIRST)):
        assert f"{path.relative_to(world.root)} is damaged: restore it from a backup" in said(world, *command)


@pytest.mark.parametrize("text", ["{}", *(pytest.param(text, marks=pytest.mark.slow) for text in ("", "[]", '{"run": "2024-05-22-x"}'))])
def test_a_commit_file_that_is_none_is_named_and_nothing_is_published_of_it(world: World, text: str) -> None:
    before = world.outbox()
    world.write("runs/2024-05-22-x/commit.json", text)
    assert "runs/2024-05-22-x/commit.json is damaged: restore it from a backup" in said(world, *NIGHT)
    assert world.outbox() == before


# What was interrupted


def erase_command(world: World) -> tuple[str, ...]:
    """Erase a person, whose number is in a file beside the workspace."""
    path = world.root.with_name("numbers.txt")
    path.write_text(f"{numbers(1)[0]}\n")
    return "erase", "--person", str(path), "--end-subscriptions"


def put_back(world: World, backup: World) -> None:
    """Store, lake and outbox as they were."""
    for name in ("store", "lake", "outbox"):
        shutil.rmtree(world.root / name)
        shutil.copytree(backup.root / name, world.root / name)


def account(world: World) -> object:
    """What was erased first."""
    return json.loads((world.root / "store" / "erasures" / "000001.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def erasing(story: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The workspace with an erasure that was killed when a table had been thinned."""
    world = story.twin_at(tmp_path_factory.mktemp("erasing") / "ws")
    world.process(*erase_command(world), failpoint="erase.told", code=-signal.SIGKILL)
    return world


@pytest.mark.parametrize("name", ["erasing.json", "erasing.parquet"])
@pytest.mark.parametrize("how", DAMAGES)
def test_of_an_interrupted_erasure_the_file_that_is_damaged_is_named(erasing: World, tmp_path: Path, name: str, how: str) -> None:
    world = erasing.twin_at(tmp_path / "ws")
    was = damage(world.root / "store" / name, how)
    assert f"store/{name} is damaged: restore it from a backup, or store/, lake/ and outbox/ whole" in said(world, "erase")
    assert "an erasure was interrupted" in world.lefi(*NIGHT, code=3).err
    (world.root / "store" / name).write_bytes(was)
    world.lefi("erase")
    world.lefi(*NIGHT)


def test_an_erasure_whose_list_is_lost_is_not_forgotten(erasing: World, tmp_path: Path) -> None:
    world = erasing.twin_at(tmp_path / "ws")
    (world.root / "store" / "erasing.parquet").unlink()
    assert "store/erasing.parquet is not there: restore it from a backup" in said(world, "erase")
    assert "an erasure was interrupted" in world.lefi(*NIGHT, code=3).err


def test_an_erasure_that_had_only_to_be_marked_as_complete_is_complete(erasing: World, tmp_path: Path) -> None:
    world = erasing.twin_at(tmp_path / "ws")
    mark = Workspace(world.root).erasing_file
    begun = mark.read_bytes()
    world.lefi("erase")
    mark.write_bytes(begun)
    world.lefi("erase")
    assert not mark.exists()


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_account_of_an_erasure_is_named(erasing: World, tmp_path: Path, how: str) -> None:
    world = erasing.twin_at(tmp_path / "ws")
    world.lefi("erase")
    damage(world.root / "store" / "erasures" / "000001.json", how)
    for command in ("erase", "rebuild"):
        assert "store/erasures/000001.json is damaged: restore it from a backup" in said(world, command)


@pytest.mark.slow
def test_with_the_state_from_before_an_erasure_it_is_done_as_if_undisturbed(erasing: World, story: World, tmp_path: Path) -> None:
    world, undisturbed = erasing.twin_at(tmp_path / "ws"), story.twin_at(tmp_path / "undisturbed")
    damage(world.root / "store" / "erasing.json", "cut")
    put_back(world, story)
    for each in (world, undisturbed):
        each.lefi(*erase_command(each))
        each.lefi(*NIGHT)
    assert account(world) == account(undisturbed)
    assert world.outbox() == undisturbed.outbox()


@pytest.mark.slow
@pytest.mark.parametrize("how", DAMAGES)
def test_the_damaged_mark_of_an_interrupted_rebucketing_is_named_and_with_the_state_from_before_it_is_done(
    rebucketing: World, story: World, tmp_path: Path, how: str
) -> None:
    world = rebucketing.twin_at(tmp_path / "ws")
    damage(world.root / "store" / "rebucketing.json", how)
    told = "store/rebucketing.json is damaged: restore it from a backup, or store/ and lake/ whole as they were before the rebucketing"
    assert told in said(world, "rebucket", "--to", "8")
    put_back(world, story)
    assert world.lefi("rebucket", "--to", "8", "--json").json["after"] == 8
    world.lefi(*NIGHT)


@pytest.fixture(scope="module")
def rebucketing(story: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The workspace with a rebucketing that was killed in the midst of a table."""
    world = story.twin_at(tmp_path_factory.mktemp("rebucketing") / "ws")
    world.process("rebucket", "--to", "8", failpoint="rebucket.facts", code=-signal.SIGKILL)
    return world
