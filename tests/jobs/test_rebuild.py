"""What is lost of the state is found out, refused, and made anew from runs, outbox and drops; then the night goes on as if nothing had been."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from schemas.frames import TABLES
from storage import tables
from storage.agreement import table_folder
from storage.lock import held
from storage.workspace import Workspace
from tests.kit import ANNA, BO, CIA, DAN, World, number, numbers, span

NIGHTS = ("2024-05-21", "2024-05-22", "2024-05-23", "2024-05-24")
LAST = "2024-05-27"
LEDGER = ("told", "subscriptions", "refreshes", "members", "touched")
SUMS = ("totals",)  # made anew as one sum
RECALCULATE = ("--rule", "guarantee", "--effective", "2024-06-01", "--reason", "New level", "--first-night", NIGHTS[2], "--nights", "3")
DAN_NOW, BO_BEFORE = number("1970-01-01", 981), number("1985-06-30", 982)


@dataclass(frozen=True)
class Story:
    """A workspace after four nights, as it was after the second, and the outbox of an undisturbed twin after the fifth."""

    world: World
    second: World
    fifth: dict[str, str]


def tell(world: World) -> World:
    """Four nights with all that leaves a trace; returns the workspace as it was after the second."""
    world.partner("BOLAGET", "FK:SJP", "FK:TFP", "FK:SA", refresh_persons_per_night=2)
    world.partner("KASSAN", "FK:SJP", "PM:AP")
    people = (ANNA, BO, BO_BEFORE, CIA, DAN, *numbers(4))
    for person in people:
        world.subscribe("BOLAGET", person, "FK:SJP")
        world.subscribe("KASSAN", person, "FK:SJP")
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-20")
        world.payment(person, "FK:SJP", "P", "2024-05-01", "2024-05-10")
    guarantee = {"insurance_years": 40, "income_related_yearly": Decimal(0), "yearly_amount": Decimal(100_008)}
    for person in (ANNA, BO_BEFORE, DAN, *numbers(4)):
        world.subscribe("BOLAGET", person, "FK:SA")
        world.decision(person, "FK:SA", "S", "2023-07-01", None, guarantee=guarantee, amount=Decimal(8334), spans=[])
    world.subscribe("BOLAGET", ANNA, "FK:TFP")
    world.night(NIGHTS[0])
    world.refresh("BOLAGET", benefit="FK:SJP")
    world.decision(CIA, "FK:SJP", "wrong", "2024-05-01", "2024-05-20", spans=[span("2024-05-01", "2024-05-20", 2000)])
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-20", 500, version=2)
    world.decision(ANNA, "FK:TFP", "T", "2024-05-01", "2024-05-20")
    world.fact("FK:SJP", BO, "D", period_from="2024-05-01", period_to="2024-05-20", withdrawn=True, version=2)
    world.night(NIGHTS[1])
    second = world.twin("second")
    world.lefi("recalculate", *RECALCULATE)
    world.lefi("refresh", "--partner", "KASSAN")
    world.person(DAN_NOW, former_personnummer=DAN)
    world.person(BO, former_personnummer=BO_BEFORE)
    world.end("KASSAN", ANNA, "FK:SJP")
    world.subscribe("BOLAGET", CIA, "FK:TFP")
    world.decision(ANNA, "FK:TFP", "T", "2024-05-01", "2024-05-20", 250, version=2)
    world.night(NIGHTS[2], but=["FK:TFP"])
    world.decision(CIA, "FK:SJP", "wrong", "2024-05-01", "2024-05-20", version=2)
    world.subscribe("KASSAN", ANNA, "FK:SJP", "2024-02-01")
    world.decision(DAN_NOW, "FK:SJP", "E", "2024-05-11", "2024-05-12", case_id="another")
    world.fact("FK:SJP", numbers(1)[0], "broken", period_from="2024-05-02", period_to="2024-05-01")
    world.night(NIGHTS[3], but=["FK:TFP"])
    world.decision(DAN_NOW, "FK:SJP", "E", "2024-05-11", "2024-05-14", case_id="another", version=2)
    world.drops(LAST)
    return second


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    world = World(tmp_path_factory.mktemp("rebuild") / "ws")
    second = tell(world)
    twin = world.twin("undisturbed")
    twin.night(LAST)
    return Story(world, second, twin.outbox())


def rows(world: World, name: str) -> pl.DataFrame:
    """All rows of a table, in one order."""
    schema, folder = TABLES[name], table_folder(Workspace(world.root), name)
    frame = tables.read(tables.files(folder), schema)
    return frame.sort([name for name, dtype in schema.items() if not isinstance(dtype, pl.List)])


def is_whole_again(world: World, story: Story, but: Iterable[str] = ()) -> None:
    """All tables have the rows that they had, reconcile finds nothing, and the next night has the bytes of the undisturbed one's."""
    for name in set(TABLES) - set(but):
        assert rows(world, name).equals(rows(story.world, name)), name
    assert world.lefi("reconcile", "--json").json["differences"] == 0
    world.night(LAST)
    assert world.outbox() == story.fifth
    assert not list((world.root / "staging").iterdir())


def refused(world: World, text: str) -> None:
    """The night is refused with exit code 3, and says what to do."""
    outbox = world.outbox()
    ran = world.night(LAST, code=3)
    assert text in ran.err
    assert f"give `lefi rebuild {world.root}`" in ran.err
    assert world.outbox() == outbox


def rebuilt(world: World, code: int = 0) -> dict[str, dict[str, int]]:
    """Rebuild; how many nights of each table were found, and made anew."""
    return dict(world.lefi("rebuild", "--json", code=code).json["tables"])


def lose(world: World, *names: str) -> None:
    """Remove tables with their files."""
    for name in names:
        shutil.rmtree(table_folder(Workspace(world.root), name))


def test_the_story_leaves_a_trace_in_every_table(story: Story) -> None:
    assert not {name for name in TABLES if rows(story.world, name).is_empty()}
    assert rows(story.world, "recalculated")["night"].unique().sort().to_list() == [3, 4]


@pytest.mark.slow
def test_a_whole_workspace_has_nothing_to_rebuild(story: Story) -> None:
    world = story.world.twin("whole")
    assert rebuilt(world) == {}
    is_whole_again(world, story)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("facts", 0),
        *(pytest.param(name, lines, marks=pytest.mark.slow) for name, lines in (("told", 1), ("subscriptions", 2), ("drops", 0))),
    ],
)
def test_a_log_of_which_a_commit_is_cut_off_is_not_believed(story: Story, name: str, lines: int) -> None:
    """Delta takes it for a commit that did less; the night would withdraw what is in the files that it does not name any more."""
    world = story.world.twin(f"cut-{name}")
    commit = table_folder(Workspace(world.root), name) / "_delta_log" / f"{2:020d}.json"
    commit.write_text("".join(commit.read_text("utf-8").splitlines(keepends=True)[:lines]), "utf-8")
    refused(world, f"{name}: 1 of its files are not there, damaged, or not ours")
    rebuilt(world)
    is_whole_again(world, story)


@pytest.mark.parametrize(
    "wrong",
    [{"digest": "0" * 64}, *(pytest.param(each, marks=pytest.mark.slow) for each in ({"sequence": 7}, {"business_date": "2024-05-20"}))],
)
def test_a_catalog_that_knows_another_delivery_than_was_committed_is_not_believed(story: Story, wrong: dict[str, object]) -> None:
    world = story.world.twin(f"catalog-{'-'.join(wrong)}")
    path = world.root / "store" / "catalog.json"
    catalog = json.loads(path.read_text("utf-8"))
    catalog["deliveries"]["BOLAGET"] |= wrong
    path.write_text(json.dumps(catalog), "utf-8")
    refused(world, "store/catalog.json says otherwise than runs/2024-05-24")
    rebuilt(world)
    is_whole_again(world, story)


def test_lost_logs_are_made_anew_from_the_files_and_the_commit_files(story: Story) -> None:
    world = story.world.twin("logs")
    for folder in (world.root / "lake").iterdir():
        shutil.rmtree(folder / "_delta_log")
    shutil.rmtree(world.root / "store" / "told" / "_delta_log")
    refused(world, "is of night 0, store/catalog.json of night 4: the lake was restored or replaced")
    counted = rebuilt(world)
    assert counted["told"] == {"found": 4, "rebuilt": 0}
    assert not any(each["rebuilt"] for each in counted.values())
    is_whole_again(world, story)


def test_ledger_and_queues_are_made_anew_from_the_outbox_with_equal_rows(story: Story) -> None:
    world = story.world.twin("ledger")
    lose(world, *LEDGER)
    refused(world, "store/told is of night 0")
    assert rebuilt(world)["told"] == {"found": 0, "rebuilt": 4}
    touched = rows(world, "touched")
    assert touched.join(rows(story.world, "touched"), on=touched.columns, how="semi").equals(rows(story.world, "touched"))
    is_whole_again(world, story, but=["touched"])


@pytest.mark.slow
def test_files_that_are_gone_from_the_ledger_are_found_out_and_made_anew(story: Story) -> None:
    world = story.world.twin("files")
    next(iter((world.root / "store" / "told").glob("night-000002-*.parquet"))).unlink()
    refused(world, "store/told: 1 of its files are not there, damaged, or not ours")
    assert rebuilt(world)["told"] == {"found": 3, "rebuilt": 1}
    is_whole_again(world, story)


@pytest.mark.parametrize("then", ["nothing", pytest.param("VACUUM", marks=pytest.mark.slow), pytest.param("SET", marks=pytest.mark.slow)])
def test_a_table_that_delta_restored_is_found_out(story: Story, then: str) -> None:
    """RESTORE leaves the transaction ids as they were; the live files tell the night, also when somebody has looked after the table since."""
    world = story.world.twin(f"restored-{then}")
    folder = table_folder(Workspace(world.root), "told")
    DeltaTable(str(folder)).restore(2)
    if then == "VACUUM":
        DeltaTable(str(folder)).vacuum()
        DeltaTable(str(folder)).vacuum(dry_run=False)
    if then == "SET":
        DeltaTable(str(folder)).alter.set_table_properties({"delta.logRetentionDuration": "interval 90 days"})
    refused(world, "store/told is of night 2, store/catalog.json of night 4")
    assert rebuilt(world)["told"] == {"found": 2, "rebuilt": 0}
    is_whole_again(world, story)


@pytest.mark.slow
def test_another_writers_file_is_found_out(story: Story) -> None:
    """OPTIMIZE keeps the rows, not the nights: its file is refused, and what lies there is taken in again."""
    world = story.world.twin("optimized")
    DeltaTable(str(table_folder(Workspace(world.root), "told"))).optimize.compact()
    refused(world, "store/told: 1 of its files are not there, damaged, or not ours")
    assert rebuilt(world)["told"] == {"found": 4, "rebuilt": 0}
    is_whole_again(world, story)


@pytest.mark.slow
def test_recalculated_decisions_and_what_was_looked_at_are_made_anew(story: Story) -> None:
    world = story.world.twin("recalculated")
    lose(world, "facts", "recalculated", "recalculations")
    refused(world, "store/facts is of night 0")
    assert rebuilt(world)["recalculated"] == {"found": 0, "rebuilt": 2}
    is_whole_again(world, story)


@pytest.mark.parametrize("folder", ["lake", "store"])
def test_a_restored_older_folder_is_refused_and_rebuilt(story: Story, folder: str) -> None:
    world = story.world.twin(f"older-{folder}")
    shutil.rmtree(world.root / folder)
    shutil.copytree(story.second.root / folder, world.root / folder)
    if folder == "store":
        shutil.copytree(story.world.root / "store" / "commands", world.root / "store" / "commands")
    refused(world, "store/catalog.json")
    rebuilt(world)
    is_whole_again(world, story, but=["touched", *SUMS])


def test_everything_but_the_commands_is_made_anew_from_runs_inbox_and_outbox(story: Story) -> None:
    world = story.world.twin("nothing-left")
    commands = (world.root / "store" / "commands").rename(world.root / "kept")
    for folder in ("lake", "store"):
        shutil.rmtree(world.root / folder)
    (world.root / "store").mkdir()
    commands.rename(world.root / "store" / "commands")
    rebuilt(world)
    is_whole_again(world, story, but=["touched", *SUMS])


@pytest.mark.parametrize("found", [None, "", '{"format": 1}'])
def test_a_catalog_that_is_lost_or_damaged_is_that_of_the_last_run_again(story: Story, found: str | None) -> None:
    world = story.world.twin(f"catalog-{found}"[:12])
    path = Workspace(world.root).catalog_file
    whole = path.read_bytes()
    path.unlink() if found is None else path.write_text(found)
    assert world.lefi("rebuild", "--json").json["catalog"] is True
    assert path.read_bytes() == whole
    assert world.lefi("rebuild", "--json").json["catalog"] is False


def test_nothing_is_rebuilt_while_another_command_writes(story: Story) -> None:
    world = story.world.twin("held")
    Workspace(world.root).catalog_file.unlink()
    with held(Workspace(world.root)):
        assert "another command is writing" in world.lefi("rebuild", code=3).err
    assert not Workspace(world.root).catalog_file.exists()


def test_what_a_night_has_taken_and_nobody_has_any_more_is_named(story: Story) -> None:
    world = story.world.twin("no-commands")
    shutil.rmtree(world.root / "store" / "commands")
    for command in (("rebuild",), ("nightly", "--business-date", LAST), ("refresh", "--partner", "BOLAGET")):
        said = world.lefi(*command, code=3).err
        assert "store/commands/000001.json is not there, and a night has taken it: restore store/commands" in said
    world = story.world.twin("no-run")
    shutil.rmtree(min((world.root / "runs").iterdir()))
    assert "runs/ has no settled run of night 1: restore runs/ from a backup" in world.lefi("rebuild", code=3).err


@pytest.mark.slow
def test_a_drop_that_is_gone_is_named_and_when_it_is_back_the_same_command_goes_on(story: Story, tmp_path: Path) -> None:
    world = story.world.twin("no-drop")
    drop = world.folder("FK:SJP", NIGHTS[2])
    kept = drop.rename(tmp_path / drop.name)
    lose(world, "facts")
    ran = world.lefi("rebuild", code=3)
    assert f"night 3 ({NIGHTS[2]}): facts cannot be rebuilt: drop '{drop.name}' is not in the inbox any more as it was consumed" in ran.err
    kept.rename(drop)
    assert rebuilt(world)["facts"] == {"found": 0, "rebuilt": 2}
    is_whole_again(world, story)


def test_an_outbox_that_is_newer_than_the_runs_is_refused(story: Story) -> None:
    world = story.world.twin("older-runs")
    shutil.rmtree(max((world.root / "runs").iterdir()))
    refused(world, "the newest in runs/ is")
    assert "runs/ has no settled run of night 4: restore runs/ from a backup" in world.lefi("rebuild", code=3).err


def test_tables_that_are_newer_than_the_runs_are_refused(story: Story) -> None:
    world = story.world.twin("newer-tables")
    for name in ("runs", "outbox"):
        shutil.rmtree(world.root / name)
        shutil.copytree(story.second.root / name, world.root / name)
    shutil.copy(story.second.root / "store" / "catalog.json", world.root / "store" / "catalog.json")
    refused(world, "is of night 4, store/catalog.json of night 2")
    assert "the runs know 2: restore runs/ and outbox/ from a backup that has that night" in world.lefi("rebuild", code=3).err


def test_a_delivery_that_was_changed_is_no_source(story: Story) -> None:
    world = story.world.twin("changed")
    lose(world, "told")
    part = world.deliveries("BOLAGET")[0] / "part-00001.avro"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    assert "outbox/BOLAGET/00000001: part-00001.avro is not as it was published" in world.lefi("rebuild", code=4).err


def test_a_delivery_that_is_gone_is_told_with_what_to_do(story: Story) -> None:
    world = story.world.twin("archived")
    lose(world, "told")
    shutil.rmtree(world.deliveries("KASSAN")[0])
    ran = world.lefi("rebuild", "--json")
    assert ran.json["notes"] == [
        "outbox/KASSAN/00000001 is not there any more: what it told could not be rebuilt; "
        f"`lefi refresh {world.root} --partner KASSAN` sends all of it anew"
    ]
    before = json.loads((max((world.root / "runs").iterdir()) / "commit.json").read_text("utf-8"))["night"]
    assert tables.night_of(world.root / "store" / "told") == before
