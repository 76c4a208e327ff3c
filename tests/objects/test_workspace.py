"""A workspace below `s3://`: the same bytes as on a disk, whatever happens on the wire."""

from collections.abc import Iterator

import pytest

from storage.place import place
from tests.kit import World, small_story
from tests.objects.server import BUCKET, Wire, object_store
from tests.straight import straight

NIGHTS = ("2024-06-03", "2024-06-04")


@pytest.fixture(scope="session")
def wire() -> Iterator[Wire]:
    """A wire to an S3 server."""
    with object_store() as wire:
        yield wire


@pytest.fixture(autouse=True)
def nothing_is_wrong(wire: Wire) -> Iterator[None]:
    """Until a test says so."""
    wire.is_sound()
    with straight():
        yield


@pytest.fixture
def remote(request: pytest.FixtureRequest, wire: Wire) -> World:
    """A workspace in the store."""
    return World(place(f"s3://{BUCKET}/{request.node.name}"))


def test_the_nights_are_those_of_a_disk(world: World, remote: World) -> None:
    for each in (world, remote):
        small_story(each, *NIGHTS)
        for night in NIGHTS:
            each.night(night)
    assert remote.outbox() == world.outbox()
