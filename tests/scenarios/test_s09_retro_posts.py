"""S09 (2020-02, 2020-10): retroactive FP payments came only with a full refresh. State is compared, not time stamps."""

from datetime import date

import pytest

from tests.kit import ANNA, BO, CIA, Row, World, midday, span
from tests.scenarios.entitled import a_full_refresh_changes_nothing, everybody_knows, told

FP = "FK:FP"


def of_the_past(world: World, partner: str) -> list[Row]:
    """Tonight's records of facts whose period ended before the last night of the partner: those that a look at new periods would miss."""
    last = date.fromisoformat(world.manifest(partner)["previous_business_date"])
    return [record for record in world.records(partner) if record["period_to"] and record["period_to"] < last]


def test_a_payment_for_days_long_past_comes_in_the_night_in_which_it_comes_in(world: World) -> None:
    world.partner("BOLAGET", FP)
    for person in (ANNA, BO):
        world.subscribe("BOLAGET", person, FP, since="2024-01-01")
        world.decision(person, FP, "D", "2024-01-01", "2024-12-31", spans=[span("2024-02-21", "2024-02-25", 1000, "SJUKPENNING")])
    world.night("2024-05-20")
    world.payment(ANNA, FP, "P", "2024-02-21", "2024-02-25", recorded_at=midday("2024-03-01"))  # 90 days back, recorded weeks ago
    world.night("2024-05-21")
    assert [record["fact_id"] for record in of_the_past(world, "BOLAGET")] == ["P"]
    assert world.told("BOLAGET", "action", "trigger", "personnummer", "units") == [("NEW", "CHANGE", ANNA, 5)]
    everybody_knows(world)


@pytest.mark.slow
def test_whatever_comes_late_is_told_in_its_night_and_a_full_refresh_adds_nothing(world: World) -> None:
    for partner in ("BOLAGET", "KASSAN"):
        world.partner(partner, FP)
    for person in (ANNA, BO, CIA):
        world.subscribe("BOLAGET", person, FP, since="2024-02-01")
        world.subscribe("KASSAN", person, FP, since="2024-03-15")
        world.decision(person, FP, "D", "2024-01-01", "2024-12-31", spans=[span("2024-02-01", "2024-02-29", 500, "GRUND")])
    world.night("2024-05-20")

    # Days of February are claimed in May. For KASSAN they lie before its subscription, so it is told nothing.
    world.payment(ANNA, FP, "february", "2024-02-20", "2024-02-29", recorded_at=midday("2024-03-02"))
    world.night("2024-05-21")
    assert world.told("BOLAGET", "action", "fact_id", "units") == [("NEW", "february", 10)]
    assert world.told("KASSAN") == []

    # A decision that was made in April comes now: it decides about days that were paid long ago, and about the payment told last night.
    spans = [span("2024-02-20", "2024-02-24", 500, "GRUND"), span("2024-02-25", "2024-02-29", 250, "LAGSTA")]
    world.decision(ANNA, FP, "D2", "2024-02-20", "2024-02-29", spans=spans, recorded_at=midday("2024-05-20"))
    world.decision(BO, FP, "early", "2024-02-01", "2024-02-10", spans=[span("2024-02-01", "2024-02-10")], recorded_at=midday("2024-01-02"))
    world.payment(BO, FP, "march", "2024-02-25", "2024-03-20", recorded_at=midday("2024-03-21"))
    world.drops("2024-05-22", [FP])
    world.night("2024-05-22")
    assert (world.told("BOLAGET"), world.withheld("BOLAGET")) == ([], {FP: "NO_DROP"})
    world.night("2024-05-23")
    assert sorted(world.told("BOLAGET", "action", "personnummer", "fact_id")) == sorted(
        [("NEW", ANNA, "D2"), ("CORRECTED", ANNA, "february"), ("NEW", BO, "early"), ("NEW", BO, "march")]
    )
    assert world.told("KASSAN", "action", "fact_id") == [("NEW", "march")]
    windows = told(world, "BOLAGET")[ANNA, FP]["february"]["windows"]
    assert [(each["extent_permille"], each["level"], each["units"]) for each in windows] == [(500, "GRUND", 5), (250, "LAGSTA", 5)]
    assert len(of_the_past(world, "BOLAGET")) == 4

    # An old version of a payment comes after a new one; a payment of last year is withdrawn before it was ever told.
    world.payment(CIA, FP, "P", "2024-02-01", "2024-02-05", "700.00", version=2, recorded_at=midday("2024-02-10"))
    world.night("2024-05-24")
    world.payment(CIA, FP, "P", "2024-02-01", "2024-02-05", "900.00", version=1, recorded_at=midday("2024-05-24"))
    world.fact(
        FP, CIA, "gone", "PAYMENT", withdrawn=True, period_from="2024-02-06", period_to="2024-02-07", recorded_at=midday("2024-02-10")
    )
    world.night("2024-05-25")
    assert world.told("BOLAGET") == []
    assert told(world, "BOLAGET")[CIA, FP]["P"]["amount"] == 700

    # KASSAN moves its subscription back, and learns at once what had been too old for it.
    world.subscribe("KASSAN", ANNA, FP, since="2024-02-01")
    world.night("2024-05-26")
    assert sorted(world.told("KASSAN", "action", "trigger", "fact_id")) == [
        ("SNAPSHOT", "INITIAL", fact_id) for fact_id in ("D", "D2", "february")
    ]
    assert told(world, "KASSAN")[ANNA, FP] == told(world, "BOLAGET")[ANNA, FP]
    a_full_refresh_changes_nothing(world, "2024-05-27")
