"""S15 (2018-06): the load of a recalculation. A plan, slices over nights, budgets, a reason on every record; and everybody exactly once (R40-R43).

While the nights go by, decisions change, persons change their numbers, subscriptions end and begin, FK:SA is withheld for a night, and each
night is killed once.
"""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kit import Row, World, number, numbers
from tests.oracle.recalculation import yearly
from tests.scenarios.entitled import a_full_refresh_changes_nothing, buckets_of, everybody_knows, past_of, told

SA, BUCKETS, SLICES = "FK:SA", 16, 4
PARTNERS = ("BOLAGET", "KASSAN")
OLD = numbers(14)
YOUNG = [
    number(f"{year}-{month:02d}-15") for year in (1988, 1992, 1995, 1998, 2000) for month in (6, 7)
]  # on both sides of a band, or near
PEOPLE = [*OLD, *YOUNG]
SETTLED, TWO_YEARS = number("1961-04-01"), number("1961-05-01")  # has the new amount already; has too few years
KILLS = ("recalculate", "commit.after", "verify", "settle.recalculations.before", "publish:2")


@dataclass(frozen=True)
class Change:
    """A rule change. before: the night after which it is ordered; nights: of the slices, and one more; fact_id: of the decisions that it finds."""

    effective: str
    before: str
    nights: tuple[str, str, str, str, str]
    fact_id: str = "D"

    @property
    def reason(self) -> str:
        """What stands on every record."""
        return f"Guarantee from {self.effective}"

    @property
    def suffix(self) -> str:
        """How a new decision's fact_id ends."""
        return f"@{self.effective}"


CHANGES = {
    "factors of July 2018": Change("2018-07-01", "2018-06-08", ("2018-06-11", "2018-06-12", "2018-06-13", "2018-06-14", "2018-06-15")),
    "base amount of 2019": Change(
        "2019-01-01", "2018-11-30", ("2018-12-03", "2018-12-04", "2018-12-05", "2018-12-06", "2018-12-07"), "D@2018-07-01"
    ),
    "both in January 2022": Change("2022-01-01", "2021-12-10", ("2021-12-13", "2021-12-14", "2021-12-15", "2021-12-16", "2021-12-17")),
}


def sick(world: World, change: Change, person: str, fact_id: str = "", years: int = 40, **fields: Any) -> None:
    """An open decision with a guarantee, of an amount that no rule gives."""
    guarantee = {"insurance_years": years, "income_related_yearly": Decimal(1200 * (years % 3)), "yearly_amount": Decimal(12)}
    usual = {"guarantee": guarantee, "amount": Decimal(1), "spans": []}
    world.decision(person, SA, fact_id or change.fact_id, "2017-07-01", None, **usual | fields)


def population(world: World, change: Change, people: list[str]) -> None:
    """Everybody has a decision that both partners know; of two persons the recalculation will decide nothing."""
    for partner in PARTNERS:
        world.partner(partner, SA, "FK:SJP")
    for place, person in enumerate((*people, SETTLED, TWO_YEARS)):
        for partner in PARTNERS:
            world.subscribe(partner, person, SA, since="2018-01-01")
        if person in people:
            sick(world, change, person, years=40 - place, extent=(1000, 750, 500, 250)[place % 4])
    sick(world, change, TWO_YEARS, years=2)
    same = yearly(date.fromisoformat(change.effective), date(1961, 4, 1), 40, 1000, Decimal(1200)) or 0
    sick(world, change, SETTLED, amount=Decimal(same // 12))
    world.night(change.before)


def wish(change: Change, nights: int = SLICES) -> list[str]:
    """The recalculation as the operator gives it."""
    first = ["--effective", change.effective, "--reason", change.reason, "--first-night", change.nights[0]]
    return ["--rule", "guarantee", *first, "--nights", str(nights), "--json"]


def slices_of(world: World) -> list[set[int]]:
    """The buckets of each night, as they were dealt."""
    command: Path = max((world.root / "store" / "commands").glob("*.json"))
    return [set(buckets) for buckets in json.loads(command.read_text("utf-8"))["arguments"]["slices"]]


def in_slices(world: World, people: list[str]) -> list[list[str]]:
    """Whose turn it is in each night."""
    places = buckets_of(people, world.buckets)
    return [[person for person in people if places[person] in buckets] for buckets in slices_of(world)]


def new_decisions(world: World) -> dict[date, list[Row]]:
    """What the recalculation decided by night, worked out slowly."""
    found: dict[date, list[Row]] = {}
    for fact in past_of(world).facts:
        if fact["source_run"].startswith("recalculation-"):
            found.setdefault(fact["recorded_at"].date(), []).append(fact)
    return found


def records_of(world: World, change: Change, partner: str, sequence: int = 0) -> list[Row]:
    """What a delivery says about new decisions."""
    return [record for record in world.records(partner, sequence) if (record["fact_id"] or "").endswith(change.suffix)]


def in_its_time(world: World, change: Change, kill: str) -> str:
    """Run the next night; first it is killed at a place, if one is named, and then it has the bytes of a night that was not. Its date."""
    today = next(night for night in change.nights if night not in {str(each) for each in world.written})
    but = [SA] if today == change.nights[2] else []  # in the middle, FK:SA is withheld
    world.drops(today, but)
    if kill:
        twin = world.twin(today)
        twin.night(today)
        world.killed_night(today, kill)
        world.night(today)
        assert world.outbox() == twin.outbox()
    else:
        world.night(today)
    everybody_knows(world)
    return today


def story(world: World, change: Change, kills: tuple[str, ...]) -> None:
    """From the plan to the night after the last slice."""
    population(world, change, PEOPLE)
    biggest = max(Counter(buckets_of(PEOPLE, BUCKETS).values()).values())
    budget = -(-len(PEOPLE) // SLICES) + biggest
    for partner in PARTNERS:
        world.partner(partner, SA, "FK:SJP", refresh_persons_per_night=budget)
    plan = world.lefi("recalculate", *wish(change), "--plan").json
    assert (plan["persons"], plan["unchanged"], plan["skipped"]) == (len(PEOPLE), 1, 1)
    assert all(load["percent_of_throttle"] <= 100 for night in plan["slices"] for load in night["partners"].values())
    given = world.lefi("recalculate", *wish(change)).json
    assert max(given["slices"]) - min(given["slices"]) <= biggest
    first, second, third, last = in_slices(world, PEOPLE)
    assert min(map(len, (first, second, third, last))) >= 4, "the story needs somebody for every part"

    # Night 1: what changes in the night itself counts, and so does what changes before its slice.
    sick(world, change, first[0], version=2, years=17)
    sick(world, change, third[0], version=2, years=18)
    in_its_time(world, change, kills[0])

    # Night 2: who was done has a case worker's decision; somebody has lost the benefit; numbers change; a subscription ends.
    worker = {"amount": Decimal(7777), "reason": "case worker"}
    sick(world, change, first[1], "E", **worker)
    world.fact(SA, third[1], change.fact_id, version=2, withdrawn=True, period_from="2017-07-01")
    renamed = {first[2]: number("1971-01-01"), third[2]: number("1971-01-02")}
    for old, new in renamed.items():
        world.person(new, former_personnummer=old, birth_date="1971-01-01")
    world.end("KASSAN", last[0], SA)
    in_its_time(world, change, kills[1])

    # Night 3: FK:SA is withheld, the rest goes on. The slice waits.
    world.decision(last[1], "FK:SJP", "S", "2018-05-01", "2018-05-10")
    world.subscribe("BOLAGET", last[1], "FK:SJP", since="2018-01-01")
    world.end("BOLAGET", third[3], SA)
    today = in_its_time(world, change, kills[2])
    assert world.withheld("BOLAGET") == {SA: "NO_DROP"}
    assert world.told("BOLAGET", "benefit") == ["FK:SJP"]
    assert date.fromisoformat(today) not in new_decisions(world)
    progress = world.lefi("status", "--json").json["recalculations"]
    assert [(each["done"], each["remaining"], each["waiting"]) for each in progress] == [(2, 2, SA)]

    # Night 4, the last: both slices that are left, and somebody who has come into one that was done.
    late = next(person for person in numbers(400)[14:] if buckets_of([person], BUCKETS)[person] in slices_of(world)[0])
    world.subscribe("KASSAN", late, SA, since="2018-01-01")
    sick(world, change, late)
    in_its_time(world, change, kills[3])

    # Night 5: nothing is left to do or to say.
    in_its_time(world, change, kills[4])
    assert [world.told(partner) for partner in PARTNERS] == [[], []]
    assert world.lefi("status", "--json").json["recalculations"] == []
    assert world.lefi("reconcile", "--json").json["differences"] == 0

    no_night_exceeds_the_budget(world, change, [first, second, [*third, *last, late]], budget)
    people = {*PEOPLE, late} - {third[1]}
    everybody_exactly_once(world, change, people, renamed, {"BOLAGET": people - {third[3], late}, "KASSAN": people - {last[0]}})
    assert told(world, "BOLAGET")[first[1], SA]["E"]["amount"] == 7777


def no_night_exceeds_the_budget(world: World, change: Change, turns: list[list[str]], budget: int) -> None:
    """Each night decided for those whose turn it was; that of two slices may have twice the budget."""
    decided = new_decisions(world)
    nights = [date.fromisoformat(change.nights[place]) for place in (0, 1, 3)]
    assert sorted(decided) == nights
    for night, turn, slices in zip(nights, turns, (1, 1, 2), strict=True):
        assert {fact["person"] for fact in decided[night]} <= set(turn)
        assert len({fact["person"] for fact in decided[night]}) <= budget * slices
    reports = [json.loads(path.read_text("utf-8")) for path in sorted((world.root / "runs").glob("*/report.json"))]
    counted = [each["decisions"] for report in reports for each in report["recalculations"]]
    assert counted[-1] == sum(map(len, decided.values()))


def everybody_exactly_once(world: World, change: Change, people: set[str], renamed: dict[str, str], watched: dict[str, set[str]]) -> None:
    """One new decision for each person, told to each partner that watches once, with the reason; only a change of number tells it again."""
    facts = [fact for of in new_decisions(world).values() for fact in of]
    assert Counter(fact["person"] for fact in facts) == Counter(people)
    assert {fact["fact_id"] for fact in facts} == {change.fact_id + change.suffix}
    former = {new: old for old, new in renamed.items()}
    for partner in PARTNERS:
        records = [record for at in range(1, len(world.deliveries(partner)) + 1) for record in records_of(world, change, partner, at)]
        said = {(record["reason"], record["version"], record["refers_to"]) for record in records}
        assert said == {(change.reason, 1, change.fact_id)}
        again = [record for record in records if record["former_personnummer"]]
        once = Counter(former.get(record["personnummer"], record["personnummer"]) for record in records if record not in again)
        assert once == Counter(watched[partner])
        assert {record["former_personnummer"] for record in again} <= set(renamed)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.slow
def test_a_recalculation_keeps_its_budget_and_reaches_everybody_once_whatever_happens_meanwhile(tmp_path: Path, change: str) -> None:
    world = World(tmp_path / "ws", buckets=BUCKETS)
    story(world, CHANGES[change], KILLS)
    for partner in PARTNERS:
        world.partner(partner, SA, "FK:SJP")
    a_full_refresh_changes_nothing(world, str(date.fromisoformat(CHANGES[change].nights[4]).replace(day=20)))


def test_a_decision_that_changes_between_two_slices_is_recalculated_once_and_as_it_then_is(world: World) -> None:
    change, people = CHANGES["both in January 2022"], [*OLD[:3], *YOUNG[:5]]
    population(world, change, people)
    given = world.lefi("recalculate", *wish(change, 2)).json
    first, second = in_slices(world, people)
    assert (given["persons"], sorted(given["slices"])) == (len(people), sorted((len(first), len(second))))
    sick(world, change, second[0], version=2, years=18)
    world.night(change.nights[0])
    sick(world, change, first[0], "E", amount=Decimal(7777))
    world.night(change.nights[1])
    assert [{fact["person"] for fact in of} for of in new_decisions(world).values()] == [set(first), set(second)]
    everybody_exactly_once(world, change, set(people), {}, {partner: set(people) for partner in PARTNERS})
    everybody_knows(world)
