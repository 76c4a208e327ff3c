"""S11 (2020-05): an error in life certificates rolled back the whole person. The border of an error is a person and benefit; it can be off."""

import pytest

from tests.kit import ANNA, BO, World
from tests.scenarios.entitled import a_full_refresh_changes_nothing, everybody_knows

pytestmark = pytest.mark.slow
BENEFITS = ("PM:LINT", "PM:AP", "FK:SJP")
SENT = "2023-10-28"


def test_a_wrong_certificate_stops_itself_alone_and_certificates_can_be_switched_off(world: World) -> None:
    world.partner("PENSION", *BENEFITS)
    for person in (ANNA, BO):
        for benefit in BENEFITS:
            world.subscribe("PENSION", person, benefit, since="2023-01-01")
        world.certificate(person, "round", SENT, "1", country="US")
    world.night("2024-05-20")

    world.certificate(ANNA, "round", SENT, "4", version=2, period_to="2023-10-01", country="US")
    world.decision(ANNA, "PM:AP", "D", "2024-01-01", None)
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-10")
    world.certificate(BO, "round", SENT, "2", version=2, country="US")
    world.night("2024-05-21")
    assert sorted(world.told("PENSION", "action", "personnummer", "benefit")) == sorted(
        [("DEVIATION", ANNA, "PM:LINT"), ("NEW", ANNA, "PM:AP"), ("NEW", ANNA, "FK:SJP"), ("CORRECTED", BO, "PM:LINT")]
    )
    assert [each["deviation"]["code"] for each in world.records("PENSION") if each["deviation"]] == ["INVALID_PERIOD"]
    everybody_knows(world)

    world.closures(off=["PM:LINT"])
    world.certificate(ANNA, "round", SENT, "2", version=3, country="US")
    world.decision(BO, "PM:AP", "D", "2024-01-01", None)
    world.night("2024-05-22")
    assert world.withheld("PENSION") == {"PM:LINT": "SWITCHED_OFF"}
    assert world.told("PENSION", "action", "personnummer", "benefit") == [("NEW", BO, "PM:AP")]
    everybody_knows(world)

    world.closures()
    world.night("2024-05-23")
    assert world.told("PENSION", "action", "trigger", "personnummer", "status") == [("SNAPSHOT", "HEAL", ANNA, "2")]
    a_full_refresh_changes_nothing(world, "2024-05-24")
