"""A workspace that an older lefi left goes on as one that was of today's format from the start; one of a newer lefi is refused by every command."""

import json
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer.main
from pyrage import x25519

from jobs.lefi import app
from pipelines import upgrade
from schemas import frames, versions
from storage import failpoints, tables
from storage.workspace import FORMAT, Workspace
from tests.golden.story import SETTLED, WAITING
from tests.kit import ANNA, World
from tests.straight import straight
from transforms import digest

GOLDEN = Path(__file__).parent
NEWEST = f"format-{FORMAT}"
ALL = [f"format-{number}{how}" for number in range(1, FORMAT + 1) for how in ("", "-unfinished")]
RECODING = (
    "upgrade.marked",
    "tables.stage:delivered",
    "tables.stage:_recoding",
    "fold.told",
    "durable.move:told",
    "tables.commit:told",
    "upgrade.recoded",
    "durable.rename:catalog.json:2",
)  # the first and the last but one are tried every time


def slow(value: str) -> Any:
    """A parameter for `make test-all` only."""
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.fixture(scope="module", autouse=True)
def in_this_thread() -> Iterator[None]:
    """All pipelines run without Beam's machinery."""
    with straight():
        yield


class KilledError(BaseException):
    """Stands for SIGKILL: nothing in lefi catches it."""


def opened(name: str, folder: Path) -> World:
    """A golden workspace, unpacked."""
    with tarfile.open(GOLDEN / f"{name}.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return World.at(folder / "ws", *WAITING)


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the workspace of the newest format has delivered after the nights that wait."""
    world = opened(NEWEST, tmp_path_factory.mktemp("newest"))
    for today in WAITING:
        world.night(today)
    return world.outbox()


def format_of(world: World) -> tuple[int, int, bool]:
    """Format, content version, and whether the ledger is being recoded."""
    catalog = json.loads((world.root / "store" / "catalog.json").read_text("utf-8"))
    return catalog["format"], catalog.get("content_version", 0), catalog.get("recoding", False)


def files(world: World) -> dict[str, bytes]:
    """Every file of a workspace but locks."""
    found = (path for path in world.root.rglob("*") if path.is_file() and path.name not in (".lock", ".compacting"))
    return {str(path.relative_to(world.root)): path.read_bytes() for path in found}


def goes_on(world: World, outbox: dict[str, str]) -> None:
    """The nights that wait have the bytes that they should have, and nobody is owed anything."""
    for today in WAITING:
        world.night(today)
    assert world.outbox() == outbox
    found = world.lefi("reconcile", "--json").json
    assert (found["differences"], found["store"]) == (0, [])
    assert format_of(world) == (FORMAT, versions.CONTENT_VERSION, False)


def test_each_format_has_its_golden_workspaces() -> None:
    assert sorted(path.name for path in GOLDEN.glob("*.tar.xz")) == sorted(f"{name}.tar.xz" for name in ALL)


@pytest.mark.parametrize("name", ALL)
def test_a_golden_workspace_is_as_it_was_when_it_was_packed(name: str, tmp_path: Path) -> None:
    world = opened(name, tmp_path)
    assert format_of(world)[0] == int(name.split("-")[1])
    assert len(list((world.root / "runs").glob("*/report.json"))) == len(SETTLED)
    assert len(list((world.root / "runs").glob("*/commit.json"))) == len(SETTLED) + name.endswith("unfinished")
    assert list((world.root / "store" / "told").glob("fold-*"))
    assert (GOLDEN / f"{name}.tar.xz").stat().st_size < 200_000


@pytest.mark.parametrize("name", [name for name in ALL if name != NEWEST])
def test_a_night_over_each_format_has_the_bytes_of_one_over_the_newest(name: str, outbox: dict[str, str], tmp_path: Path) -> None:
    world = opened(name, tmp_path)
    said = world.night(WAITING[0]).err
    older = not name.startswith(NEWEST)
    # An unfinished run is completed as it was committed; the next night finds nothing in the way.
    assert (f"it is brought to {FORMAT}" in said) == (older and not name.endswith("unfinished"))
    goes_on(world, outbox)


def test_what_only_looks_works_on_an_older_format_and_leaves_it_so(tmp_path: Path) -> None:
    world = opened("format-1", tmp_path)
    before = files(world)
    assert world.lefi("status", "--json").json["last_night"] == SETTLED[-1]
    assert world.lefi("explain", "--partner", "BOLAGET", "--person", ANNA, "--json").json
    assert world.lefi("rehearse", "--business-date", WAITING[0], "--json").json["release"]["differences"] == 0
    assert files(world) == before


@pytest.mark.slow
def test_what_is_decided_in_an_older_format_holds_in_the_night_that_upgrades(tmp_path: Path) -> None:
    world, newest = opened("format-1", tmp_path / "older"), opened(NEWEST, tmp_path / "newest")
    for each in (world, newest):
        each.lefi("refresh", "--partner", "KASSAN", "--benefit", "FK:SJP")
    assert format_of(world)[0] == 1
    said, other = world.night(WAITING[0]).json, newest.night(WAITING[0]).json
    assert said | {"work": None} == other | {"work": None}
    assert world.outbox() == newest.outbox()


@pytest.mark.slow
def test_an_older_workspace_is_rebuilt_and_goes_on(outbox: dict[str, str], tmp_path: Path) -> None:
    world = opened("format-1", tmp_path)
    for log in ("store/told/_delta_log", "lake/subscriptions/_delta_log", "store/facts/_delta_log"):
        for path in (world.root / log).iterdir():
            path.unlink() if path.is_file() else None
        (world.root / log).rmdir()
    world.lefi("rebuild")
    goes_on(world, outbox)


# A new encoding of digests


@pytest.fixture
def another_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version of this code, whose digests are other ones."""
    original = digest.hash_rows
    monkeypatch.setattr(digest, "hash_rows", lambda *names: original(*names[::-1]))
    monkeypatch.setattr(versions, "CONTENT_VERSION", versions.CONTENT_VERSION + 1)


def digests(world: World) -> pl.DataFrame:
    """The ledger, sorted."""
    rows = tables.read(tables.files(world.root / "store" / "told"), frames.TOLD)
    return rows.sort("partner", "sequence", "record_no", "person")


@pytest.mark.usefixtures("another_encoding")
@pytest.mark.parametrize("name", ["format-1", slow(NEWEST), slow("format-1-unfinished")])
def test_another_encoding_recodes_the_ledger_and_tells_nobody_anything(name: str, outbox: dict[str, str], tmp_path: Path) -> None:
    world = opened(name, tmp_path)
    before = digests(world)
    said = world.night(WAITING[0]).err
    if not name.endswith("unfinished"):
        assert f"the ledger's digests are brought to content version {versions.CONTENT_VERSION}, from the delivered files" in said
        after = digests(world).filter(pl.col("night") <= len(SETTLED))
        assert after.drop("digest").equals(before.drop("digest"))
        assert (after["digest"].is_null() == before["digest"].is_null()).all()
        assert not after.join(before.drop_nulls(), on="digest", how="semi").height
    goes_on(world, outbox)


@pytest.mark.usefixtures("another_encoding")
def test_without_recoding_everything_would_differ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(upgrade, "recode", lambda *_: 0)
    assert opened(NEWEST, tmp_path).lefi("reconcile", "--json").json["differences"] > 10


@pytest.mark.usefixtures("another_encoding")
def test_reconcile_recodes_too_and_a_rehearsal_reckons_with_it_but_changes_nothing(tmp_path: Path) -> None:
    world = opened(NEWEST, tmp_path)
    before = files(world)
    assert world.lefi("rehearse", "--business-date", WAITING[0], "--json").json["release"]["differences"] == 0
    refused = world.lefi("explain", "--partner", "BOLAGET", "--person", ANNA, code=3).err
    assert "its ledger has another content version than 2: the next `lefi nightly`, or `lefi reconcile`, brings it there" in refused
    assert files(world) == before
    assert world.lefi("reconcile", "--json").json["differences"] == 0
    assert format_of(world) == (FORMAT, 2, False)
    assert world.lefi("explain", "--partner", "BOLAGET", "--person", ANNA, "--json").json


@pytest.mark.slow
@pytest.mark.usefixtures("another_encoding")
def test_what_is_in_the_outbox_no_more_is_counted_and_told_once_more(tmp_path: Path) -> None:
    world = opened(NEWEST, tmp_path)
    for path in world.root.glob("outbox/KASSAN/*/part-*.avro"):
        path.unlink()
    found = world.lefi("reconcile", "--json", "--heal")
    assert re.search(r"\d+ records that the ledger names lie in the outbox no more", found.err)
    assert {(each["partner"], each["what"]) for each in found.json["by"]} == {("KASSAN", "CORRECTED")}
    world.night(WAITING[0])
    assert world.lefi("reconcile", "--json").json["differences"] == 0


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[[World, str], None]:
    """Run a night that is killed at a place."""

    def die() -> None:
        raise KilledError

    def night(world: World, place: str) -> None:
        failpoints.reached.clear()
        with monkeypatch.context() as patch:
            patch.setattr(failpoints, "die", die)
            patch.setenv("LEFI_FAILPOINT", place)
            with pytest.raises(KilledError):
                world.night(WAITING[0])

    return night


@pytest.mark.usefixtures("another_encoding")
@pytest.mark.parametrize("place", [RECODING[0], RECODING[-2], *(slow(place) for place in (*RECODING[1:-2], RECODING[-1]))])
def test_killed_while_recoding_it_is_done_by_the_next_night(
    place: str, outbox: dict[str, str], killed: Callable[[World, str], None], tmp_path: Path
) -> None:
    world = opened("format-1", tmp_path)
    killed(world, place)
    assert format_of(world) == (FORMAT, 2, True)
    goes_on(world, outbox)
    assert not (world.root / "store" / "told" / "_recoding").exists()


@pytest.mark.usefixtures("another_encoding")
@pytest.mark.parametrize("lost", ["log", slow("catalog"), slow("table")])
def test_what_is_rebuilt_of_an_older_encoding_is_recoded_at_once(lost: str, outbox: dict[str, str], tmp_path: Path) -> None:
    world = opened(NEWEST, tmp_path)
    told = world.root / "store" / "told"
    if lost == "catalog":
        (world.root / "store" / "catalog.json").unlink()
    for path in sorted(told.rglob("*"), reverse=True) if lost == "table" else (told / "_delta_log").glob("*") if lost == "log" else ():
        path.unlink() if path.is_file() else path.rmdir()
    assert "brought to content version 2" in world.lefi("rebuild").err
    assert world.lefi("reconcile", "--json").json["differences"] == 0
    goes_on(world, outbox)


# A newer lefi's workspace

ARGUMENTS = {
    "init": (),
    "generate": ("--persons", "1", "--nights", "1", "--seed", "1"),
    "nightly": ("--business-date", WAITING[0]),
    "refresh": ("--partner", "BOLAGET"),
    "recalculate": ("--rule", "guarantee", "--effective", "2018-07-01", "--reason", "r", "--first-night", "2018-07-01", "--nights", "1"),
    "reconcile": ("--heal",),
    "retract": ("--source-run", "r", "--reason", "r"),
    "accept": ("drop", "--reason", "r"),
    "release": ("Q1-1-1", "--reason", "r"),
    "rehearse": ("--business-date", WAITING[0]),
    "explain": ("--partner", "BOLAGET", "--person", ANNA),
    "status": (),
    "rebuild": (),
    "compact": ("--all",),
    "rebucket": (),
    "erase": (),
    "export": ("--partner", "BOLAGET", "--to", "/nowhere", "--recipient", str(x25519.Identity.generate().to_public())),
}
NO_WORKSPACE = {"receive", "unpack", "key", "schemas", "engines"}  # these read or write what lies elsewhere


def test_every_command_is_among_those_that_are_tried() -> None:
    assert set(typer.main.get_command(app).commands) == ARGUMENTS.keys() | NO_WORKSPACE  # type: ignore[attr-defined]  # it is a group


@pytest.mark.parametrize("newer", [{"format": FORMAT + 1, "colour": "new"}, {"content_version": versions.CONTENT_VERSION + 1}])
def test_a_workspace_of_a_newer_lefi_is_refused_by_every_command_and_left_as_it_is(newer: dict[str, object], tmp_path: Path) -> None:
    world = opened(NEWEST, tmp_path)
    path = Workspace(world.root).catalog_file
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | newer))
    before = files(world)
    for command, arguments in ARGUMENTS.items():
        refused = world.lefi(command, *arguments, code=3).err
        assert "the workspace belongs to a newer version" in refused, command
        assert files(world) == before, command
