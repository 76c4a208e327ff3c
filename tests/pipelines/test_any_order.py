"""Whatever an engine does with the steps: in another order, twice, side inputs mixed, one element at a time. The bytes are the same (R28)."""

import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines import bites
from tests import straight
from tests.faults.stories import COMMANDS, rows_of, tell
from tests.kit import World
from tests.straight import Beside, Elements, Step

ENGINES = """
embedded: {{at_once: {}}}
prism: {{at_once: 1, binary: prism}}
flink: {{endpoint: "x:1", page: "x:2", master: "x:3", parallelism: 1, at_once: 1, workers: "x:4"}}
spark: {{endpoint: "x:1", page: "x:2", master: "x:3", parallelism: 1, at_once: 1, workers: "x:4"}}
"""
AGAIN = (("reconcile", "--json"), ("rehearse", "--business-date", "2018-06-13", "--json"))


class Wild:
    """Beam as it is at its worst. Each call of a step happens twice, and either result is taken."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def mixed(self, elements: Iterable[Any]) -> list[Any]:
        """In another order."""
        found = list(elements)
        self.dice.shuffle(found)
        return found

    def flat_map(self, step: Callable[..., Iterable[Any]], *arguments: Any) -> Step:
        """beam.FlatMap."""

        def twice(*given: Any) -> list[Any]:
            return self.dice.choice([list(step(*given)), list(step(*given))])

        given = [each.value if isinstance(each, Beside) else each for each in arguments]
        return Step(lambda elements: self.mixed(made for element in self.mixed(elements) for made in twice(element, *given)))

    def as_list(self, elements: Elements) -> Beside:
        """beam.pvalue.AsList."""
        return Beside(self.mixed(elements))

    def let_loose(self, patch: pytest.MonkeyPatch) -> None:
        """Have all pipelines run so."""
        beam = SimpleNamespace(
            Pipeline=straight.Pipeline,
            Create=straight.create,
            FlatMap=self.flat_map,
            Map=lambda step, *arguments: self.flat_map(lambda element, *given: [step(element, *given)], *arguments),
            Reshuffle=lambda: Step(self.mixed),
        )
        for module in [module for name, module in sys.modules.items() if name.startswith("pipelines.")]:
            for name, stands_for in (("beam", beam), ("AsList", self.as_list)):
                if hasattr(module, name):
                    patch.setattr(module, name, stands_for)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A workspace before a night that has something of everything."""
    with straight.straight():
        world = World(tmp_path_factory.mktemp("order") / "ws", buckets=16)
        tell(world)
        for command in ("refresh", "retract", "recalculate"):
            world.lefi(*COMMANDS[command])
    return world


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_any_order_repeated_and_one_by_one_the_bytes_are_the_same(
    told: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    calm, wild = told.twin_at(tmp_path / "calm"), told.twin_at(tmp_path / "wild")
    calm.lefi(*COMMANDS["nightly"])
    wild.write("conf/engines.yaml", ENGINES.format(1))
    monkeypatch.setattr(bites, "BITE_ROWS", 3)
    Wild(seed).let_loose(monkeypatch)
    wild.lefi(*COMMANDS["nightly"])
    assert wild.outbox() == calm.outbox()
    for name, rows in rows_of(calm).items():
        assert rows.equals(rows_of(wild)[name]), name
    assert len(list((wild.root / "store" / "told").glob("*.parquet"))) > len(list((calm.root / "store" / "told").glob("*.parquet")))
    for command in AGAIN:
        said = [each.lefi(*command).json for each in (wild, calm)]
        assert said[0] | {"work": {}} == said[1] | {"work": {}}


def test_the_calm_world_has_something_to_compare(told: World, tmp_path: Path) -> None:
    world = told.twin_at(tmp_path / "ws")
    before = world.outbox()
    world.lefi(*COMMANDS["nightly"])
    assert len(world.outbox()) > len(before)
    assert world.lefi(*AGAIN[1]).json["release"]["differences"] == 0
