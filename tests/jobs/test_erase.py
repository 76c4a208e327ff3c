"""Retention: what is old goes from the disk, on a schedule that changes no delivery; a person goes on demand; the chain still verifies."""

import json
import shutil
import signal
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml
from filelock import FileLock

from schemas.frames import TABLES
from storage import erasures, tables
from storage.agreement import table_folder
from storage.conf import packaged, read_retention
from storage.workspace import Workspace
from tests.kit import ANNA, BO, CIA, DAN, World, number
from tests.needles import Needles, content

NIGHTS = ("2024-05-21", "2024-05-22", "2024-05-23", "2024-05-24", "2024-05-25", "2024-05-26")
NEXT = "2024-05-27"
DAYS = {"deliveries": 3, "subscriptions": 2, "ledger": 2, "quarantine": 2, "versions": 1}
ANNA_NOW, ANNA_BEFORE = number("1990-01-15", 981), number("1990-01-16", 982)
HYPHENED = f"{ANNA[:8]}-{ANNA[8:]}"


def keep(world: World, **days: int) -> None:
    """Write conf/retention.yaml."""
    kept: dict[str, dict[str, object]] = {name: {"days": each, "reason": "a test"} for name, each in {**DAYS, **days}.items()}
    kept["deliveries"]["fetched_within"] = days.get("fetched_within", 2)
    kept.pop("fetched_within", None)
    world.write("conf/retention.yaml", yaml.safe_dump(kept))


def tell(world: World) -> None:
    """Six nights: Anna has had three numbers and two partners, which both end; Cia is frozen to the end, Dan until the second night."""
    world.partner("BOLAGET", "FK:SJP", "FK:TFP")
    world.partner("KASSAN", "FK:SJP")
    keep(world)
    for person in (ANNA, ANNA_BEFORE, BO, CIA, DAN):
        for partner in ("BOLAGET", "KASSAN"):
            world.subscribe(partner, person, "FK:SJP")
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-20")
        world.payment(person, "FK:SJP", "P", "2024-05-01", "2024-05-10")
    for person in (CIA, DAN):
        world.fact("FK:SJP", person, "wrong", period_from="2024-05-02", period_to="2024-05-01")
    world.fact("FK:SJP", HYPHENED, "hyphen", period_from="2024-05-01", period_to="2024-05-02")
    world.night(NIGHTS[0])
    world.decision(DAN, "FK:SJP", "wrong", "2024-05-01", "2024-05-20", version=2)
    world.person(ANNA, former_personnummer=ANNA_BEFORE)
    world.refresh("BOLAGET", benefit="FK:SJP")
    world.night(NIGHTS[1])
    world.person(ANNA_NOW, former_personnummer=ANNA)
    world.lefi("refresh", "--partner", "KASSAN", "--person", ANNA)
    world.night(NIGHTS[2])
    for partner in ("BOLAGET", "KASSAN"):
        world.end(partner, ANNA, "FK:SJP")
    for place, tonight in enumerate(NIGHTS[3:], 2):
        world.decision(BO, "FK:SJP", "D", "2024-05-01", "2024-05-20", (1000, 500)[place % 2], version=place)
        world.night(tonight)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The six nights, told once; tests work on copies."""
    world = World(tmp_path_factory.mktemp("erase") / "ws")
    tell(world)
    return world


@pytest.fixture
def lived(story: World, tmp_path: Path) -> World:
    """A copy of the six nights."""
    return copied(story, tmp_path / "copy")


def copied(world: World, root: Path) -> World:
    """The same workspace elsewhere."""
    other = world.twin(root.name)
    shutil.move(other.root, root)
    other.root = root
    return other


def holding(world: World, numbers: Iterable[str], but: Iterable[str] = ()) -> list[str]:
    """The files on disk in which one of the numbers stands, plain or in what the file's bytes stand for."""
    needles = Needles(frozenset(each.encode() for each in numbers))
    files = (path for path in sorted(world.root.rglob("*")) if path.is_file())
    names = ((str(path.relative_to(world.root)), path) for path in files)
    return [name for name, path in names if not name.startswith(tuple(but)) and needles.found(content(path))]


def bytes_of(world: World) -> dict[str, bytes]:
    """Every file and its bytes, locks left out."""
    files = (path for path in world.root.rglob("*") if path.is_file() and path.name not in (".lock", ".compacting"))
    return {str(path.relative_to(world.root)): path.read_bytes() for path in files}


def table(world: World, name: str) -> pl.DataFrame:
    """All rows of a table, in one order."""
    rows = tables.read(tables.files(table_folder(Workspace(world.root), name)), TABLES[name])
    return rows.select(pl.col(n).bin.encode("hex") if d == pl.Binary() else pl.col(n) for n, d in rows.schema.items() if n != "spans").sort(
        pl.all()
    )


def erase(world: World, *arguments: str, code: int = 0, persons: Iterable[str] = ()) -> dict[str, object]:
    """Run `lefi erase`; persons are given in a file beside the workspace."""
    wanted = list(persons)
    if wanted:
        path = world.root.with_name(f"{world.root.name}-numbers.txt")
        path.write_text("".join(f"{each}\n" for each in wanted))
        arguments = ("--person", str(path), *arguments)
    ran = world.lefi("erase", *arguments, "--json", code=code)
    return dict(ran.json) if code == 0 else {"err": ran.err}


# By schedule


def test_the_schedule_erases_what_is_older_than_conf_says(lived: World) -> None:
    foreseen = erase(lived, "--plan")
    done = erase(lived)
    assert foreseen["deliveries"] == done["deliveries"]
    assert {each["sequence"] for each in done["deliveries"]} == {1, 2, 3}  # type: ignore[attr-defined]
    assert done["rows"].keys() >= {"told", "subscriptions", "members", "quarantine", "commands"}  # type: ignore[attr-defined]
    for partner in ("BOLAGET", "KASSAN"):
        left = {folder.name: sorted(path.name for path in folder.iterdir()) for folder in lived.deliveries(partner)}
        assert [left[f"{sequence:08d}"] for sequence in (1, 2, 3)] == [["manifest.json"]] * 3
        assert all(len(left[f"{sequence:08d}"]) > 1 for sequence in (5, 6))
    assert erase(lived)["rows"] == {}


def test_a_plan_changes_no_byte(lived: World) -> None:
    before = bytes_of(lived)
    erase(lived, "--plan")
    erase(lived, "--plan", persons=[BO])
    assert bytes_of(lived) == before


def test_of_an_ended_subscription_nothing_is_left_but_facts(lived: World) -> None:
    whose = (ANNA, ANNA_NOW, ANNA_BEFORE)
    told = ("store/told", "lake/subscriptions", "lake/members", "store/commands", "outbox")
    assert {name.rsplit("/", 1)[0] for name in holding(lived, whose) if name.startswith(told)} >= {
        "store/told",
        "lake/subscriptions",
        "lake/members",
        "store/commands",
        "outbox/BOLAGET/00000001",
        "outbox/KASSAN/00000003",
    }
    erase(lived)
    assert [name for name in holding(lived, whose) if name.startswith(told)] == []
    assert [name for name in holding(lived, [BO]) if name.startswith("store/told")] != []


def test_who_is_frozen_stays_frozen_and_what_was_cured_is_forgotten(lived: World) -> None:
    erase(lived)
    assert table(lived, "quarantine")["personnummer"].to_list() == [CIA]
    lived.decision(CIA, "FK:SJP", "wrong", "2024-05-01", "2024-05-20", version=2)
    lived.night(NEXT)
    assert set(lived.told("BOLAGET", "personnummer", "action", "trigger")) == {(CIA, "SNAPSHOT", "HEAL")}


@pytest.mark.slow
def test_no_delivery_to_come_is_changed_by_the_schedule(lived: World, tmp_path: Path) -> None:
    """R28: the same bytes as of a twin that erased nothing; and reconcile finds nothing."""
    twin = copied(lived, tmp_path / "twin")
    erase(lived)
    for world in (lived, twin):
        world.decision(BO, "FK:SJP", "D", "2024-05-01", "2024-05-20", 250, version=9)
        world.subscribe("BOLAGET", ANNA_NOW, "FK:SJP")
        world.subscribe("BOLAGET", BO, "FK:TFP")
        world.refresh("KASSAN", benefit="FK:SJP")
        world.night(NEXT)
        assert world.lefi("reconcile", "--json").json["differences"] == 0
    fresh = {name: digest for name, digest in lived.outbox().items() if "/00000007/" in name}
    assert len(fresh) > 3
    assert fresh.items() <= twin.outbox().items()


def test_the_chain_still_verifies_for_who_has_received_and_says_why_to_who_has_not(lived: World, tmp_path: Path) -> None:
    outbox = lived.root / "outbox" / "BOLAGET"
    receiving = World(tmp_path / "partner")
    old, new = str(tmp_path / "old.duckdb"), str(tmp_path / "new.duckdb")
    receiving.root = outbox
    receiving.lefi("receive", old)
    erase(lived)
    lived.night(NEXT)
    assert receiving.lefi("receive", old, "--json").json["received"] == 1
    assert "delivery BOLAGET 00000001, manifest.json: none of its files is there" in receiving.lefi("receive", new, code=4).err


def test_old_versions_of_tables_are_removed_from_the_disk(lived: World) -> None:
    lived.lefi("compact", "--all")
    files = {str(path) for name in TABLES for path in table_folder(Workspace(lived.root), name).glob("*.parquet")}
    live = {file.path for name in TABLES for file in tables.files(table_folder(Workspace(lived.root), name))}
    assert files > live
    keep(lived, versions=1)
    lived.night(NEXT)
    lived.lefi("erase")
    files = {str(path) for name in TABLES for path in table_folder(Workspace(lived.root), name).glob("*.parquet")}
    live = {file.path for name in TABLES for file in tables.files(table_folder(Workspace(lived.root), name))}
    assert {path for path in files - live if "touched" not in path} == set()


def test_every_erasure_is_kept_in_a_log_without_persons(lived: World) -> None:
    erase(lived)
    erase(lived, persons=[ANNA])
    first, second = (json.loads(path.read_text()) for path in sorted((lived.root / "store" / "erasures").glob("*.json")))
    assert (first["number"], first["persons"], first["business_date"]) == (1, 0, NIGHTS[-1])
    assert (second["number"], second["persons"]) == (2, 3)


def test_the_packaged_schedule_has_a_reason_for_each_kind(tmp_path: Path) -> None:
    retention = read_retention(tmp_path)
    assert retention.deliveries.days > retention.deliveries.fetched_within
    assert packaged("retention.yaml").count("reason: ") == len(retention.model_fields_set) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deliveries: {days: 0, reason: x}", "retention.yaml: deliveries.days: Input should be greater than or equal to 1, not 0"),
        ("deliveries: {days: 1, reason: x}", "retention.yaml: subscriptions: is missing"),
        ("deliveries: {days: 1}", "retention.yaml: deliveries.reason: is missing"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(lived: World, text: str, message: str) -> None:
    lived.write("conf/retention.yaml", text)
    assert message in erase(lived, code=2)["err"]  # type: ignore[operator]


# On demand


def test_a_person_is_erased_under_all_numbers_from_all_that_is_ours(lived: World) -> None:
    whose = (ANNA, ANNA_NOW, ANNA_BEFORE)
    held = {name.split("/")[1] for name in holding(lived, whose, but=["inbox", "outbox"])}
    assert held == {"facts", "persons", "told", "commands", "subscriptions", "members", "quarantine", "identities"}
    (lived.root / "staging" / "killed").mkdir()
    (lived.root / "staging" / "killed" / "piece.parquet").write_bytes(ANNA.encode())
    done = erase(lived, persons=[ANNA_BEFORE])
    assert holding(lived, whose, but=["inbox"]) == []
    assert done["persons"] == 3
    assert done["remains"] == []
    for name in done["inbox"]:  # type: ignore[attr-defined]
        shutil.rmtree(lived.root / "inbox" / name)
    assert holding(lived, whose) == []
    assert holding(lived, [BO], but=["inbox"]) != []


def test_after_an_erasure_the_audit_finds_nothing_and_nights_go_on(lived: World) -> None:
    erase(lived, persons=[ANNA])
    found = lived.lefi("reconcile", "--json").json
    assert (found["differences"], found["store"]) == (0, [])
    lived.decision(BO, "FK:SJP", "D", "2024-05-01", "2024-05-20", 250, version=9)
    lived.night(NEXT)
    assert lived.told("BOLAGET", "personnummer") == [BO] * len(lived.records("BOLAGET"))
    assert lived.lefi("reconcile", "--json").json["differences"] == 0


@pytest.mark.slow
def test_what_is_lost_otherwise_is_still_found_after_an_erasure(lived: World) -> None:
    """S08: the totals go down by the erased facts, and by no others."""
    erase(lived, persons=[ANNA])
    folder = table_folder(Workspace(lived.root), "facts")
    path = Path(max(tables.files(folder), key=lambda file: file.rows).path)
    pl.read_parquet(path).head(-1).write_parquet(path)
    assert len(lived.lefi("reconcile", "--json").json["store"]) == 1


@pytest.mark.slow
def test_deliveries_that_may_not_be_fetched_yet_wait(lived: World) -> None:
    lived.night(NEXT)
    done = erase(lived, "--end-subscriptions", persons=[BO])
    young = {(each["partner"], each["sequence"], each["erasable_from"]) for each in done["remains"]}  # type: ignore[attr-defined]
    assert young == {("BOLAGET", 6, "2024-05-28"), ("KASSAN", 6, "2024-05-28")}
    assert {name.rsplit("/", 1)[0] for name in holding(lived, [BO], but=["inbox"])} == {"outbox/BOLAGET/00000006", "outbox/KASSAN/00000006"}
    lived.night("2024-05-28")
    assert erase(lived, persons=[BO])["remains"] == []
    assert holding(lived, [BO], but=["inbox"]) == []


@pytest.mark.slow
def test_the_same_command_finds_all_numbers_again_until_the_last_delivery_is_gone(lived: World) -> None:
    whose = (ANNA, ANNA_NOW, ANNA_BEFORE)
    lived.subscribe("BOLAGET", ANNA_NOW, "FK:SJP")
    lived.night(NEXT)
    foreseen = erase(lived, "--end-subscriptions", "--plan", persons=[ANNA_NOW])
    first = erase(lived, "--end-subscriptions", persons=[ANNA_NOW])
    assert first["remains"]
    assert foreseen["rows"] == first["rows"]
    left = holding(lived, whose, but=["inbox"])
    assert any(name.startswith("outbox/") for name in left)
    lived.night("2024-05-29")
    again = erase(lived, persons=[ANNA_NOW])
    assert (again["persons"], again["remains"]) == (first["persons"], [])
    assert holding(lived, whose, but=["inbox"]) == []


def test_a_person_whom_partners_watch_is_erased_only_if_that_is_said(lived: World) -> None:
    assert "BOLAGET, KASSAN subscribe to these persons" in erase(lived, code=3, persons=[BO])["err"]  # type: ignore[operator]
    assert erase(lived, "--plan", persons=[BO])["watched"] == ["BOLAGET", "KASSAN"]
    assert erase(lived, "--end-subscriptions", persons=[BO])["watched"] == ["BOLAGET", "KASSAN"]
    lived.decision(BO, "FK:SJP", "D", "2024-05-01", "2024-05-20", 250, version=9)
    lived.night(NEXT)
    assert lived.records("BOLAGET") == lived.records("KASSAN") == []


def test_numbers_come_in_a_file_or_on_stdin_and_are_never_said_again(lived: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for wrong in (BO, HYPHENED):
        ran = lived.lefi("erase", "--person", wrong, code=2)
        assert "a personnummer on the command line is seen by everybody" in ran.err
    path = tmp_path / "numbers"
    path.write_text(f"{ANNA}\n\n{HYPHENED}\n")
    ran = lived.lefi("erase", "--person", str(path), code=2)
    assert "line 3 is not a personnummer (R10)" in ran.err
    assert ANNA[:8] not in ran.err
    path.write_text("\n")
    assert "there is no personnummer in it" in lived.lefi("erase", "--person", str(path), code=2).err
    assert "cannot be read" in lived.lefi("erase", "--person", str(tmp_path / "none"), code=2).err
    monkeypatch.setattr("sys.stdin", path.with_name("stdin").open("w+"))
    import sys

    sys.stdin.write(f"{ANNA}\n")
    sys.stdin.seek(0)
    assert lived.lefi("erase", "--person", "-", "--json").json["persons"] == 3


def test_somebody_who_is_not_known_leaves_no_trace(lived: World) -> None:
    done = erase(lived, persons=[number("1999-09-09")])
    assert (done["rows"], done["deliveries"], done["inbox"]) == ({}, [], [])


# Killed, locked, rebuilt

PLACES = ("erase.begun", "erase.told", "erase.facts", "erase.totals", "erase.delivery", "erase.purge")


@pytest.mark.parametrize("place", [PLACES[2], *(pytest.param(each, marks=pytest.mark.slow) for each in (*PLACES[:2], *PLACES[3:]))])
def test_an_erasure_that_was_killed_is_completed_by_the_next(lived: World, tmp_path: Path, place: str) -> None:
    twin = copied(lived, tmp_path / "twin")
    erase(twin, persons=[ANNA])
    numbers = tmp_path / "numbers"
    numbers.write_text(ANNA)
    lived.process("erase", "--person", str(numbers), code=-signal.SIGKILL, failpoint=place)
    for command in (("nightly", "--business-date", NEXT), ("reconcile",), ("rebuild",), ("compact",)):
        assert "give `lefi erase" in lived.lefi(*command, code=3).err
    assert "completing the interrupted erasure 1" in lived.lefi("erase", "--plan").err
    assert holding(lived, (ANNA, ANNA_NOW, ANNA_BEFORE), but=["inbox"]) == []
    for name in TABLES:
        assert table(lived, name).equals(table(twin, name)), name
    assert (
        json.loads((lived.root / "store" / "erasures" / "000001.json").read_text())["rows"]
        == json.loads((twin.root / "store" / "erasures" / "000001.json").read_text())["rows"]
    )
    for world in (lived, twin):
        world.night(NEXT)
    assert lived.outbox() == twin.outbox()


@pytest.mark.parametrize(
    "place", ["erase.members", *(pytest.param(p, marks=pytest.mark.slow) for p in ("erase.told", "erase.delivery", "erase.purge"))]
)
def test_a_schedule_that_was_killed_is_gone_through_again(lived: World, tmp_path: Path, place: str) -> None:
    twin = copied(lived, tmp_path / "twin")
    erase(twin)
    lived.process("erase", code=-signal.SIGKILL, failpoint=place)
    erase(lived)
    (whole,), accounts = erasures.read(Workspace(twin.root)), erasures.read(Workspace(lived.root))
    assert (accounts[0]["rows"], accounts[0]["deliveries"]) == (whole["rows"], whole["deliveries"])
    for name in TABLES:
        assert table(lived, name).equals(table(twin, name)), name
    assert lived.outbox() == twin.outbox()
    assert holding(lived, [ANNA, ANNA_NOW, ANNA_BEFORE]) == holding(twin, [ANNA, ANNA_NOW, ANNA_BEFORE])


def test_it_waits_for_nobody_and_nobody_gets_between(lived: World) -> None:
    with FileLock(lived.root / "store" / ".lock"):
        assert "another command is writing" in erase(lived, code=3)["err"]  # type: ignore[operator]
    with FileLock(lived.root / "store" / ".compacting"):
        assert "another compaction" in erase(lived, code=3)["err"]  # type: ignore[operator]
    lived.drops(NEXT)
    lived.killed_night(NEXT, "commit.after")
    assert "is committed and not finished" in erase(lived, code=3)["err"]  # type: ignore[operator]


def test_rebuild_takes_thinned_tables_in_as_they_are(lived: World) -> None:
    erase(lived)
    erase(lived, persons=[ANNA])
    before = {name: table(lived, name) for name in TABLES}
    for name in TABLES:
        shutil.rmtree(table_folder(Workspace(lived.root), name) / "_delta_log", ignore_errors=True)
    assert lived.lefi("rebuild", "--json").json["notes"] == []
    for name in TABLES:
        assert table(lived, name).equals(before[name]), name
    assert holding(lived, (ANNA, ANNA_NOW, ANNA_BEFORE), but=["inbox"]) == []


@pytest.mark.slow
def test_a_lost_table_is_made_anew_from_drops_and_says_that_erased_rows_may_be_back(lived: World) -> None:
    erase(lived, persons=[ANNA])
    shutil.rmtree(table_folder(Workspace(lived.root), "facts"))
    (note,) = lived.lefi("rebuild", "--json").json["notes"]
    assert note == (
        "facts had been thinned by `lefi erase` and may have rows again that were erased: give it again, "
        f"and `lefi erase --person`, with all numbers of each, for whom it was asked for after the nights of {NIGHTS[-1]}"
    )
    assert "store/facts" in {name.rsplit("/", 1)[0] for name in holding(lived, [ANNA])}
    erase(lived, persons=[ANNA, ANNA_NOW, ANNA_BEFORE])
    assert holding(lived, (ANNA, ANNA_NOW, ANNA_BEFORE), but=["inbox"]) == []


@pytest.mark.slow
@pytest.mark.slow
def test_an_erasure_that_is_repeated_after_a_rebuild_takes_the_totals_down_once(tmp_path: Path) -> None:
    world = World(tmp_path / "ws", buckets=1)
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", BO, "FK:SJP")
    for person in (ANNA, BO):
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-10")
    world.night(NIGHTS[0])
    erase(world, persons=[ANNA])
    shutil.rmtree(table_folder(Workspace(world.root), "facts"))
    assert "`lefi erase --person`" in " ".join(world.lefi("rebuild", "--json").json["notes"])
    erase(world, persons=[ANNA])
    assert holding(world, [ANNA], but=["inbox"]) == []
    assert world.lefi("reconcile", "--json").json["store"] == []


def test_a_lost_ledger_cannot_be_made_anew_from_deliveries_that_were_erased(lived: World) -> None:
    erase(lived)
    shutil.rmtree(table_folder(Workspace(lived.root), "told"))
    notes = lived.lefi("rebuild", "--json").json["notes"]
    assert any("outbox/BOLAGET/00000001 is not there any more" in note for note in notes)
    assert any(note.startswith("told had been thinned") for note in notes)
    assert date.fromisoformat(lived.lefi("status", "--json").json["last_night"]) == date.fromisoformat(NIGHTS[-1])
