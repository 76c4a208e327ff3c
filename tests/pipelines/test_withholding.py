"""R3-R5 through whole nights, beyond single bad drops: volumes, rows of obstacles, and when a benefit was last current."""

from datetime import date

import pytest
import yaml

from tests.kit import ANNA, BO, CATALOGUE, World, day, span
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


def catalogue(world: World, *without: str) -> None:
    """Write conf/benefits.yaml: the catalogue without some benefits."""
    world.write("conf/benefits.yaml", yaml.safe_dump({"benefits": {code: CATALOGUE[code] for code in CATALOGUE if code not in without}}))


def test_a_chain_goes_on_where_it_was_after_nights_in_which_conf_did_not_know_its_benefit(world: World) -> None:
    world.partner("BOLAGET", "FK:FP")
    world.subscribe("BOLAGET", ANNA, "FK:FP")
    world.night("2024-05-20")
    catalogue(world, "FK:SJP")
    world.night("2024-05-21")  # its drop lies there, of a benefit that nobody knows
    catalogue(world)
    late = world.drop(day("2024-05-19") or date.min, {"dataset": "facts", "benefit": "FK:SJP"}, [], "late")
    world.night("2024-05-22")
    assert world.drop_text(late) == "old : R3: FK:SJP is consumed up to 2024-05-20"
    assert world.drop_text(world.folder("FK:SJP", "2024-05-21")) == "consumed : "
    catalogue(world, "FK:SJP")
    world.night("2024-05-23", 0, ["FK:SJP"])
    catalogue(world)
    world.last["FK:SJP"] = date(2024, 5, 23)  # that drop was lost on its way
    world.night("2024-05-24")
    assert "the last one consumed is of 2024-05-22" in world.drop_text(world.folder("FK:SJP", "2024-05-24"))
    (withheld,) = [each for each in world.report()["withheld"] if each["benefit"] == "FK:SJP"]
    assert (withheld["code"], withheld["since"]) == ("GAP", "2024-05-23")


def test_a_drop_is_not_held_against_one_on_which_a_gate_has_closed(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", BO, "FK:SJP")
    world.night("2024-05-20")

    def row(place: int, extent: int, first: str = "2024-05-01") -> dict[str, object]:
        fact = {
            "personnummer": BO,
            "benefit": "FK:SJP",
            "fact_id": f"D{place}",
            "kind": "DECISION",
            "case_id": "C",
            "version": 1,
            "withdrawn": False,
        }
        return fact | {"period_from": day(first), "period_to": day("2024-05-10"), "spans": [span("2024-05-01", "2024-05-10", extent)]}

    head = {"dataset": "facts", "benefit": "FK:SJP"}
    first, second = date(2024, 5, 21), date(2024, 5, 22)
    bad = [row(place, 500, "2024-05-12" if place < 30 else "2024-05-01") for place in range(100)]
    good = [row(place, 750) for place in range(100)]
    world.drop(first, head | {"previous_business_date": "2024-05-20"}, bad, "sjp-1a")
    world.drop(first, head | {"previous_business_date": "2024-05-20"}, good, "sjp-1b")
    world.drop(second, head | {"previous_business_date": "2024-05-21"}, good, "sjp-2")
    unwanted = world.drop(second, head | {"previous_business_date": "2024-05-21"}, [], "sjp-3")
    world.night("2024-05-22", 0, ["FK:SJP"])
    assert world.withheld("BOLAGET") == {}
    assert len(world.told("BOLAGET")) == 100
    said = world.drop_text(world.root / "inbox" / "sjp-1a")
    assert said.startswith(
        "old : R2: FK:SJP is consumed up to 2024-05-22, by another drop of its date; of this one: QUARANTINE_RATE: sjp-1a: 30 of 100"
    )
    assert [(each["drop"], each["codes"]) for each in world.report()["gates"] if each["state"] == "closed"] == [
        ("sjp-1a", {"INVALID_PERIOD": 30})
    ]
    assert world.drop_text(world.root / "inbox" / "sjp-2") == "consumed : "
    assert world.drop_text(unwanted) == "old : R2: FK:SJP is consumed up to 2024-05-22, by another drop of its date"
    everybody_knows(world)


def test_drops_that_wait_are_told_with_the_reason(world: World) -> None:
    world.night("2024-05-20")
    world.closures(off=["FK:FP"])
    world.last["FK:SJP"] = date(2024, 5, 21)
    world.drops("2024-05-22")
    world.last["FK:SJP"] = date(2024, 5, 23)
    world.night("2024-05-24")
    assert world.drop_text(world.folder("FK:FP", "2024-05-22")) == "waiting SWITCHED_OFF: R4: FK:FP is switched off in conf/closures.yaml"
    assert world.drop_text(world.folder("FK:SJP", "2024-05-22")).startswith("waiting GAP: ")
    assert world.drop_text(world.folder("FK:SJP", "2024-05-24")) == "waiting GAP: R3: there is a gap in FK:SJP before it"


def test_who_loses_the_last_permission_has_subscriptions_ended_and_still_a_delivery_each_night(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-10")
    world.night("2024-05-20")
    world.conf["BOLAGET"]["permissions"] = []
    world.write_conf()
    assert "no active subscription that matches" in world.lefi("refresh", "--partner", "BOLAGET", code=3).err
    world.payment(ANNA, "FK:SJP", "P", "2024-05-01", "2024-05-10")
    world.night("2024-05-21")
    assert (len(world.deliveries("BOLAGET")), world.told("BOLAGET")) == (2, [])
    world.partner("BOLAGET", "FK:SJP")
    world.night("2024-05-22")
    assert world.told("BOLAGET") == []  # what has ended begins again by an order only
