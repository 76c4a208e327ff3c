"""`lefi reconcile` and the nightly audit: whatever is spoiled behind lefi's back is found, named and healed, and nothing else is told."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest

from tests.kit import ANNA, BO, CIA, DAN, Row, World, numbers
from tests.scenarios.entitled import buckets_of, everybody_knows
from tests.scenarios.spoil import rewrite

FIRST, SECOND, THIRD = "2024-05-20", "2024-05-21", "2024-05-22"
HEALED = ("action", "trigger", "personnummer", "fact_id")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two partners who know a decision and a payment of three persons."""
    world = World(tmp_path_factory.mktemp("reconcile") / "ws", buckets=2)
    for partner in ("BOLAGET", "KASSAN"):
        world.partner(partner, "FK:SJP", "FK:FP")
        for person in (ANNA, BO, CIA):
            world.subscribe(partner, person, "FK:SJP")
    for person in (ANNA, BO, CIA):
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-12")
        world.payment(person, "FK:SJP", "P", "2024-05-01", "2024-05-12")
    world.night(FIRST)
    return world


def found(world: World, *arguments: str) -> list[tuple[str, str, int]]:
    """What reconcile finds: partner, what, count."""
    summary = world.lefi("reconcile", "--json", *arguments).json
    assert {each["benefit"] for each in summary["by"]} <= {"FK:SJP"}
    return [(each["partner"], each["what"], each["count"]) for each in summary["by"]]


def named(world: World) -> set[tuple[str, str, str]]:
    """Whom the last heal names: partner, person, fact."""
    rows = pl.read_parquet(max((world.root / "store" / "commands").glob("*.parquet")))
    return set(rows.select("partner", "person", "fact_id").iter_rows())


def row_of(partner: str, person: str, fact_id: str) -> pl.Expr:
    """A row of the ledger."""
    return (pl.col("partner") == partner) & (pl.col("person") == person) & (pl.col("fact_id") == fact_id)


def test_a_whole_workspace_has_no_difference_and_heals_nothing(whole: World) -> None:
    assert found(whole, "--heal") == []
    assert not (whole.root / "store" / "commands").exists()


def test_a_corrupt_ledger_is_found_and_just_that_is_told_again(whole: World) -> None:
    world = whole.twin("ledger")
    lost, other = row_of("BOLAGET", ANNA, "P"), row_of("KASSAN", BO, "D")
    wrong = pl.when(other).then(pl.lit(b"another content.")).otherwise(pl.col("digest"))
    rewrite(world, "told", lambda rows: rows.filter(~lost).with_columns(wrong.alias("digest")))
    assert found(world) == [("BOLAGET", "NEW", 1), ("KASSAN", "CORRECTED", 1)]
    assert found(world, "--partner", "KASSAN", "--heal") == [("KASSAN", "CORRECTED", 1)]
    assert found(world, "--heal") == [("BOLAGET", "NEW", 1), ("KASSAN", "CORRECTED", 1)]
    assert named(world) == {("BOLAGET", ANNA, "P"), ("KASSAN", BO, "D")}
    world.night(SECOND)
    assert world.told("BOLAGET", *HEALED) == [("NEW", "HEAL", ANNA, "P")]
    assert world.told("KASSAN", *HEALED) == [("CORRECTED", "HEAL", BO, "D")]
    assert found(world) == []
    everybody_knows(world)


@pytest.mark.slow
def test_facts_that_the_store_has_lost_are_found_for_whom_and_made_anew_from_the_drops(whole: World) -> None:
    world = whole.twin("store")
    rewrite(world, "facts", lambda rows: rows.filter(pl.col("person") != CIA))
    summary = world.lefi("reconcile", "--heal", "--json").json
    assert [(each["benefit"], each["facts"] - each["facts_found"]) for each in summary["store"]] == [("FK:SJP", 2)]
    assert named(world) == {(partner, CIA, fact_id) for partner in ("BOLAGET", "KASSAN") for fact_id in ("D", "P")}
    for path in (world.root / "store" / "facts").glob("*.parquet"):
        path.unlink()
    world.lefi("rebuild")
    assert found(world) == []
    world.night(SECOND)  # the heal finds that nothing differs any more
    assert (world.told("BOLAGET"), world.told("KASSAN")) == ([], [])
    everybody_knows(world)


@pytest.mark.slow
def test_another_rule_in_conf_is_found_for_everybody_and_healed_by_command_alone(whole: World) -> None:
    world = whole.twin("rule")
    world.units({"FK:SJP": "FIVE_DAY_WEEK"})
    assert found(world) == [("BOLAGET", "CORRECTED", 6), ("KASSAN", "CORRECTED", 6)]
    world.night(SECOND)
    assert (world.told("BOLAGET"), world.told("KASSAN")) == ([], [])
    assert len(found(world, "--heal")) == 2
    world.drops(THIRD, ["FK:SJP"])
    world.night(THIRD)  # withheld: the heal waits
    assert (world.told("BOLAGET"), world.withheld("BOLAGET")) == ([], {"FK:SJP": "NO_DROP"})
    world.night("2024-05-23")
    assert {*world.told("BOLAGET", "action", "trigger", "unit", "units")} == {("CORRECTED", "HEAL", "FIVE_DAY_WEEK", 10)}
    assert len(world.told("KASSAN")) == 6
    assert found(world) == []
    everybody_knows(world)


def respoken(world: World, sequence: int, change: Callable[[list[Row]], list[Row]]) -> None:
    """Change the records of a delivery to BOLAGET where they lie."""
    for path in world.deliveries("BOLAGET")[sequence - 1].glob("part-*.avro"):
        with path.open("rb") as file:
            reader: Any = fastavro.reader(file)
            schema, rows = reader.writer_schema, list(reader)
        with path.open("wb") as file:
            fastavro.writer(file, schema, change(rows), codec="snappy")


def altered(world: World) -> None:
    """The amount of somebody's payment is another one in the delivered file."""
    respoken(world, 1, lambda rows: [row | {"amount": row["amount"] + 1} if is_about(row, ANNA, "P") else row for row in rows])


def is_about(row: Row, person: str, fact_id: str) -> bool:
    """Whether a record is about a fact."""
    return (row["personnummer"], row["fact_id"]) == (person, fact_id)


def removed(world: World) -> None:
    """The part that tells of ANNA is gone."""
    respoken(world, 1, lambda rows: [row for row in rows if row["personnummer"] != ANNA])


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "facts"), [(altered, {"P"}), (removed, {"D", "P"})])
def test_a_delivered_file_that_says_something_else_is_found_and_told_again(
    whole: World, spoil: Callable[[World], None], facts: set[str]
) -> None:
    world = whole.twin(spoil.__name__)
    spoil(world)
    assert [(partner, count) for partner, _, count in found(world, "--heal")] == [("BOLAGET", len(facts))]
    assert named(world) == {("BOLAGET", ANNA, fact_id) for fact_id in facts}
    world.night(SECOND)
    assert {(person, fact_id, trigger) for _, trigger, person, fact_id in world.told("BOLAGET", *HEALED)} == {
        (ANNA, f, "HEAL") for f in facts
    }
    assert world.told("KASSAN") == []
    assert found(world) == []


@pytest.mark.slow
def test_a_delivery_that_was_erased_by_its_schedule_is_no_difference(whole: World) -> None:
    world = whole.twin("erased")
    shutil.rmtree(Path(world.deliveries("BOLAGET")[0]))
    assert found(world) == []


@pytest.mark.slow
def test_the_audit_of_the_nights_finds_a_fault_when_the_turn_comes_to_its_bucket_and_names_the_benefit(whole: World) -> None:
    world = whole.twin("audit")
    rewrite(world, "told", lambda rows: rows.filter(~row_of("KASSAN", BO, "P")))
    audits = []
    for today in (SECOND, THIRD):  # two buckets: each has its turn once
        world.night(today)
        audits.append(world.report()["audit"])
        said = world.lefi("status", "--json").json["next"]
        assert said.startswith("the audit found differences (FK:SJP): `lefi reconcile") == bool(audits[-1])
        assert (world.told("BOLAGET"), world.told("KASSAN")) == ([], [])
    assert sorted(audits, key=len) == [{}, {"FK:SJP": 1}]
    assert found(world, "--heal") == [("KASSAN", "NEW", 1)]
    world.night("2024-05-23")
    assert world.told("KASSAN", *HEALED) == [("NEW", "HEAL", BO, "P")]


def retell(world: World, fact_id: str, sequence: int) -> None:
    """What a record about a fact of BO says is another thing in the delivered file."""
    respoken(world, sequence, lambda rows: [row | {"outcome": "ALTERED"} if is_about(row, BO, fact_id) else row for row in rows])


@pytest.mark.slow
def test_a_heal_tells_what_its_own_reconcile_found_and_nothing_of_an_earlier_one(whole: World) -> None:
    world = whole.twin("twice")
    retell(world, "P", 1)
    found(world, "--heal")
    world.night(SECOND)
    assert world.told("BOLAGET", *HEALED) == [("CORRECTED", "HEAL", BO, "P")]
    retell(world, "D", 1)
    assert found(world, "--heal") == [("BOLAGET", "LEDGER", 1)]
    world.payment(BO, "FK:SJP", "P", "2024-05-01", "2024-05-12", "1200.00", version=2)
    world.night(THIRD)
    assert world.told("BOLAGET", *HEALED) == [("CORRECTED", "HEAL", BO, "D"), ("CORRECTED", "CHANGE", BO, "P")]
    assert world.told("KASSAN", *HEALED) == [("CORRECTED", "CHANGE", BO, "P")]
    assert found(world) == []
    everybody_knows(world)


@pytest.mark.slow
def test_what_was_healed_and_withdrawn_since_is_not_annulled_again_by_another_heal(whole: World) -> None:
    world = whole.twin("withdrawn")
    retell(world, "P", 1)
    found(world, "--heal")
    world.night(SECOND)
    world.payment(BO, "FK:SJP", "P", "2024-05-01", "2024-05-12", version=2, withdrawn=True)
    world.night(THIRD)
    assert world.told("BOLAGET", *HEALED) == [("ANNULLED", "CHANGE", BO, "P")]
    rewrite(world, "told", lambda rows: rows.filter(~row_of("BOLAGET", BO, "D")))
    assert found(world, "--heal") == [("BOLAGET", "NEW", 1)]
    world.night("2024-05-23")
    assert world.told("BOLAGET", *HEALED) == [("NEW", "HEAL", BO, "D")]
    assert found(world) == []


@pytest.mark.slow
def test_a_heal_and_a_refresh_by_command_follow_a_person_who_becomes_one_with_another_in_the_next_night(whole: World) -> None:
    world = whole.twin("moved")
    world.person(DAN)
    world.night(SECOND)
    retell(world, "P", 1)
    rewrite(world, "told", lambda rows: rows.filter(~row_of("BOLAGET", BO, "D")))
    assert sorted(found(world, "--heal")) == [("BOLAGET", "LEDGER", 1), ("BOLAGET", "NEW", 1)]
    refreshed = world.lefi("refresh", "--partner", "KASSAN", "--person", BO, "--json").json
    world.person(BO, former_personnummer=DAN)  # his number stays, what is stored of him moves
    world.night(THIRD)
    assert world.told("BOLAGET", *HEALED) == [("NEW", "HEAL", BO, "D"), ("CORRECTED", "HEAL", BO, "P")]
    assert world.told("KASSAN", *HEALED) == [("SNAPSHOT", "REFRESH", BO, "D"), ("SNAPSHOT", "REFRESH", BO, "P")]
    assert [each["order_id"] for each in world.manifest("KASSAN")["refreshes"]] == [refreshed["order_id"]]
    assert found(world) == []
    everybody_knows(world)


@pytest.mark.slow
def test_a_refresh_by_command_of_a_withheld_benefit_waits_out_a_merge_in_the_queue(whole: World) -> None:
    world = whole.twin("waiting")
    world.lefi("refresh", "--partner", "BOLAGET", "--person", BO)
    world.person(BO, former_personnummer=DAN)
    world.night(SECOND, 0, ["FK:SJP"])
    (waiting,) = world.lefi("status", "--json").json["refreshes"]
    assert (waiting["groups"], waiting["waiting"]) == (1, 1)
    world.night(THIRD)
    assert {*world.told("BOLAGET", *HEALED)} == {("SNAPSHOT", "REFRESH", BO, "D"), ("SNAPSHOT", "REFRESH", BO, "P")}


@pytest.mark.slow
def test_the_audit_adds_up_what_it_finds_in_several_buckets(tmp_path: Path) -> None:
    world = World(tmp_path / "ws", buckets=128)
    world.partner("BOLAGET", "FK:SJP")
    turns: dict[int, list[str]] = {}
    for person, bucket in buckets_of(numbers(2000), 128).items():
        turns.setdefault(bucket, []).append(person)
    people = [*turns[2][:2], *turns[66][:3]]
    for person in people:
        world.subscribe("BOLAGET", person, "FK:SJP")
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-12")
    world.night(FIRST)
    world.units({"FK:SJP": "FIVE_DAY_WEEK"})
    world.night(SECOND)  # night 2 looks at buckets 2 and 66
    assert world.report()["audit"] == {"FK:SJP": 5}
