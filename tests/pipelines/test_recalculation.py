"""R40-R43: recalculations through whole nights (S15), as an operator orders them and partners see them."""

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.kit import ANNA, CIA, Row, World, number, numbers

PEOPLE = numbers(8)
BEFORE, AFTER = Decimal("9147.00"), Decimal("9593.00")
JUNE = ("--rule", "guarantee", "--effective", "2018-07-01", "--reason", "Higher guarantee level", "--first-night", "2018-06-11")


def guarantee(years: int = 40, income: str = "0", yearly: str = "109764") -> Row:
    return {"insurance_years": years, "income_related_yearly": Decimal(income), "yearly_amount": Decimal(yearly)}


def sick(world: World, person: str, fact_id: str = "D", first: str = "2017-07-01", amount: Decimal = BEFORE, **fields: Any) -> None:
    """A decision on sjukersättning with a full guarantee, open."""
    usual = {"guarantee": guarantee(), "amount": amount, "spans": []}
    world.decision(person, "FK:SA", fact_id, first, None, **usual | fields)


def june(world: World, people: list[str], nights: int = 3) -> str:
    """Everybody has a decision that is told; a recalculation is ordered. Returns its source run."""
    world.partner("BOLAGET", "FK:SA", "FK:SJP")
    for person in people:
        world.subscribe("BOLAGET", person, "FK:SA", since="2018-01-01")
        sick(world, person)
    world.night("2018-06-08")
    return str(world.lefi("recalculate", *JUNE, "--nights", str(nights), "--json").json["source_run"])


def recalculated(world: World, sequence: int = 0) -> set[str]:
    """Who got a new decision in a delivery."""
    return {r["personnummer"] for r in world.records("BOLAGET", sequence) if r["fact_id"] and r["fact_id"].endswith("@2018-07-01")}


def amounts(world: World) -> dict[tuple[str, str], Decimal]:
    """(personnummer, fact_id) -> amount, as the partner now knows it."""
    facts = world.picture("BOLAGET").facts
    return {(person, fact_id): record["amount"] for (person, _), of in facts.items() for fact_id, (_, record) in of.items()}


def test_june_2018_over_three_nights_reaches_everybody_once_with_reason_and_reference(world: World) -> None:
    source_run = june(world, PEOPLE)
    nights = []
    for today in ("2018-06-11", "2018-06-12", "2018-06-13"):
        world.night(today)
        nights.append(recalculated(world))
        for record in world.records("BOLAGET"):
            told = (record["action"], record["fact_id"], record["version"], record["reason"], record["refers_to"], record["amount"])
            assert told == ("NEW", "D@2018-07-01", 1, "Higher guarantee level", "D", AFTER)
            assert str(record["period_from"]) == "2018-07-01"
    assert sorted(person for each in nights for person in each) == sorted(PEOPLE)
    assert all(len(each) < len(PEOPLE) for each in nights)
    world.night("2018-06-14")
    assert world.told("BOLAGET") == []
    assert source_run == "recalculation-000001"


@pytest.mark.slow
def test_a_decision_that_changes_before_its_slice_is_recalculated_as_it_then_is_and_one_after_it_stands(world: World) -> None:
    june(world, PEOPLE, nights=2)
    world.night("2018-06-11")
    done = recalculated(world)
    early, late = sorted(done)[0], sorted(set(PEOPLE) - done)[0]
    for person in (early, late):
        sick(world, person, version=2, guarantee=guarantee(20), amount=Decimal(4574))
    world.night("2018-06-12")
    assert recalculated(world) == set(PEOPLE) - done
    told = amounts(world)
    assert (told[early, "D"], told[early, "D@2018-07-01"]) == (Decimal(4574), AFTER)
    assert told[late, "D@2018-07-01"] == Decimal(4796)  # 2.53 x 45 500 / 2 / 12 = 4 796.46


@pytest.mark.slow
def test_who_comes_into_a_bucket_that_is_done_is_taken_in_the_last_night(world: World) -> None:
    june(world, PEOPLE)
    late = numbers(40)[8:]
    world.night("2018-06-11")
    for person in late:
        world.subscribe("BOLAGET", person, "FK:SA", since="2018-01-01")
        sick(world, person)
    world.night("2018-06-12")
    first = recalculated(world, 2) | recalculated(world, 3)
    world.night("2018-06-13")
    last = recalculated(world)
    assert first | last == {*PEOPLE, *late}
    assert not first & last


@pytest.mark.slow
def test_who_was_taken_is_not_taken_again_for_a_new_case(world: World) -> None:
    june(world, PEOPLE, nights=2)
    world.night("2018-06-11")
    done = recalculated(world)
    for person in PEOPLE:
        sick(world, person, "new", case_id="another")
    world.night("2018-06-12")
    told = amounts(world)
    assert {person for person in PEOPLE if (person, "new@2018-07-01") in told} == set(PEOPLE) - done
    assert {person for person in PEOPLE if (person, "D@2018-07-01") in told} == set(PEOPLE)


@pytest.mark.slow
def test_a_slice_whose_night_finds_the_benefit_withheld_is_computed_in_the_next_that_has_it(world: World) -> None:
    june(world, PEOPLE)
    twin = world.twin()
    for today in ("2018-06-11", "2018-06-12", "2018-06-13"):
        twin.night(today)
    world.night("2018-06-11")
    world.night("2018-06-12", 0, ["FK:SA"])
    assert (recalculated(world), world.withheld("BOLAGET")) == (set(), {"FK:SA": "NO_DROP"})
    listed = world.lefi("status", "--json").json["recalculations"]
    assert [(each["done"], each["remaining"], each["waiting"]) for each in listed] == [(1, 2, "FK:SA")]
    world.night("2018-06-13")
    assert recalculated(world, 4) == recalculated(twin, 3) | recalculated(twin, 4)
    assert amounts(world) == amounts(twin)


@pytest.mark.slow
def test_a_last_night_without_the_benefit_is_made_up_for(world: World) -> None:
    june(world, PEOPLE, nights=1)
    world.night("2018-06-11", 0, ["FK:SA"])
    world.night("2018-06-12")
    assert recalculated(world) == set(PEOPLE)


@pytest.mark.parametrize(
    "place", ["recalculate", *(pytest.param(each, marks=pytest.mark.slow) for each in ("commit.after", "settle.recalculations.before"))]
)
def test_a_night_killed_in_a_slice_repeats_nothing(world: World, place: str) -> None:
    june(world, PEOPLE[:4], nights=1)
    world.drops("2018-06-11")
    twin = world.twin()
    twin.night("2018-06-11")
    world.killed_night("2018-06-11", place)
    world.night("2018-06-11")
    assert world.outbox() == twin.outbox()
    world.night("2018-06-12")
    assert world.told("BOLAGET") == []


@pytest.mark.slow
def test_persons_who_are_merged_between_their_slices_have_each_case_recalculated_once(world: World) -> None:
    people = numbers(16)
    world.partner("BOLAGET", "FK:SA")
    for place, person in enumerate(people):
        world.subscribe("BOLAGET", person, "FK:SA", since="2018-01-01")
        sick(world, person, f"D{place}", case_id=f"case {place}")
    world.night("2018-06-08")
    world.lefi("recalculate", *JUNE, "--nights", "3")
    world.night("2018-06-11")
    done = sorted(recalculated(world))
    waiting = sorted(set(people) - set(done))
    world.person(done[0], former_personnummer=waiting[0])
    world.person(waiting[1], former_personnummer=done[1])
    for person in (done[0], waiting[1]):
        sick(world, person, f"D{people.index(person)}", case_id=f"case {people.index(person)}", version=2, amount=Decimal(9000))
    world.night("2018-06-12")
    world.night("2018-06-13")
    told = [record for of in world.picture("BOLAGET").facts.values() for _, record in of.values() if "@" in record["fact_id"]]
    assert sorted(record["fact_id"] for record in told) == sorted(f"D{place}@2018-07-01" for place in range(16))
    assert {(record["version"], record["amount"]) for record in told} == {(1, AFTER)}


def test_retracting_a_recalculation_annuls_its_decisions_and_the_old_ones_decide_again(world: World) -> None:
    source_run = june(world, PEOPLE[:3], nights=1)
    for person in PEOPLE[:3]:
        world.payment(person, "FK:SA", "P", "2018-07-01", "2018-07-31", "9593.00", case_id="case of FK:SA")
    world.night("2018-06-11")
    world.lefi("retract", "--source-run", source_run, "--reason", "Wrong factor")
    world.night("2018-06-12")
    assert set(world.told("BOLAGET", "action", "fact_id", "reason")) == {("ANNULLED", "D@2018-07-01", "Wrong factor")}
    assert {fact_id for _, fact_id in amounts(world)} == {"D", "P"}
    world.night("2018-06-13")
    assert world.told("BOLAGET") == []


@pytest.mark.slow
def test_a_recalculation_given_again_after_a_retraction_starts_anew(world: World) -> None:
    source_run = june(world, PEOPLE[:2], nights=1)
    world.night("2018-06-11")
    world.lefi("retract", "--source-run", source_run, "--reason", "Wrong factor")
    again = [*JUNE[:-1], "2018-06-12"]
    plan = world.lefi("recalculate", *again, "--nights", "1", "--plan", "--json").json
    given = world.lefi("recalculate", *again, "--nights", "1", "--json").json
    assert (plan["persons"], given["persons"], given["slices"]) == (2, 2, [2])  # as that night finds it: without what was retracted
    world.night("2018-06-12")
    assert given["source_run"] == "recalculation-000003"
    assert {record["version"] for record in world.records("BOLAGET")} <= {1}
    assert set(amounts(world).values()) == {BEFORE, AFTER}


def test_a_cancelled_recalculation_does_no_more_nights(world: World) -> None:
    source_run = june(world, PEOPLE)
    world.night("2018-06-11")
    done = recalculated(world)
    stopped = world.lefi("recalculate", "--cancel", source_run, "--json").json
    assert (stopped["done"], stopped["stopped"]) == (1, 2)
    assert world.lefi("status", "--json").json["recalculations"] == []
    world.night("2018-06-12")
    world.night("2018-06-13")
    assert recalculated(world, 3) | recalculated(world, 4) == set()
    assert {person for person, fact_id in amounts(world) if "@" in fact_id} == done
    assert world.lefi("recalculate", "--cancel", source_run, "--json").json["stopped"] == 0
    world.lefi("recalculate", "--cancel", "recalculation-000099", code=3)


def test_january_2022_changes_factor_and_base_amount_at_once(world: World) -> None:
    young, twenty_three = number("2001-06-01"), number("1998-12-31")
    world.partner("BOLAGET", "FK:SA")
    for person in (ANNA, CIA, young, twenty_three):
        world.subscribe("BOLAGET", person, "FK:SA", since="2021-01-01")
        sick(world, person, first="2021-01-01", amount=Decimal(1))
    world.night("2021-12-10")
    order = ["--rule", "guarantee", "--effective", "2022-01-01", "--reason", "2022", "--first-night", "2021-12-13", "--nights", "1"]
    world.lefi("recalculate", *order)
    world.night("2021-12-13")
    told = {person: amount for (person, fact_id), amount in amounts(world).items() if "@" in fact_id}
    # 2.78, 2.53 and 2.48 x 48 300 / 12; the first three: 30 and over, 21, 20
    assert told == {ANNA: Decimal(11190), CIA: Decimal(10183), young: Decimal(9982), twenty_three: Decimal(10385)}


@pytest.mark.slow
def test_the_yearly_change_of_the_base_amount_follows_on_an_earlier_recalculation(world: World) -> None:
    june(world, PEOPLE[:2], nights=1)
    world.night("2018-06-11")
    order = ["--rule", "guarantee", "--effective", "2019-01-01", "--reason", "2019", "--first-night", "2018-12-03", "--nights", "1"]
    world.lefi("recalculate", *order)
    world.night("2018-12-03")
    told = world.told("BOLAGET", "fact_id", "refers_to", "amount")  # 2.53 x 46 500 / 12 = 9 803.75
    assert told == [("D@2018-07-01@2019-01-01", "D@2018-07-01", Decimal(9804))] * 2


def test_two_recalculations_in_one_night_see_one_another(world: World) -> None:
    first = june(world, PEOPLE[:2], nights=1)
    assert world.lefi("recalculate", *JUNE, "--nights", "1", "--json").json["source_run"] == first  # word for word: the same once more
    again = tuple("Once more" if each == "Higher guarantee level" else each for each in JUNE)
    assert again != JUNE
    assert world.lefi("recalculate", *again, "--nights", "1", "--json").json["source_run"] != first
    world.night("2018-06-11")
    assert world.told("BOLAGET", "fact_id", "version") == [("D@2018-07-01", 1)] * 2


def test_the_plan_tells_what_the_nights_then_do_and_changes_nothing(world: World) -> None:
    world.partner("KASSAN", "FK:SA", refresh_persons_per_night=4)
    for person in PEOPLE[:2]:
        world.subscribe("KASSAN", person, "FK:SA", since="2018-01-01")
    world.persons(*PEOPLE)
    sick(world, number("1951-01-01", 981))
    sick(world, ANNA, "impossible", guarantee=guarantee(2))
    source_run = june(world, PEOPLE)
    world.lefi("recalculate", "--cancel", source_run)
    before = {path: path.read_bytes() for path in world.root.rglob("*") if path.is_file()}
    page = world.root.parent / "plan.html"
    plan = world.lefi("recalculate", *JUNE, "--nights", "3", "--plan", "--page", str(page), "--json").json
    assert {path: path.read_bytes() for path in world.root.rglob("*") if path.is_file()} == before
    assert (plan["persons"], plan["decisions"], plan["unchanged"], plan["skipped"], plan["nights"]) == (9, 9, 0, 1, 3)
    assert (plan["amounts"]["before"]["most"], plan["amounts"]["after"]["middle"], plan["amounts"]["change"]["least"]) == (
        "9147.00",
        "9593.00",
        "446.00",
    )
    assert page.read_text("utf-8").count("<svg") == 3
    world.lefi("recalculate", *JUNE, "--nights", "3")
    for place, today in enumerate(("2018-06-11", "2018-06-12", "2018-06-13")):
        world.night(today)
        foreseen = {partner: load["records"] for partner, load in plan["slices"][place]["partners"].items()}
        assert {partner: len(world.records(partner)) for partner in ("BOLAGET", "KASSAN") if world.records(partner)} == foreseen
    assert sum(each["partners"].get("KASSAN", {}).get("percent_of_throttle", 0) for each in plan["slices"]) == 50


def test_status_tells_how_far_a_recalculation_is(world: World) -> None:
    june(world, PEOPLE, nights=2)

    def told() -> list[tuple[int, int, int]]:
        return [(each["done"], each["remaining"], each["decisions"]) for each in world.lefi("status", "--json").json["recalculations"]]

    assert told() == [(0, 2, 0)]
    world.night("2018-06-09")
    assert told() == [(0, 2, 0)]
    world.night("2018-06-11")
    assert told() == [(1, 1, len(recalculated(world)))]
    assert "recalculation-000001 (Higher guarantee level): 1 of 2 nights" in world.lefi("status").out.replace("\n", " ")
    world.night("2018-06-12")
    assert told() == []
    assert json.loads(json.dumps(world.report()["recalculations"][0]))["decisions"] == len(PEOPLE)


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"--rule": "pension"}, 2, "--rule pension: there is guarantee"),
        ({"--nights": "0"}, 2, "--nights 0: from 1 to 366"),
        ({"--first-night": "9999-12-31", "--nights": "2"}, 2, "--first-night 9999-12-31: after it there are no 2 nights"),
        ({"--nights": "x"}, 2, "Invalid value for '--nights'"),
        ({"--effective": "2018-7-1"}, 2, "'2018-7-1' is not a date"),
        ({"--reason": " "}, 2, "--reason is empty"),
        ({"--reason": None}, 2, "--reason: missing"),
        ({"--cancel": "recalculation-000001"}, 2, "--cancel stands alone"),
        ({"--page": "x.html"}, 2, "--page goes with --plan"),
        ({"--effective": "2017-01-01"}, 3, "no factor for 2017-01-01"),
        ({"--effective": "2027-01-01"}, 3, "no base amount for 2027"),
    ],
)
def test_a_wish_that_cannot_be_granted_is_refused_and_nothing_is_ordered(
    world: World, change: dict[str, str | None], code: int, text: str
) -> None:
    world.partner("BOLAGET", "FK:SA")
    wish = dict(zip(JUNE[::2], JUNE[1::2], strict=True)) | {"--nights": "1"} | change
    arguments = [part for name, value in wish.items() if value is not None for part in (name, value)]
    assert text in " ".join(world.lefi("recalculate", *arguments, code=code).err.split())
    assert not (world.root / "store" / "commands").exists()


def test_the_first_night_must_be_one_to_come(world: World) -> None:
    world.partner("BOLAGET", "FK:SA")
    world.night("2018-06-11")
    ran = world.lefi("recalculate", *JUNE, "--nights", "1", code=3)
    assert "--first-night 2018-06-11: the last night was that of 2018-06-11, nights only go forward" in ran.err
