"""S02 (2024-05): the whole payment period was shown in place of the compensated days; case and payment periods disagreed (DOMAIN 4)."""

from datetime import date

import pytest

from tests.kit import ANNA, BO, World, span
from tests.scenarios.entitled import a_full_refresh_changes_nothing, told

pytestmark = pytest.mark.slow


def windows(world: World, person: str, fact_id: str) -> list[tuple[str, str, int, int]]:
    """The windows of a fact as the partner knows them."""
    shown = told(world, "BOLAGET")[person, "FK:SJP"][fact_id]["windows"]
    return [(str(each["first"]), str(each["last"]), each["extent_permille"], each["units"]) for each in shown]


def test_a_payment_shows_its_compensated_days_and_follows_the_decision(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.partner("KASSAN", "FK:SJP")
    for partner in ("BOLAGET", "KASSAN"):
        world.subscribe(partner, ANNA, "FK:SJP")
        world.subscribe(partner, BO, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-10")
    world.payment(ANNA, "FK:SJP", "P", "2024-04-21", "2024-05-20", stated_days=10)
    world.payment(BO, "FK:SJP", "P", "2024-04-21", "2024-05-20")
    world.decision(BO, "FK:SJP", "D", "2024-06-01", "2024-06-10")
    world.night("2024-05-21")
    assert windows(world, ANNA, "P") == [("2024-05-01", "2024-05-10", 1000, 10)]
    assert told(world, "BOLAGET")[ANNA, "FK:SJP"]["P"]["deviation"] is None
    assert told(world, "BOLAGET")[BO, "FK:SJP"]["P"]["deviation"] == "PERIOD_MISMATCH"

    spans = [span("2024-05-01", waiting=True), span("2024-05-02", "2024-05-05"), span("2024-05-06", "2024-05-10", 500)]
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-10", version=2, spans=spans)
    world.decision(BO, "FK:SJP", "D", "2024-05-11", "2024-06-10", version=2)
    world.night("2024-05-22")
    corrected = {(person, fact_id) for action, person, _, fact_id in world.told("BOLAGET") if action == "CORRECTED"}
    assert corrected == {(person, fact_id) for person in (ANNA, BO) for fact_id in ("D", "P")}
    assert windows(world, ANNA, "P") == [("2024-05-02", "2024-05-05", 1000, 4), ("2024-05-06", "2024-05-10", 500, 5)]
    assert told(world, "KASSAN")[ANNA, "FK:SJP"]["P"]["deviation"] == "DAY_COUNT_MISMATCH"
    assert windows(world, BO, "P") == [("2024-05-11", "2024-05-20", 1000, 10)]
    assert told(world, "KASSAN")[BO, "FK:SJP"]["P"]["period_from"] == date(2024, 4, 21)
    a_full_refresh_changes_nothing(world, "2024-05-23")
