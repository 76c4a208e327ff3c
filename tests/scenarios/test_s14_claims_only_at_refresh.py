"""S14 (2019-02): recovery claims were missing from nightly runs. Initial + all nights == full refresh, for every kind of fact."""

from tests.kit import ANNA, BO, World
from tests.scenarios.entitled import a_full_refresh_changes_nothing, told

CLAIMED = ("FK:SJP", "FK:RBE", "FK:AS", "FK:NP", "FK:GP", "FK:SBP", "FK:DPE")  # DOMAIN 2: those of the published faults


def test_claims_of_every_benefit_come_in_the_night_and_a_late_subscriber_learns_the_same(world: World) -> None:
    world.partner("BOLAGET")
    world.partner("KASSAN")
    for benefit in CLAIMED:
        world.subscribe("BOLAGET", ANNA, benefit)
        world.decision(ANNA, benefit, "D", "2024-05-06", "2024-05-10")
        world.payment(ANNA, benefit, "P", "2024-05-06", "2024-05-10")
    world.subscribe("BOLAGET", BO, "PM:LINT")
    world.certificate(BO, "round", "2023-10-28", "1")
    world.night("2024-05-20")
    for benefit in CLAIMED:
        world.claim(ANNA, benefit, "C", "P", "2024-05-06", "2024-05-07", amount=None)
        world.claim(ANNA, benefit, "lost", "unknown", "2024-05-06", "2024-05-07")
    world.certificate(BO, "round", "2023-10-28", "2", version=2)
    world.night("2024-05-21")
    new = {(benefit, fact_id) for action, _, benefit, fact_id in world.told("BOLAGET") if action == "NEW"}
    assert new == {(benefit, fact_id) for benefit in CLAIMED for fact_id in ("C", "lost")}
    for benefit in CLAIMED:
        facts = told(world, "BOLAGET")[ANNA, benefit]
        assert (facts["C"]["refers_to"], facts["C"]["deviation"], facts["lost"]["deviation"]) == ("P", None, "UNKNOWN_REFERENCE")

    for benefit in CLAIMED:
        world.subscribe("KASSAN", ANNA, benefit)
        world.fact(benefit, ANNA, "lost", "RECOVERY_CLAIM", version=2, withdrawn=True, period_from="2024-05-06", period_to="2024-05-07")
    world.subscribe("KASSAN", BO, "PM:LINT")
    world.night("2024-05-22")
    assert {*world.told("BOLAGET", "action", "fact_id")} == {("ANNULLED", "lost")}
    assert {kind for facts in told(world, "KASSAN").values() for kind in [each["kind"] for each in facts.values()]} == {
        *("DECISION", "PAYMENT", "RECOVERY_CLAIM", "LIFE_CERTIFICATE")
    }
    assert told(world, "KASSAN") == told(world, "BOLAGET")
    a_full_refresh_changes_nothing(world, "2024-05-23")
