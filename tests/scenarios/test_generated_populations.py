"""S02, S07, S09 and S10 over the populations that `lefi generate --scenario` makes: every partner knows what it is entitled to."""

import pytest

from tests.kit import World
from tests.scenarios.entitled import everybody_knows, past_of, told

NIGHTS = ("2026-01-05", "2026-01-06", "2026-01-07")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["S02", "S07", "S09", "S10"])
def test_after_some_nights_of_a_population_every_partner_knows_what_there_is(world: World, scenario: str) -> None:
    (world.root / "conf" / "partners.yaml").unlink()
    world.lefi("generate", "--persons", "60", "--nights", "3", "--seed", "11", "--scenario", scenario)
    world.written.clear()
    for today in NIGHTS:
        world.lefi("nightly", "--business-date", today)
    everybody_knows(world)
    past = past_of(world)
    partners = {partner for partner, _, _ in past.subscriptions}
    told_of = sum(len(facts) for partner in partners for facts in told(world, partner).values() if isinstance(facts, dict))
    assert told_of > 20, "there is too little to know"


def test_an_unknown_scenario_is_wrong_usage_and_makes_nothing(world: World) -> None:
    ran = world.lefi("generate", "--persons", "10", "--nights", "1", "--seed", "1", "--scenario", "S99", code=2)
    assert "--scenario S99: there is none" in " ".join(ran.err.split())
    assert not list((world.root / "inbox").iterdir())
