"""A runner that loses or doubles an element: the control totals stop the run with exit code 4, and nothing is published."""

from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.pvalue import AsList

import pipelines.nightly
from pipelines.bites import Bite
from pipelines.deliver import Delivered
from pipelines.ingest import Examined, FileTask, Piece
from pipelines.put_together import Delivery
from pipelines.side_by_side import in_batches
from pipelines.take import Intake
from tests.kit import World, small_story

FIRST, SECOND = "2024-05-21", "2024-05-22"
Doomed = Callable[[Any], bool]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A workspace after its first night."""
    world = World(tmp_path_factory.mktemp("totals") / "ws")
    small_story(world, FIRST, SECOND)
    world.night(FIRST)
    return world


@pytest.fixture
def small_bites(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bucket is a bite of its own."""
    monkeypatch.setattr("pipelines.bites.BITE_ROWS", 1)


def instead(element: Any, doomed: Doomed, copies: int) -> Iterable[Any]:
    """An element, or so many of it if it is doomed."""
    return [element] * (copies if doomed(element) else 1)


def unreliable(patch: pytest.MonkeyPatch, doomed: Doomed, copies: int) -> None:
    """Make the runner lose (0 copies) or double (2) elements on the way: out of a batch, and to side inputs."""
    side_input, labels = AsList, (f"Way {place}" for place in count())

    def unreliable_batches(elements: Iterable[Any], size: int) -> list[tuple[Any, ...]]:
        return in_batches([each for element in elements for each in instead(element, doomed, copies)], size)

    def unreliable_input(elements: beam.PCollection[Any]) -> Any:
        return side_input(elements | next(labels) >> beam.FlatMap(instead, doomed, copies))

    patch.setattr(pipelines.nightly, "in_batches", unreliable_batches)
    patch.setattr(pipelines.nightly, "AsList", unreliable_input)


LOSSES: dict[str, tuple[Doomed, str]] = {
    "a file of facts": (lambda e: isinstance(e, FileTask) and e.file.rows == 24, "control totals: drop 'fk-sjp-2024-05-22' has 24 rows"),
    "a piece of facts": (lambda e: isinstance(e, Piece) and e.file.rows == 24, "control totals: drop 'fk-sjp-2024-05-22' has 24 rows"),
    "a piece of orders": (lambda e: isinstance(e, Piece) and e.dataset == "orders", "control totals: "),
    "a bite on its way to be taken": (
        lambda e: isinstance(e, Bite) and e.first == 2,
        "control totals: step 'take' did not see each bucket once: [2] of 4",
    ),
    "what was taken of a bite": (
        lambda e: isinstance(e, Intake) and e.bite.first == 3,
        "control totals: nothing was taken of buckets 3 to 3",
    ),
    "what a bite came to": (
        lambda e: isinstance(e, Delivered) and e.bite.first == 1,
        "control totals: step 'deliver' did not see each bucket once: [1] of 4",
    ),
    "a partner": (lambda e: e == "KASSAN", "control totals: "),
    "a delivery": (lambda e: isinstance(e, Delivery) and e.partner == "BOLAGET", "control totals: "),
}


@pytest.mark.usefixtures("small_bites")
@pytest.mark.parametrize("what", LOSSES)
def test_a_lost_element_stops_the_run(story: World, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    doomed, message = LOSSES[what]
    world = story.twin(f"lost {what}")
    with monkeypatch.context() as patch:
        unreliable(patch, doomed, 0)
        ran = world.night(SECOND, code=4)
    assert message in ran.err
    assert world.outbox() == story.outbox()
    assert world.lefi("status", "--json").json["last_night"] == FIRST


@pytest.mark.usefixtures("small_bites")
@pytest.mark.parametrize("what", ["a piece of facts", "what was taken of a bite", "what a bite came to", "a delivery"])
def test_a_doubled_element_stops_the_run(story: World, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    world = story.twin(f"doubled {what}")
    with monkeypatch.context() as patch:
        unreliable(patch, LOSSES[what][0], 2)
        world.night(SECOND, code=4)
    assert world.outbox() == story.outbox()


def examined(element: Any) -> bool:
    """What was seen of a file of the register."""
    return isinstance(element, Examined)


def piece_of_register(element: Any) -> bool:
    """A piece of it."""
    return isinstance(element, Piece) and element.dataset == "persons"


@pytest.mark.parametrize("copies", [0, 2])
@pytest.mark.parametrize(
    ("doomed", "message"), [(examined, "drop 'persons-2024-05-21' has 12 rows, "), (piece_of_register, "12 register records are sound, ")]
)
def test_a_lost_or_doubled_part_of_the_register_stops_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch, doomed: Doomed, message: str, copies: int
) -> None:
    small_story(world, FIRST)
    with monkeypatch.context() as patch:
        unreliable(patch, doomed, copies)
        ran = world.night(FIRST, code=4)
    assert f"control totals: {message}" in ran.err
    assert world.outbox() == {}


def test_the_size_of_a_bite_changes_no_byte(story: World, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, bitten = story.twin("whole"), story.twin("bitten")
    whole.night(SECOND)
    monkeypatch.setattr("pipelines.bites.BITE_ROWS", 1)
    bitten.night(SECOND)
    assert whole.outbox() == bitten.outbox()
