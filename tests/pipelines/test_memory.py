"""A memory budget is kept by taking smaller bites: the same bytes go out for any, and what does not fit is said before anything happens."""

import threading
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from pipelines import room
from pipelines.delivered import DELIVERED, READ_BACK_ROWS, published, stage_delivered
from pipelines.room import Room, WeightedSemaphore, portions
from schemas.buckets import bucket_of
from schemas.contracts import BENEFIT_FACT, Contract
from schemas.sizes import size_of
from storage import avro, tables
from storage.workspace import Workspace
from tests.kit import ANNA, BO, MARKER, World, numbers, small_story
from transforms import compensate
from transforms.compensate import rule

DATES = [str(date(2024, 5, 20) + timedelta(days=place)) for place in range(3)]
MIB = 1 << 20
PERSON_FACTS, PERSON_DECISIONS = 100_000, 400
BUCKET_FACTS, LARGE = 600, 10


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], str]:
    """Have a budget of few facts: what is to be given to --memory for so many."""
    monkeypatch.setattr(room, "BASE_BYTES", 0)
    monkeypatch.setattr(room, "LEAST_FACTS", 0)
    monkeypatch.setattr(room, "PIECE_BYTES", 100)
    return lambda facts: str(facts * room.FACT_BYTES)


@pytest.mark.slow
def test_the_same_bytes_go_out_for_any_budget(tmp_path: Path, tiny: Callable[[int], str]) -> None:
    world = World(tmp_path / "ws")
    small_story(world, DATES[0], DATES[1])
    twin = world.twin()
    for night in DATES[:2]:
        rehearsed = [
            each.lefi("rehearse", "--business-date", night, "--json", *more).json
            for each, more in ((world, ()), (twin, ("--memory", tiny(8))))
        ]
        assert {**rehearsed[0], "work": {}} == {**rehearsed[1], "work": {}}
        world.lefi("nightly", "--business-date", night)
        twin.lefi("nightly", "--business-date", night, "--memory", tiny(8))
        assert twin.outbox() == world.outbox()
    found = twin.lefi("reconcile", "--json", "--memory", tiny(8)).json
    assert (found["differences"], found["store"]) == (0, [])
    twin.write("conf/machine.yaml", f"memory: {tiny(8)}B\n")
    for person in (ANNA, BO):
        for each in (world, twin):
            each.decision(person, "FK:SJP", "another", "2024-05-01", "2024-05-09")
    for each in (world, twin):
        each.night(DATES[2])
    assert twin.outbox() == world.outbox()


def test_a_budget_that_is_too_small_is_refused_and_says_what_is_needed(world: World, tiny: Callable[[int], str]) -> None:
    world.partner("BOLAGET", "FK:SJP")
    for place in range(9):
        world.decision(ANNA, "FK:SJP", f"D{place}", f"2024-05-0{place + 1}", f"2024-05-0{place + 1}")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.drops(DATES[0])
    said = world.lefi("nightly", "--business-date", DATES[0], "--memory", tiny(8), code=2).err
    assert "--memory 1MiB: bucket " in said or "--memory 1MiB: one of the buckets " in said
    assert "has a person with 9 facts, for which 1MiB is needed: give as much, or more" in said
    assert not world.outbox()
    said = world.lefi("nightly", "--business-date", DATES[0], "--memory", "1500", code=2).err
    assert "has a block of 9 records, for which 1MiB is needed: give as much, or more, or have it written with smaller blocks" in said
    world.lefi("nightly", "--business-date", DATES[0])
    assert len(world.told("BOLAGET")) == 9


def test_a_delivery_is_read_back_in_pieces_for_which_there_is_room(world: World, tmp_path: Path) -> None:
    world.partner("BOLAGET", "FK:SJP")
    for place, person in enumerate(numbers(9)):
        world.decision(person, "FK:SJP", f"D{place}", "2024-05-01", "2024-05-09")
        world.subscribe("BOLAGET", person, "FK:SJP")
    world.night(DATES[0])
    (part,) = published(Workspace(world.root))
    whole, pieces = stage_delivered(part, tmp_path / "whole"), stage_delivered(part, tmp_path / "pieces", rows_at_once=1)
    assert (len(whole), len(pieces)) == (1, world.buckets)
    read = [tables.read(files, DELIVERED).sort("record_no") for files in (whole, pieces)]
    assert read[0].height == 9
    assert read[0].equals(read[1])
    budget = 2 * room.needed(room.LEAST_FACTS)
    assert room.BASE_BYTES + 2 * Room(budget).digest_rows(READ_BACK_ROWS) * room.DIGEST_BYTES <= budget


def test_a_wrong_size_is_wrong_usage(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    night = ("nightly", "--business-date", DATES[0])
    assert "'much' is no size such as 1GiB or 800MiB" in world.lefi(*night, "--memory", "much", code=2).err
    assert "--memory 100MiB: at least 404MiB is needed" in world.lefi(*night, "--memory", "100MiB", code=2).err
    world.write("conf/machine.yaml", "memory: much\n")
    assert "conf/machine.yaml: memory: 'much' is no size" in world.lefi(*night, code=2).err


def test_sizes_are_read_as_people_write_them() -> None:
    assert [size_of(text) for text in ("1GiB", "800M", "1.5 GB", "64kib", "7")] == [1 << 30, 800 * MIB, 3 << 29, 64 << 10, 7]


def test_portions_hold_whole_persons_and_as_many_facts_as_there_is_room_for() -> None:
    counted = pl.DataFrame({"person": list("abcdef"), "facts": [3, 4, 9, 1, 0, 6]})
    assert [list(each) for each in portions(counted, 7)] == [["a", "b"], ["c"], ["d", "e", "f"]]
    assert portions(counted.clear(), 7) == []


def test_the_semaphore_lets_in_what_there_is_room_for_and_the_too_large_alone() -> None:
    gate, most, now, lock = WeightedSemaphore(10), [0], [0], threading.Lock()

    def work(weight: int) -> None:
        with gate.passed(weight):
            with lock:
                now[0] += weight
                most[0] = max(most[0], now[0] if weight <= 10 or now[0] != weight else 0)
            threading.Event().wait(0.01)
            with lock:
                now[0] -= weight

    threads = [threading.Thread(target=work, args=(weight,)) for weight in (4, 4, 4, 25, 9, 1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < most[0] <= 10


def test_a_case_with_many_decisions_and_payments_is_ruled_in_turns_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    day = pl.int_range(pl.len(), dtype=pl.Int32())
    payments = pl.DataFrame({"row": range(40), "pair": 0, "case_id": "C"}).with_columns(first=day * 7, last=day * 7 + 9)
    decisions = pl.DataFrame({"decision": range(30), "rank": range(30), "pair": 0, "case_id": "C"}).with_columns(
        **{"from": (day * 37) % 200, "to": (day * 37) % 200 + 60}
    )
    whole = rule(payments, decisions).sort("row", "first")
    monkeypatch.setattr(compensate, "PAIRS", 100)
    assert rule(payments, decisions).sort("row", "first").equals(whole)
    assert whole.height > 40


def write_drop(world: World, benefit: str, facts: pl.DataFrame) -> None:
    """A drop of facts that are given as columns; what is not given is as usual."""
    contract: Contract = BENEFIT_FACT
    usual = {"benefit": benefit, "version": 1, "withdrawn": False, "source_run": "large", "spans": []}
    given = facts.with_columns(
        pl.lit(value, dtype=contract.frame[name]).alias(name) for name, value in usual.items() if name not in facts.columns
    )
    absent = [pl.lit(None, contract.frame[name]).alias(name) for name in contract.frame if name not in given.columns]
    frame = given.with_columns(absent).select(pl.col(name).cast(dtype) for name, dtype in contract.frame.items())
    data = avro.header(contract, MARKER) + avro.encode(frame, contract, MARKER)
    world.raw_drop(DATES[0], {"dataset": "facts", "benefit": benefit}, {"part-0.avro": data}, frame.height)


def payments_of(personnummer: pl.Expr, case: pl.Expr, count: int) -> pl.DataFrame:
    """So many payments of a week each, one after the other in each case."""
    start = pl.lit(date(1970, 1, 5)) + pl.duration(days=(pl.col("place") % 2500) * 7)
    return pl.select(pl.int_range(count).alias("place")).select(
        personnummer.alias("personnummer"),
        case.alias("case_id"),
        pl.format("P{}", "place").alias("fact_id"),
        kind=pl.lit("PAYMENT"),
        period_from=start,
        period_to=start + pl.duration(days=6),
        amount=pl.lit(1000),
        recorded_at=pl.lit(date(2024, 5, 1)).cast(pl.Datetime("ms", "UTC")),
    )


def decisions_of(personnummer: str, count: int) -> pl.DataFrame:
    """So many decisions of one case, each on the seven weeks after those of the one before."""
    start = pl.lit(date(1970, 1, 5)) + pl.duration(days=(pl.col("place") % 350) * 49)
    span = pl.struct(
        first=start, last=start + pl.duration(days=48), extent_permille=pl.lit(1000), level=pl.lit(None, pl.String()), waiting=pl.lit(False)
    )
    return pl.select(pl.int_range(count).alias("place")).select(
        pl.lit(personnummer).alias("personnummer"),
        pl.lit("C").alias("case_id"),
        pl.format("D{}", "place").alias("fact_id"),
        kind=pl.lit("DECISION"),
        period_from=start,
        period_to=start + pl.duration(days=48),
        spans=pl.concat_list(span).cast(BENEFIT_FACT.frame["spans"]),
        extent_permille=pl.lit(1000),
        recorded_at=pl.lit(date(2024, 5, 1)).cast(pl.Datetime("ms", "UTC")),
    )


def large_world(root: Path, person_facts: int, bucket_facts: int) -> World:
    """64 buckets with so many facts each, one with ten times as many, and one with a person of very many."""
    world = World(root, buckets=64)
    world.partner("BOLAGET", "FK:SJP", "FK:FP")
    people = numbers(2000)
    placed = pl.DataFrame({"person": people}).with_columns(bucket_of(pl.col("person"), 64).alias("bucket"))
    by_bucket = {bucket: rows["person"].to_list() for (bucket,), rows in placed.partition_by("bucket", as_dict=True).items()}
    large, special = by_bucket[17], by_bucket[40][0]
    named = [person for bucket in by_bucket.values() for person in (bucket[:6] * (bucket_facts // 6))] + large[:8] * (
        bucket_facts * (LARGE - 1) // 8
    )
    ordinary = payments_of(pl.lit(pl.Series(named)).gather(pl.col("place")), pl.lit("C"), len(named))
    write_drop(world, "FK:FP", ordinary.with_columns(pl.format("P{}", pl.int_range(pl.len())).alias("fact_id")))
    theirs = payments_of(pl.lit(special), pl.lit("C"), person_facts - PERSON_DECISIONS).with_columns(
        spans=pl.lit([], BENEFIT_FACT.frame["spans"])
    )
    write_drop(world, "FK:SJP", pl.concat([decisions_of(special, PERSON_DECISIONS), theirs], how="diagonal_relaxed"))
    for person in sorted({*named, special}):
        world.subscribe("BOLAGET", person, "FK:FP", "1960-01-01")
        world.subscribe("BOLAGET", person, "FK:SJP", "1960-01-01")
    world.drops(DATES[0], ["FK:SJP", "FK:FP"])
    return world


def peak_of(world: World, *memory: str) -> int:
    """Run the night and a reconcile in processes of their own; the larger of their peaks, in MiB."""
    night = world.process("nightly", "--business-date", DATES[0], "--json", *memory).json
    found = world.process("reconcile", "--json", *memory).json
    assert found["differences"] == 0
    return max(night["work"]["peak_mib"], found["work"]["peak_mib"])


@pytest.mark.slow
def test_a_person_of_100_000_facts_and_a_bucket_ten_times_the_others_keep_within_the_budget(tmp_path: Path) -> None:
    world = large_world(tmp_path / "ws", PERSON_FACTS, 10 * BUCKET_FACTS)
    twin = world.twin()
    free, kept = peak_of(world), peak_of(twin, "--memory", "680MiB")
    assert kept <= 680, (free, kept)
    assert twin.outbox() == world.outbox()


@pytest.mark.slow
def test_a_tenth_of_that_keeps_within_a_smaller_one(tmp_path: Path) -> None:
    world = large_world(tmp_path / "ws", PERSON_FACTS // 10, BUCKET_FACTS // 10)
    assert peak_of(world, "--memory", "420MiB") <= 420
