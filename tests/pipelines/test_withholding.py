"""R3-R5 through whole nights, beyond single bad drops: volumes, rows of obstacles, and when a benefit was last current."""

import pytest

from tests.kit import ANNA, BO, World
from tests.scenarios.entitled import everybody_knows

pytestmark = pytest.mark.slow


def test_a_drop_much_larger_than_its_forerunners_waits_until_it_is_accepted(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP", "FK:FP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.subscribe("BOLAGET", BO, "FK:FP")
    for place in range(5):
        world.decision(ANNA, "FK:SJP", f"small {place}", "2024-05-01", "2024-05-10")
        world.drops(f"2024-05-{15 + place}")
    world.night("2024-05-19")
    for place in range(1001):
        world.decision(ANNA, "FK:SJP", f"large {place:04}", "2024-05-01", "2024-05-10")
    world.decision(BO, "FK:FP", "D", "2024-05-01", "2024-05-10")
    world.night("2024-05-20")
    assert world.withheld("BOLAGET") == {"FK:SJP": "VOLUME"}
    assert world.told("BOLAGET", "benefit") == ["FK:FP"]
    everybody_knows(world)
    world.lefi("accept", world.folder("FK:SJP", "2024-05-20").name, "--reason", "a yearly run")
    world.night("2024-05-21")
    assert len(world.told("BOLAGET")) == 1001
    everybody_knows(world)


def test_the_code_is_that_of_the_first_obstacle_and_since_the_first_night_of_the_row(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10")
    world.night("2024-05-20")
    world.decision(ANNA, "FK:SJP", "D2", "2024-05-11", "2024-05-12")
    world.drops("2024-05-21")
    broken = world.folder("FK:SJP", "2024-05-21")
    sound = (broken / "part-0.avro").read_bytes()
    (broken / "part-0.avro").write_bytes(b"")
    world.night("2024-05-21")
    world.drops("2024-05-22")
    gap = world.folder("FK:SJP", "2024-05-22")
    world.edit_head(gap, previous_business_date="2024-05-21")
    world.night("2024-05-22")
    told = [{name: each[name] for name in ("code", "since")} for each in world.manifest("BOLAGET")["withheld"]]
    assert told == [{"code": "BROKEN_DROP", "since": "2024-05-21"}]
    world.night("2024-05-23", 0, ["FK:SJP"])
    assert world.withheld("BOLAGET") == {"FK:SJP": "BROKEN_DROP"}
    (broken / "part-0.avro").write_bytes(sound)
    world.night("2024-05-24", 0, ["FK:SJP"])  # all that was missing is consumed, but tonight's drop is not there
    assert world.withheld("BOLAGET") == {"FK:SJP": "NO_DROP"}
    assert world.manifest("BOLAGET")["withheld"][0]["since"] == "2024-05-21"
    assert world.told("BOLAGET") == []
    world.night("2024-05-25")
    assert (world.withheld("BOLAGET"), world.told("BOLAGET", "fact_id")) == ({}, ["D2"])
    world.night("2024-05-26", 0, ["FK:SJP"])
    assert world.manifest("BOLAGET")["withheld"][0]["since"] == "2024-05-26"


def test_a_gap_is_closed_by_a_drop_that_names_an_earlier_date(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP", "FK:FP")
    for benefit in ("FK:SJP", "FK:FP"):
        world.subscribe("BOLAGET", ANNA, benefit)
    world.night("2024-05-20")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-10")
    world.decision(ANNA, "FK:FP", "D", "2024-05-01", "2024-05-10")
    world.drops("2024-05-22")
    late = world.folder("FK:SJP", "2024-05-22")
    world.edit_head(late, previous_business_date="2024-05-21")
    world.night("2024-05-22")
    assert (world.withheld("BOLAGET"), world.told("BOLAGET", "benefit")) == ({"FK:SJP": "GAP"}, ["FK:FP"])
    world.edit_head(late, previous_business_date="2024-05-18")
    world.night("2024-05-23")
    assert world.told("BOLAGET", "benefit") == ["FK:SJP"]
    everybody_knows(world)
