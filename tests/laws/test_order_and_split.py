"""Laws over pairs of worlds: what must not make a difference, and what must add up. Each tale is one night's changes for a world that is known."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.kit import CATALOGUE, Row, World
from tests.laws.said import BENEFITS, LATER, NIGHT_BEFORE_ALL, PEOPLE, Said, facts, lines, records
from tests.scenarios.entitled import entitled, past_of, told
from tests.straight import straight

FIRST, SECOND, THIRD, FOURTH = (str(NIGHT_BEFORE_ALL + timedelta(days=place)) for place in range(4))
SINGLE = {benefit: f"ONLY-{benefit.replace(':', '-')}" for benefit in BENEFITS}
ALLA = "ALLA"
NOON = datetime(2024, 6, 2, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Tale:
    """What is said for one night. order: another order of it; later: the places of what may as well come a night later."""

    said: tuple[Said, ...]
    order: tuple[int, ...]
    later: frozenset[int]

    def lines(self) -> list[int]:
        """The places of the order lines."""
        return [place for place, each in enumerate(self.said) if each.whose.startswith("orders/")]

    def split(self) -> tuple[list[Said], list[Said]]:
        """Two nights of it: facts fall as they may, register records come at once, of the order lines the last ones come later."""
        own = [place for place in self.lines() if place in self.later]
        late = {place for place in self.later if self.said[place].whose in BENEFITS} | {p for p in self.lines() if own and p >= own[0]}
        return [each for place, each in enumerate(self.said) if place not in late], [self.said[place] for place in sorted(late)]


@st.composite
def tales(draw: st.DrawFn) -> Tale:
    """Facts of which no version comes twice, register records, and order lines, each with its own time or line number."""
    said: list[Said] = draw(st.lists(facts(), min_size=3, max_size=14, unique_by=version_of))
    said += draw(st.lists(records(), max_size=2))
    said += [Said(f"orders/{ALLA}", each.row) for each in draw(st.lists(lines(), max_size=3)) if each.row["personnummer"] not in LATER]
    timed = tuple(placed(each, place) for place, each in enumerate(said))
    order = tuple(draw(st.permutations(range(len(timed)))))
    return Tale(timed, order, frozenset(draw(st.sets(st.sampled_from(range(len(timed)))))))


def version_of(said: Said) -> tuple[Any, ...]:
    """What says which version of which fact it is, whoever it is about: two persons may become one."""
    return tuple(said.row[name] for name in ("benefit", "fact_id", "version"))


def placed(said: Said, place: int) -> Said:
    """With its own time, or its own number among the order lines."""
    own: Row = (
        {"line_no": place, "order_id": "order"} if said.whose.startswith("orders/") else {"recorded_at": NOON + timedelta(minutes=place)}
    )
    return Said(said.whose, said.row | own)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world in which everybody is watched by a partner for all benefits, and by others for one each; after its first night."""
    with straight():
        world = World(tmp_path_factory.mktemp("laws") / "ws", buckets=2)
        world.write("conf/benefits.yaml", yaml.safe_dump({"benefits": {name: dict(CATALOGUE[name]) for name in BENEFITS}}))
        world.partner(ALLA, *BENEFITS)
        for benefit, partner in SINGLE.items():
            world.partner(partner, benefit)
        for person in PEOPLE:
            world.person(person)
            for benefit, partner in SINGLE.items():
                world.subscribe(ALLA, person, benefit)
                world.subscribe(partner, person, benefit)
            world.decision(person, "FK:SJP", "D1", "2024-05-01", "2024-05-20")
            world.payment(person, "FK:SJP", "P1", "2024-05-01", "2024-05-10")
        night(world, FIRST)
        yield world


def night(world: World, today: str, said: Sequence[Said] = ()) -> None:
    """Say it, and run the night."""
    for each in said:
        each.say(world)
        if each.whose == f"orders/{ALLA}":
            for benefit, partner in SINGLE.items():
                if each.row["benefit"] in (None, benefit):
                    Said(f"orders/{partner}", each.row).say(world)
    world.night(today, 0, CATALOGUE.keys() - set(BENEFITS))


@pytest.fixture
def twins(known: World) -> Iterator[Callable[[], World]]:
    """Makes twins of the known world, that are removed at the end of an example."""
    made: list[Path] = []

    def twin() -> World:
        made.append(Path(tempfile.mkdtemp()))
        return known.twin_at(made[-1] / "ws")

    yield twin
    for folder in made:
        shutil.rmtree(folder)


def pictures(world: World) -> dict[tuple[str, str, str], Any]:
    """What each partner knows of each group that it watches; of frozen ones just that."""
    known = {}
    for partner, groups in entitled(past_of(world)).items():
        knows = told(world, partner)
        for number, benefit in groups:
            content = knows.get((number, benefit))
            known[partner, number, benefit] = "incomplete" if isinstance(content, str) else content
    return known


def bare(rows: Sequence[Row]) -> list[str]:
    """Records without what says where they stand, sorted."""
    return sorted(repr({name: value for name, value in row.items() if name not in ("record_no", "supersedes")}) for row in rows)


COMMON = settings(
    deadline=None, database=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck), print_blob=True
)
few, many = settings(COMMON, max_examples=2, derandomize=True), settings(COMMON, max_examples=40)


def the_order_makes_no_difference(tale: Tale, twins: Callable[[], World]) -> None:
    """Facts, register records and lines in another order in their files: the same pictures, and the same receipts."""
    as_told, otherwise = twins(), twins()
    night(as_told, SECOND, tale.said)
    night(otherwise, SECOND, [tale.said[place] for place in tale.order])
    assert pictures(as_told) == pictures(otherwise)
    assert as_told.receipts(ALLA) == otherwise.receipts(ALLA)


def one_night_or_two_end_alike(tale: Tale, twins: Callable[[], World]) -> None:
    """What comes in one night, or in two: in the end partners know the same."""
    at_once, in_two = twins(), twins()
    night(at_once, SECOND, tale.said)
    night(at_once, THIRD)
    now, later = tale.split()
    night(in_two, SECOND, now)
    night(in_two, THIRD, later)
    assert pictures(at_once) == pictures(in_two)


def single_benefits_add_up(tale: Tale, twins: Callable[[], World]) -> None:
    """Who watches all benefits gets what those get together who watch one each (S10)."""
    world = twins()
    night(world, SECOND, tale.said)
    each_alone = [row for partner in SINGLE.values() for row in world.records(partner)]
    assert bare(world.records(ALLA)) == bare(each_alone)


def the_same_once_more_is_nothing(tale: Tale, twins: Callable[[], World]) -> None:
    """The night once more does nothing; the same facts and register records in a later night tell nobody anything."""
    world = twins()
    night(world, SECOND, tale.said)
    outbox = world.outbox()
    night(world, SECOND)
    assert world.outbox() == outbox
    night(world, THIRD)
    night(world, FOURTH, [each for each in tale.said if not each.whose.startswith("orders/")])
    assert not any(world.told(partner) for partner in (ALLA, *SINGLE.values()))


LAWS = [the_order_makes_no_difference, one_night_or_two_end_alike, single_benefits_add_up, the_same_once_more_is_nothing]


@pytest.mark.parametrize("law", [the_order_makes_no_difference, single_benefits_add_up])
def test_a_law_holds_for_some_tales(law: Callable[[Tale, Callable[[], World]], None], twins: Callable[[], World]) -> None:
    few(given(tale=tales())(lambda tale: law(tale, twins)))()


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_a_law_holds_for_many_tales(law: Callable[[Tale, Callable[[], World]], None], twins: Callable[[], World]) -> None:
    many(given(tale=tales())(lambda tale: law(tale, twins)))()
