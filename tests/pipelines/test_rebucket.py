"""Buckets are doubled in place: deliveries go on with the same records, everything else works as before, and whoever is killed goes on."""

import json
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from jobs.receive import receive
from pipelines.rebucket import BY_PERSON
from pipelines.visible import visible
from receiver.picture import picture
from schemas.buckets import FIRST_RECORD_NO, bucket_of
from schemas.contracts import DELIVERY_RECORD
from schemas.frames import TABLES
from storage import avro, tables
from storage.agreement import table_folder
from storage.workspace import Workspace
from tests.faults.stories import COMMANDS, NIGHTS, prepare, rows_of, tell
from tests.kit import ANNA, CIA, World, numbers

AFTER = "2018-06-13"
PARTNERS = ("BOLAGET", "KASSAN")
PLACES = [
    "rebucket.marked",
    pytest.param("durable.write:rebucketing.json", marks=pytest.mark.slow),
    *(
        pytest.param(place, marks=pytest.mark.slow)
        for place in ("rebucket.facts", "durable.move:told", "tables.commit:subscriptions", "rebucket.totals")
    ),
    *(pytest.param(place, marks=pytest.mark.slow) for place in ("durable.write:commands", "durable.rename:commands", "rebucket.catalog")),
]


@dataclass(frozen=True)
class Story:
    """A workspace with much waiting for tonight, before; and what becomes of it undisturbed, undoubled (plain) and doubled."""

    before: World
    plain: World
    doubled: World


def go_on(world: World) -> None:
    """Tonight, and a night after it with many more persons."""
    world.lefi(*COMMANDS["nightly"])
    for person in numbers(20):
        world.subscribe("KASSAN", person, "FK:SJP", "2018-01-01")
        world.decision(person, "FK:SJP", "N", "2018-05-01", "2018-05-20")
    world.night(AFTER)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    before = World(tmp_path_factory.mktemp("rebucket") / "ws", buckets=4)
    tell(before)
    prepare("nightly", before)
    plain, doubled = before.twin("plain"), before.twin("doubled")
    said = doubled.lefi("rebucket", "--json").json
    assert (said["before"], said["after"]) == (4, 8)
    for world in (plain, doubled):
        go_on(world)
    return Story(before, plain, doubled)


def said(world: World, partner: str, sequence: int) -> pl.DataFrame:
    """A delivery's records without their numbers, in one order; what they supersede stands as its own record."""
    parts = sorted(world.deliveries(partner)[sequence - 1].glob("part-*.avro"))
    rows = pl.concat([pl.DataFrame(schema=DELIVERY_RECORD.frame), *(avro.read(part, DELIVERY_RECORD) for part in parts)])
    superseded = pl.col("supersedes").struct.field("sequence").alias("supersedes")
    return rows.drop("record_no").with_columns(superseded).sort("personnummer", "benefit", "fact_id", "action", "former_personnummer")


def test_deliveries_go_on_with_the_same_records_under_the_buckets_of_their_persons(story: Story) -> None:
    for partner in PARTNERS:
        assert len(story.plain.deliveries(partner)) == len(story.doubled.deliveries(partner)) == 4
        for sequence in range(1, 5):
            assert said(story.doubled, partner, sequence).equals(said(story.plain, partner, sequence))
            manifests = [world.manifest(partner, sequence) for world in (story.plain, story.doubled)]
            for name in ("totals", "withheld", "refreshes", "inputs"):
                assert manifests[0][name] == manifests[1][name]
    records = [record for partner in PARTNERS for sequence in (3, 4) for record in story.doubled.records(partner, sequence)]
    known = tables.read(tables.files(table_folder(Workspace(story.doubled.root), "identities")), TABLES["identities"])
    keys = dict(known.select("number", "person").iter_rows())
    persons = pl.Series([keys.get(record["personnummer"], record["personnummer"]) for record in records])
    assert pl.select(bucket_of(pl.lit(persons), 8)).to_series().to_list() == [record["record_no"] // FIRST_RECORD_NO for record in records]
    assert {record["record_no"] // FIRST_RECORD_NO for record in records} - set(range(4)), "nobody came into the upper half"


def test_every_row_lies_in_the_bucket_of_its_person_and_no_other_thing_has_changed(story: Story) -> None:
    world = story.before.twin("rows")
    before = rows_of(world)
    world.lefi("rebucket")
    after = rows_of(world)
    for name, rows in after.items():
        if name in BY_PERSON:
            assert rows.select((bucket_of(pl.col("person"), 8) == pl.col("bucket")).all()).item(), name
        if name == "totals":
            continue
        assert same_but_for_buckets(rows, before[name]), name
    assert world.lefi("reconcile", "--json").json["store"] == []
    sums = [rows["totals"].group_by("benefit", "measure").agg(pl.sum("count")).sort("benefit", "measure") for rows in (before, after)]
    assert sums[0].equals(sums[1])


def same_but_for_buckets(rows: pl.DataFrame, others: pl.DataFrame) -> bool:
    """Whether two frames have the same rows, wherever these lie."""
    order = [name for name, dtype in rows.schema.items() if not isinstance(dtype, pl.List) and name != "bucket"]
    return rows.drop("bucket", strict=False).sort(order).equals(others.drop("bucket", strict=False).sort(order))


def test_nothing_differs_afterwards_and_the_partner_has_what_is_visible(story: Story, tmp_path: Path) -> None:
    found = story.doubled.lefi("reconcile", "--json").json
    assert (found["differences"], found["store"]) == (0, [])
    for partner, shown in visible(Workspace(story.doubled.root)).items():
        state = tmp_path / f"{partner}.duckdb"
        receive(story.doubled.root / "outbox" / partner, state)
        assert shown.equals(picture(state))


@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_the_same_command_goes_on_and_ends_with_the_same_bytes(story: Story, place: str) -> None:
    world = story.before.twin(place.replace(":", "-").replace(".", "-"))
    world.process("rebucket", failpoint=place, code=-signal.SIGKILL)
    if place != "durable.write:rebucketing.json":
        assert "a rebucketing was interrupted: give `lefi rebucket" in world.lefi(*COMMANDS["nightly"], code=3).err
        assert "a rebucketing was interrupted" in world.lefi("rebuild", code=3).err
        assert "a rebucketing was interrupted" in world.lefi("explain", "--partner", "BOLAGET", "--person", ANNA, code=3).err
        assert world.lefi("status", "--json").json["next"] == f"a rebucketing was interrupted: lefi rebucket {world.root}"
    again = world.lefi("rebucket", "--json", "--to", "8").json
    assert again["after"] == 8
    assert world.lefi("rebucket", "--to", "8", "--json").json["before"] == 8
    go_on(world)
    assert world.outbox() == story.doubled.outbox()
    expected = rows_of(story.doubled)
    for name, rows in rows_of(world).items():
        assert rows.equals(expected[name]), name


@pytest.mark.slow
def test_explain_says_the_same_and_finds_older_records(story: Story) -> None:
    world = story.before.twin("explained")
    asked = ("explain", "--partner", "BOLAGET", "--person", ANNA, "--json")
    before = world.lefi(*asked).json
    world.lefi("rebucket")
    assert world.lefi(*asked).json == before


def losing(world: World, names: Sequence[str], logs: Sequence[str]) -> None:
    """Lose whole tables, and of others the logs."""
    for name in names:
        shutil.rmtree(table_folder(Workspace(world.root), name))
    for name in logs:
        shutil.rmtree(table_folder(Workspace(world.root), name) / "_delta_log")


@pytest.mark.slow
@pytest.mark.parametrize("lost", [("told",), ("subscriptions", "refreshes", "members"), ("facts", "quarantine", "recalculated"), ()])
def test_what_is_lost_is_made_anew_from_nights_before_and_after(story: Story, lost: tuple[str, ...]) -> None:
    world = story.doubled.twin("lost-" + "-".join(lost))
    losing(world, lost, [name for name in ("facts", "told", "touched", "members", "totals") if name not in lost])
    world.lefi("rebuild")
    for name, rows in rows_of(world).items():
        if name not in ("totals", "touched"):
            assert rows.equals(rows_of(story.doubled)[name]), name
    found = world.lefi("reconcile", "--json").json
    assert (found["differences"], found["store"]) == (0, [])


@pytest.mark.slow
def test_a_lost_catalog_knows_of_the_doubling_again(story: Story) -> None:
    world = story.before.twin("no-catalog")
    world.lefi("rebucket")
    (world.root / "store" / "catalog.json").unlink()
    world.lefi("rebuild")
    go_on(world)
    assert world.outbox() == story.doubled.outbox()


@pytest.mark.slow
def test_folding_and_a_second_doubling_and_an_erasure_go_on_as_before(story: Story) -> None:
    world = story.doubled.twin("on")
    world.lefi("compact", "--all")
    assert world.lefi("rebucket", "--json").json["after"] == 16
    world.lefi("compact")
    world.night("2018-06-14")
    story.plain.night("2018-06-14")
    for partner in PARTNERS:
        assert said(world, partner, 5).equals(said(story.plain, partner, 5))
    gone = world.root.with_name("gone.txt")
    gone.write_text(f"{CIA}\n", "utf-8")
    world.lefi("erase", "--person", str(gone), "--end-subscriptions")
    assert not any(CIA in rows["person"].to_list() for name, rows in rows_of(world).items() if name in BY_PERSON)
    found = world.lefi("reconcile", "--json").json
    assert (found["differences"], found["store"]) == (0, [])


@pytest.mark.slow
def test_tables_of_before_are_refused_and_brought_to_the_buckets_by_a_rebuild(story: Story) -> None:
    world = story.before.twin("restored")
    old = story.before.root / "lake" / "subscriptions"
    world.lefi("rebucket")
    shutil.rmtree(world.root / "lake" / "subscriptions")
    shutil.copytree(old, world.root / "lake" / "subscriptions")
    refused = world.lefi(*COMMANDS["nightly"], code=3).err
    assert "lake/subscriptions is not spread over the 8 buckets of store/catalog.json" in refused
    world.lefi("rebuild")
    go_on(world)
    assert world.outbox() == story.doubled.outbox()


@pytest.mark.slow
def test_after_two_doublings_in_one_day_lost_tables_are_made_anew_in_the_last_number(story: Story) -> None:
    world = story.before.twin("twice")
    world.lefi("rebucket")
    world.lefi("rebucket")
    expected = rows_of(world)
    for name in ("totals", "facts", "told"):
        shutil.rmtree(table_folder(Workspace(world.root), name))
    world.lefi("rebuild")
    found = world.lefi("reconcile", "--json").json
    assert (found["differences"], found["store"]) == (0, [])
    for name in ("facts", "told"):
        assert rows_of(world)[name].equals(expected[name]), name


def test_the_number_can_be_named_and_what_cannot_be_is_refused(story: Story) -> None:
    world = story.before.twin("named")
    assert "--to 16: there are 4 buckets, which can be doubled to 8" in world.lefi("rebucket", "--to", "16", code=2).err
    said_nothing = world.lefi("rebucket", "--to", "4")
    assert "there are 4 buckets: nothing to do" in said_nothing.out
    catalog = Workspace(world.root).catalog_file
    catalog.write_text(json.dumps(json.loads(catalog.read_text("utf-8")) | {"buckets": 65536}), "utf-8")
    assert "65536 at most" in world.lefi("rebucket", code=3).err


def test_a_workspace_without_a_night_is_doubled_too(world: World) -> None:
    assert world.lefi("rebucket", "--json").json["tables"] == {}
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP", "2018-01-01")
    world.night(NIGHTS[0])
    assert Workspace(world.root).catalog().buckets == 8
    (record_no,) = world.told("BOLAGET", "record_no")
    assert record_no // FIRST_RECORD_NO == pl.select(bucket_of(pl.lit(ANNA), 8)).item()
