"""A night that reads only those whom it concerns delivers the bytes of one that reads everybody, and keeps the same state."""

from pathlib import Path

import polars as pl
import pytest

from pipelines import concerned, take
from schemas.frames import TABLES
from storage import tables
from storage.agreement import table_folder
from storage.workspace import Workspace
from tests.kit import ANNA, BO, CIA, DAN, World, number, numbers, span

BO_BEFORE = number("1985-06-30", 982)


def tell(world: World) -> World:
    """Nights with all that concerns somebody: facts, orders, merges, freezes, withheld benefits, ends, refreshes, lost permissions, retractions."""
    world.partner("BOLAGET", "FK:SJP", "FK:TFP", refresh_persons_per_night=2)
    world.partner("KASSAN", "FK:SJP", "PM:AP")
    for person in (ANNA, BO, BO_BEFORE, CIA, DAN, *numbers(6)):
        world.subscribe("BOLAGET", person, "FK:SJP")
        world.subscribe("KASSAN", person, "FK:SJP", until="2024-05-24" if person == CIA else None)
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-20", source_run="first")
        world.payment(person, "FK:SJP", "P", "2024-05-01", "2024-05-10")
    world.subscribe("BOLAGET", ANNA, "FK:TFP")
    world.night("2024-05-21")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-20", 500, version=2)
    world.decision(numbers(1)[0], "FK:SJP", "wrong", "2024-05-01", "2024-05-20", spans=[span("2024-05-01", "2024-05-20", 2000)])
    world.decision(ANNA, "FK:TFP", "T", "2024-05-01", "2024-05-20")
    world.subscribe("BOLAGET", CIA, "FK:TFP")
    world.night("2024-05-22", but=["FK:TFP"])
    world.lefi("refresh", "--partner", "KASSAN")
    world.lefi("refresh", "--partner", "BOLAGET", "--benefit", "FK:SJP")
    world.person(BO, former_personnummer=BO_BEFORE)
    world.end("KASSAN", ANNA, "FK:SJP")
    world.night("2024-05-23", but=["FK:TFP"])
    world.decision(numbers(1)[0], "FK:SJP", "wrong", "2024-05-01", "2024-05-20", version=2)
    world.subscribe("KASSAN", ANNA, "FK:SJP", "2024-02-01")
    world.night("2024-05-24")
    world.partner("KASSAN", "PM:AP")
    world.night("2024-05-27", but=["PM:AP"])
    world.lefi("retract", "--source-run", "first", "--reason", "sent too early")
    world.night("2024-05-28")
    world.refresh("BOLAGET")
    world.night("2024-05-29")
    world.night("2024-05-30", but=["FK:SJP"])
    return world


def rows(world: World, name: str) -> pl.DataFrame:
    """All rows of a table, in one order."""
    frame = tables.read(tables.files(table_folder(Workspace(world.root), name)), TABLES[name])
    return frame.sort([name for name, dtype in TABLES[name].items() if not isinstance(dtype, pl.List)])


@pytest.mark.slow
def test_the_deliveries_and_the_state_are_those_of_a_night_that_reads_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = tell(World(tmp_path / "some" / "ws"))
    monkeypatch.setattr(take, "concerned", lambda *_: None)
    everybody = tell(World(tmp_path / "everybody" / "ws"))
    assert some.outbox() == everybody.outbox()
    for name in TABLES:
        assert rows(some, name).equals(rows(everybody, name)), name
    actions = {action for partner in ("BOLAGET", "KASSAN") for n in range(1, 9) for action in some.told(partner, "action", sequence=n)}
    assert actions >= {"SNAPSHOT", "ANNULLED", "DEVIATION"}
    assert some.lefi("reconcile", "--json").json["differences"] == 0


def test_a_night_looks_at_the_subscriptions_of_those_alone_whom_it_concerns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "ws")
    world.partner("BOLAGET", "FK:SJP")
    for person in (ANNA, BO, CIA, DAN):
        world.subscribe("BOLAGET", person, "FK:SJP", until="2024-05-22" if person == DAN else None)
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-20")
    world.night("2024-05-21")
    asked: list[str] = []

    def noted(*arguments: object) -> pl.Series | None:
        found = concerned.concerned(*arguments)  # type: ignore[arg-type]  # those of take_bite
        asked.extend(found if found is not None else ["everybody"])
        return found

    monkeypatch.setattr(take, "concerned", noted)
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-20", 500, version=2)
    world.end("BOLAGET", BO, "FK:SJP")
    world.night("2024-05-22")
    assert sorted(asked) == sorted([ANNA, BO, DAN])
    assert world.told("BOLAGET", "action", "personnummer") == [("CORRECTED", ANNA)]
