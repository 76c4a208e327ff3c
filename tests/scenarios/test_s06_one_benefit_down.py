"""S06 (2021-11): a change broke TFP, and partners had to order a full refresh. Only that benefit is withheld, and it heals by itself."""

from tests.kit import ANNA, BO, World
from tests.scenarios.entitled import everybody_knows, told


def test_a_broken_benefit_touches_no_other_and_heals_without_an_order(world: World) -> None:
    world.partner("BOLAGET", "FK:TFP", "FK:SJP")
    for person in (ANNA, BO):
        for benefit in ("FK:TFP", "FK:SJP"):
            world.subscribe("BOLAGET", person, benefit)
            world.decision(person, benefit, "D", "2024-05-06", "2024-05-10")
    world.night("2024-05-20")

    for person in (ANNA, BO):
        for benefit in ("FK:TFP", "FK:SJP"):
            world.payment(person, benefit, "P", "2024-05-06", "2024-05-10")
    world.drops("2024-05-21")
    part = world.folder("FK:TFP", "2024-05-21") / "part-0.avro"
    whole = part.read_bytes()
    part.write_bytes(whole[:-20])
    world.night("2024-05-21")
    assert world.withheld("BOLAGET") == {"FK:TFP": "BROKEN_DROP"}
    assert sorted(world.told("BOLAGET")) == sorted(("NEW", person, "FK:SJP", "P") for person in (ANNA, BO))
    everybody_knows(world)  # of all that is current

    world.decision(ANNA, "FK:TFP", "D", "2024-05-06", "2024-05-08", version=2)
    world.drops("2024-05-22")
    part.write_bytes(whole)
    world.night("2024-05-22")
    assert world.withheld("BOLAGET") == {}
    assert {(action, trigger) for action, trigger in world.told("BOLAGET", "action", "trigger")} == {
        ("NEW", "CHANGE"),
        ("CORRECTED", "CHANGE"),
    }
    assert {fact_id: each["units"] for fact_id, each in told(world, "BOLAGET")[ANNA, "FK:TFP"].items()} == {"D": 3, "P": 3}
    everybody_knows(world)
