"""S04 (2021-12): all servers restarted during runs. A night goes on where it was, and nothing is delivered twice."""

import pytest

from tests.kit import World, small_story
from tests.scenarios.entitled import a_full_refresh_changes_nothing

pytestmark = pytest.mark.slow
DATES = ("2024-05-21", "2024-05-22", "2024-05-23")


def test_servers_that_die_while_publishing_deliver_each_thing_once(world: World) -> None:
    small_story(world, *DATES)
    world.night(DATES[0])
    twin = world.twin()
    twin.night(DATES[1])
    world.killed_night(DATES[1], "publish:2")
    assert sorted(len(world.deliveries(partner)) for partner in ("BOLAGET", "KASSAN")) == [1, 2]
    world.night(DATES[1])
    assert world.outbox() == twin.outbox()
    world.night(DATES[2])
    for partner in ("BOLAGET", "KASSAN"):
        assert [world.manifest(partner, place)["sequence"] for place in (1, 2, 3)] == [1, 2, 3]
    a_full_refresh_changes_nothing(world, "2024-05-24")
