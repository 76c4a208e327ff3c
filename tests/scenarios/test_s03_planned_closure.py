"""S03 (2024-05): feeding services closed for 33 hours. The benefit is withheld, it is said so, and what was missed is caught up."""

import pytest

from tests.kit import ANNA, BO, World
from tests.scenarios.entitled import a_full_refresh_changes_nothing

pytestmark = pytest.mark.slow
CLOSED = ("FK:SJP", "PERSONS")


def test_a_closure_in_conf_is_said_and_caught_up(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP", "FK:FP")
    world.closures({"benefits": list(CLOSED), "from": "2024-05-18", "until": "2024-05-19", "text": "Planned closure"})
    for benefit in ("FK:SJP", "FK:FP"):
        world.subscribe("BOLAGET", ANNA, benefit)
        world.decision(ANNA, benefit, "D", "2024-05-01", "2024-05-10")
    world.night("2024-05-17")

    world.payment(ANNA, "FK:SJP", "P", "2024-05-01", "2024-05-10")
    world.payment(ANNA, "FK:FP", "P", "2024-05-01", "2024-05-10")
    world.person(BO)
    world.subscribe("BOLAGET", BO, "FK:SJP")
    world.night("2024-05-18", 0, CLOSED)
    assert world.withheld("BOLAGET") == {"FK:SJP": "PLANNED_CLOSURE", "PERSONS": "PLANNED_CLOSURE"}
    assert {each["text"] for each in world.manifest("BOLAGET")["withheld"]} != {""}
    assert world.told("BOLAGET", "benefit", "fact_id") == [("FK:FP", "P")]
    assert world.receipts("BOLAGET") == []
    assert world.lefi("status", "--json").json["next"].startswith("the next night")

    world.decision(BO, "FK:SJP", "D", "2024-05-11", "2024-05-19")
    world.night("2024-05-19", 0, CLOSED)
    assert world.told("BOLAGET") == []
    world.night("2024-05-20", 0, ["FK:SJP"])
    assert world.withheld("BOLAGET") == {"FK:SJP": "NO_DROP"}
    assert {each["since"] for each in world.manifest("BOLAGET")["withheld"]} == {"2024-05-18"}
    assert world.receipts("BOLAGET") == ["ACCEPTED"]

    world.night("2024-05-21")
    assert world.withheld("BOLAGET") == {}
    assert sorted(world.told("BOLAGET", "action", "personnummer", "fact_id", "trigger")) == sorted(
        [("NEW", ANNA, "P", "CHANGE"), ("SNAPSHOT", BO, "D", "INITIAL")]
    )
    a_full_refresh_changes_nothing(world, "2024-05-22")
