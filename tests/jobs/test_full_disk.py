"""A disk that takes no more: exit code 1, a line that names the path, nothing published before the commit, and the same bytes in the end."""

import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from deltalake.exceptions import DeltaError

from pipelines import failures
from pipelines.failures import guarded, raise_noted
from schemas.errors import BrokenFileError, BugError, DiskError, RefusedError
from schemas.frames import RUNS
from storage import durable, tables
from storage.durable import writing
from storage.tables import TableFile
from tests.kit import ANNA, World, small_story

FIRST, SECOND, THIRD = "2024-05-21", "2024-05-22", "2024-05-23"
NO_SPACE = "No space left on device"


@dataclass(frozen=True)
class Plan:
    """As much of a plan as a guarded step needs."""

    staging: Path
    is_going_on: bool = True

    def for_a_call(self) -> "Plan":
        """The plan of one call of a step."""
        return Plan(self.staging / "call")


def limited(size: int) -> None:
    """Let this process write no file beyond a size in bytes: a write that would is an error, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A workspace after its first night."""
    world = World(tmp_path_factory.mktemp("disk") / "ws")
    small_story(world, FIRST, SECOND, THIRD)
    world.night(FIRST)
    return world


@pytest.fixture(scope="module")
def undisturbed(story: World) -> tuple[dict[str, str], dict[str, str]]:
    """The outbox after the second night and after the third."""
    twin = story.twin("undisturbed")
    twin.night(SECOND)
    second = twin.outbox()
    twin.night(THIRD)
    return second, twin.outbox()


@pytest.mark.parametrize("size", [1_000, pytest.param(6_000, marks=pytest.mark.slow)])
def test_a_night_that_cannot_write_stops_with_the_path_and_is_repeated_whole(
    story: World, undisturbed: tuple[dict[str, str], dict[str, str]], size: int
) -> None:
    world = story.twin(f"limit-{size}")
    ran = world.process("nightly", "--business-date", SECOND, code=1, preexec_fn=partial(limited, size))
    assert f"lefi: File too large: {world.root}/staging/{SECOND}-" in ran.err.splitlines()[-1]
    assert "[while running" not in ran.err
    assert "mend it and give the command again" in ran.err
    assert world.outbox() == story.outbox()
    world.night(SECOND)
    assert world.outbox() == undisturbed[0]
    world.night(THIRD)
    assert world.outbox() == undisturbed[1]


def full_after_the_commit(patch: pytest.MonkeyPatch, module: object, name: str, path: str) -> None:
    """Let a function find the disk full from its third call on."""
    original: Callable[..., object] = getattr(module, name)
    calls: list[object] = []

    def fails(*arguments: object, **options: object) -> object:
        calls.append(arguments)
        if len(calls) > 2:
            raise DiskError(f"{NO_SPACE}: {path}")
        return original(*arguments, **options)

    patch.setattr(module, name, fails)


@pytest.mark.parametrize("name", ["commit", "append"])
def test_a_disk_that_is_full_while_settling_is_named_and_the_night_given_again_completes(
    story: World, undisturbed: tuple[dict[str, str], dict[str, str]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    world = story.twin(f"settling-{name}")
    with monkeypatch.context() as patch:
        full_after_the_commit(patch, tables, name, "lake/runs")
        ran = world.night(SECOND, code=1)
    assert f"lefi: {NO_SPACE}: lake/runs: mend it and give the command again; " in ran.err
    assert world.outbox() == undisturbed[0]
    assert "is committed and not finished" in world.lefi("status", "--json").json["next"]
    world.night(THIRD)
    assert world.outbox() == undisturbed[1]


def test_a_disk_that_is_full_while_publishing_leaves_no_half_delivery(
    story: World, undisturbed: tuple[dict[str, str], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = story.twin("publishing")
    original = durable.move

    def fails(source: Path, target: Path) -> None:
        if target.parent.name == "KASSAN":
            raise OSError(28, NO_SPACE, str(target))
        original(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(durable, "move", fails)
        ran = world.night(SECOND, code=1)
    assert f"lefi: {NO_SPACE}: {world.root}/outbox/KASSAN/00000002: mend it" in ran.err
    assert world.outbox().items() < undisturbed[0].items()
    world.night(SECOND)
    assert world.outbox() == undisturbed[0]


@pytest.mark.parametrize(
    "error",
    [OSError(28, NO_SPACE), OSError(f"Generic LocalFileSystem error\n ↳ Unable to copy data to file\n ↳ {NO_SPACE} (os error 28)\n")],
    ids=["Python", "deltalake"],
)
def test_a_full_disk_is_named_with_the_path(error: Exception) -> None:
    with pytest.raises(DiskError, match=f"^{NO_SPACE}: lake/x$"), writing(Path("lake/x")):
        raise error


@pytest.mark.parametrize("error", [OSError("something else"), DeltaError("no such table"), KeyError("x")])
def test_an_error_of_another_kind_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), writing(Path("lake/x")):
        raise error


def test_a_step_that_fails_is_told_by_its_note_and_a_note_without_room_by_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_plan: Plan) -> None:
        raise BrokenFileError("R2: drop 'x' is broken")

    with pytest.raises(BrokenFileError):
        guarded(broken)(Plan(tmp_path))
    with pytest.raises(BrokenFileError, match="R2: drop 'x' is broken"):
        raise_noted(tmp_path)
    (tmp_path / failures.FAILURE_FILE).write_bytes(b"")
    raise_noted(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 0}))
    with pytest.raises(DiskError, match=f"{NO_SPACE}: {tmp_path}"):
        raise_noted(tmp_path)


def test_an_error_of_the_disk_is_noted_with_step_and_path(tmp_path: Path) -> None:
    def unwritable(_plan: Plan) -> None:
        raise PermissionError(13, "Permission denied", "/somewhere")

    with pytest.raises(PermissionError):
        guarded(unwritable)(Plan(tmp_path))
    with pytest.raises(Exception, match="unwritable: Permission denied: /somewhere"):
        raise_noted(tmp_path)


def test_a_bug_is_noted_by_its_place_without_what_it_says(tmp_path: Path) -> None:
    def faulty(_plan: Plan) -> None:
        raise KeyError(ANNA)

    with pytest.raises(KeyError):
        guarded(faulty)(Plan(tmp_path))
    with pytest.raises(BugError, match=r"^KeyError test_full_disk\.py:[0-9]+ < ") as told:
        raise_noted(tmp_path)
    assert ANNA not in str(told.value)


def test_a_step_of_a_job_that_was_given_up_does_nothing(tmp_path: Path) -> None:
    called: list[Plan] = []
    with pytest.raises(RefusedError, match="was cleared: this job was given up"):
        guarded(called.append)(Plan(tmp_path, is_going_on=False))
    assert not called


def test_a_table_file_that_cannot_be_staged_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs.parquet").mkdir()
    with pytest.raises(DiskError, match=r"Is a directory: .*runs\.parquet"):
        assert isinstance(tables.stage(tmp_path / "runs.parquet", pl.DataFrame(schema=RUNS)), TableFile)
