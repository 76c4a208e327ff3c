"""S05 (2021-12): the night job stopped and files were run again. A rerun gives the same sequence and the same bytes."""

import pytest

from storage import failpoints
from tests.kit import World, small_story
from tests.scenarios.entitled import a_full_refresh_changes_nothing

pytestmark = pytest.mark.slow
DATES = ("2024-05-21", "2024-05-22")
PLACES = ("stage=error", "commit.before=error", "publish=error", "settle.told.before=error", "settle.catalog=error")


def test_a_night_stopped_at_one_place_after_another_ends_with_the_bytes_of_its_twin(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    small_story(world, *DATES)
    world.night(DATES[0])
    twin = world.twin()
    twin.night(DATES[1])
    for place in PLACES:
        with monkeypatch.context() as patch:
            failpoints.reached.clear()
            patch.setenv("LEFI_FAILPOINT", place)
            world.night(DATES[1], code=1)
    again = world.night(DATES[1]).json
    assert world.outbox() == twin.outbox()
    assert {partner: each["sequence"] for partner, each in again["deliveries"].items()} == {"BOLAGET": 2, "KASSAN": 2}
    world.night(DATES[1])
    assert world.outbox() == twin.outbox()
    a_full_refresh_changes_nothing(world, "2024-05-23")
