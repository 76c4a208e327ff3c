"""R11, R12, R23 through whole nights: numbers that change, persons who become one, the protected flag; refreshes and freezes in between."""

import random
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.kit import ANNA, BO, CIA, DAN, Row, World, midday, number, numbers, span
from tests.scenarios.entitled import a_full_refresh_changes_nothing, buckets_of, everybody_knows, past_of, told

SJP, FP = "FK:SJP", "FK:FP"
NIGHTS = [f"2024-05-{day}" for day in range(20, 31)]
NEW_ANNA, NEWEST_ANNA = number("1990-01-15", 991), number("1990-01-15", 992)
COORDINATED = number("1990-01-75")  # a samordningsnummer
LOW, MIDDLE, HIGH = sorted([ANNA, BO, CIA])


def watching(world: World, *groups: tuple[str, str], partner: str = "BOLAGET", **fields: Any) -> None:
    """A partner that watches persons for benefits."""
    if partner not in world.conf:
        world.partner(partner, SJP, FP)
    for person, benefit in groups:
        world.subscribe(partner, person, benefit, **fields)


def sick(world: World, person: str, fact_id: str = "D", benefit: str = SJP, **fields: Any) -> None:
    """A decision on ten days."""
    world.decision(person, benefit, fact_id, "2024-05-01", "2024-05-10", **fields)


def said(world: World, partner: str = "BOLAGET") -> set[tuple[str, str, str, str | None]]:
    """What tonight's records say of whom: action, trigger, number, former number."""
    return set(world.told(partner, "action", "trigger", "personnummer", "former_personnummer"))


def rejected(world: World, person: str, benefit: str = SJP, fact_id: str = "bad", version: int = 1, **fields: Any) -> None:
    """A record that breaks a rule, and so freezes."""
    world.fact(benefit, person, fact_id, version=version, period_from="2024-05-10", period_to="2024-05-01", **fields)


def test_a_new_number_is_told_once_with_the_former_one_and_both_lead_to_the_person(world: World) -> None:
    watching(world, (ANNA, SJP), (ANNA, FP), (BO, SJP))
    watching(world, (ANNA, SJP), partner="KASSAN")
    for person in (ANNA, BO):
        sick(world, person)
    world.night(NIGHTS[0])
    world.person(NEW_ANNA, former_personnummer=ANNA)
    world.payment(ANNA, SJP, "P1", "2024-05-01", "2024-05-04")
    world.night(NIGHTS[1])
    assert said(world) == {("SNAPSHOT", "CHANGE", NEW_ANNA, ANNA), ("EMPTY", "CHANGE", NEW_ANNA, ANNA)}
    assert said(world, "KASSAN") == {("SNAPSHOT", "CHANGE", NEW_ANNA, ANNA)}
    assert set(told(world, "BOLAGET")) == {(NEW_ANNA, SJP), (NEW_ANNA, FP), (BO, SJP)}

    world.payment(NEW_ANNA, SJP, "P2", "2024-05-05", "2024-05-10")
    world.payment(ANNA, FP, "P3", "2024-05-05", "2024-05-10")
    world.refresh("KASSAN", ANNA)
    world.end("BOLAGET", ANNA, FP)
    world.night(NIGHTS[2])
    assert said(world) == {("NEW", "CHANGE", NEW_ANNA, None)}
    assert said(world, "KASSAN") == {("SNAPSHOT", "REFRESH", NEW_ANNA, None)}
    assert (world.receipts("BOLAGET"), world.receipts("KASSAN")) == (["ACCEPTED"], ["ACCEPTED"])
    everybody_knows(world)


@pytest.mark.slow
def test_a_samordningsnummer_becomes_a_personnummer_and_what_comes_under_either_is_one_persons(world: World) -> None:
    watching(world, (COORDINATED, SJP))
    sick(world, COORDINATED)
    world.night(NIGHTS[0])
    world.person(ANNA, former_personnummer=COORDINATED)
    sick(world, COORDINATED, version=2, extent=500)
    sick(world, ANNA, "D2", case_id="another case")
    world.night(NIGHTS[1])
    assert said(world) == {("SNAPSHOT", "CHANGE", ANNA, COORDINATED)}
    assert told(world, "BOLAGET")[ANNA, SJP]["D"]["extent_permille"] == 500
    world.lefi("retract", "--source-run", f"{SJP}/{NIGHTS[1]}", "--reason", "wrong extent")
    world.night(NIGHTS[2])
    assert {(r["action"], r["fact_id"]) for r in world.records("BOLAGET")} == {("CORRECTED", "D"), ("ANNULLED", "D2")}
    assert {r["personnummer"] for r in world.records("BOLAGET")} == {ANNA}
    a_full_refresh_changes_nothing(world, NIGHTS[3])


@pytest.mark.slow
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("together", [False, True])
def test_a_chain_of_three_numbers_is_one_person_in_any_order_of_its_links(world: World, order: tuple[int, int], together: bool) -> None:
    links = [{"personnummer": NEW_ANNA, "former_personnummer": ANNA}, {"personnummer": NEWEST_ANNA, "former_personnummer": NEW_ANNA}]
    watching(world, (ANNA, SJP))
    sick(world, ANNA)
    sick(world, NEW_ANNA, "D2", case_id="2")  # nobody knows yet whose it is
    sick(world, NEWEST_ANNA, "D3", case_id="3")
    world.waiting["PERSONS"] = [row for row in world.waiting["PERSONS"] if row["personnummer"] == ANNA]
    world.night(NIGHTS[0])
    assert world.told("BOLAGET", "fact_id") == ["D"]
    numbers_told = {ANNA}
    for place, which in enumerate(order):
        recorded = midday(NIGHTS[1]) + timedelta(days=which)  # the newest record is that of the newest number
        world.person(links[which]["personnummer"], former_personnummer=links[which]["former_personnummer"], recorded_at=recorded)
        if place == 0 and not together:
            world.night(NIGHTS[1])
            numbers_told |= {record["personnummer"] for record in world.records("BOLAGET")}
            everybody_knows(world)
    world.night(NIGHTS[2])
    assert {r["personnummer"] for r in world.records("BOLAGET")} == {NEWEST_ANNA}
    assert {r["former_personnummer"] for r in world.records("BOLAGET")} <= numbers_told
    assert told(world, "BOLAGET") == {(NEWEST_ANNA, SJP): told(world, "BOLAGET")[NEWEST_ANNA, SJP]}
    assert set(told(world, "BOLAGET")[NEWEST_ANNA, SJP]) == {"D", "D2", "D3"}
    a_full_refresh_changes_nothing(world, NIGHTS[3])


@pytest.mark.slow
def test_two_known_persons_become_one_with_their_facts_ledgers_and_subscriptions(world: World) -> None:
    watching(world, (LOW, SJP), (HIGH, SJP), (HIGH, FP), since="2024-01-01")
    watching(world, (MIDDLE, SJP), since="2024-05-05")
    watching(world, (HIGH, SJP), partner="KASSAN")
    for place, person in enumerate((LOW, MIDDLE, HIGH)):
        sick(world, person, f"D{place}", case_id=f"case {place}")
        world.payment(
            person, SJP, "same", "2024-05-01", "2024-05-03", f"{place + 1}00.00", case_id=f"case {place}", recorded_at=midday("2024-05-01")
        )
    sick(world, HIGH, "F", FP)
    world.night(NIGHTS[0])
    twin = world.twin()

    # Three become one in one night, HIGH the newest number. What was told under the others is named, or gets an EMPTY of its own.
    world.person(MIDDLE, former_personnummer=LOW, recorded_at=midday(NIGHTS[0]))
    world.person(HIGH, former_personnummer=MIDDLE, recorded_at=midday(NIGHTS[1]))
    world.night(NIGHTS[1])
    assert said(world) == {("SNAPSHOT", "CHANGE", HIGH, LOW), ("EMPTY", "CHANGE", MIDDLE, None)}
    assert sorted(world.told("KASSAN", "action", "personnummer", "fact_id")) == [("NEW", HIGH, "D0"), ("NEW", HIGH, "D1")]
    assert set(with_facts(world, "BOLAGET")) == {(HIGH, SJP), (HIGH, FP)}
    assert set(told(world, "BOLAGET")[HIGH, SJP]) == {"D0", "D1", "D2", "same"}
    everybody_knows(world)
    sick(world, LOW, "D0", case_id="case 0", version=2, extent=250)
    world.night(NIGHTS[2])
    assert said(world) == said(world, "KASSAN") == {("CORRECTED", "CHANGE", HIGH, None)}
    a_full_refresh_changes_nothing(world, NIGHTS[3])

    # The same in two nights comes to the same.
    twin.person(MIDDLE, former_personnummer=LOW, recorded_at=midday(NIGHTS[0]))
    twin.night(NIGHTS[1])
    assert said(twin) == {("SNAPSHOT", "CHANGE", MIDDLE, LOW)}
    everybody_knows(twin)
    twin.person(HIGH, former_personnummer=MIDDLE, recorded_at=midday(NIGHTS[1]))
    sick(twin, LOW, "D0", case_id="case 0", version=2, extent=250)
    twin.night(NIGHTS[2])
    a_full_refresh_changes_nothing(twin, NIGHTS[3])
    for partner in ("BOLAGET", "KASSAN"):
        assert with_facts(twin, partner) == with_facts(world, partner)


def with_facts(world: World, partner: str) -> dict[tuple[str, str], Any]:
    """What a partner knows, without the groups of which it knows that there is nothing."""
    return {group: facts for group, facts in told(world, partner).items() if facts}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other", "stays"),
    [
        ({"since": "2024-01-01"}, {"since": "2024-05-06"}, ("2024-01-01", None)),
        ({"since": "2024-05-06"}, {"since": "2024-01-01", "until": "2024-05-22"}, ("2024-01-01", "2024-05-22")),
        ({"since": "2024-01-01", "until": "2024-05-22"}, {"since": "2024-01-01"}, ("2024-01-01", None)),
        ({"since": "2024-01-01", "until": "2024-05-22"}, {"since": "2024-01-01", "until": "2024-05-23"}, ("2024-01-01", "2024-05-23")),
    ],
)
def test_of_the_subscriptions_of_two_who_become_one_the_contracts_choice_stays(
    world: World, one: dict[str, str], other: dict[str, str], stays: tuple[str, str | None]
) -> None:
    watching(world, (ANNA, SJP), **one)
    watching(world, (BO, SJP), **other)
    world.decision(ANNA, SJP, "early", "2024-05-01", "2024-05-03", case_id="1")
    world.decision(BO, SJP, "late", "2024-05-07", "2024-05-10", case_id="2")
    world.night(NIGHTS[0])
    world.person(BO, former_personnummer=ANNA)
    world.night(NIGHTS[1])
    subscriptions = past_of(world).subscriptions
    assert [(str(row["from_date"]), row["end_date"] and str(row["end_date"])) for row in subscriptions.values()] == [stays]
    everybody_knows(world)
    for version, today in enumerate(NIGHTS[2:4], 2):
        sick(world, BO, "late", case_id="2", version=version, extent=(500, 250)[version % 2])
        world.night(today)
        ended = stays[1] is not None and stays[1] <= today
        assert bool(world.told("BOLAGET")) == (not ended)


@pytest.mark.parametrize("ended", [ANNA, BO])
@pytest.mark.parametrize("when", ["ordered", "tonight"])
def test_what_was_told_to_a_subscription_that_has_ended_stays_forgotten_when_its_person_becomes_one_with_another(
    world: World, ended: str, when: str
) -> None:
    """R12, R15: the subscription of the other goes on, under a number that does not change, so no snapshot would mend it."""
    stays = BO if ended == ANNA else ANNA
    watching(world, (stays, SJP))
    watching(world, (ended, SJP), until=NIGHTS[2] if when == "tonight" else None)
    sick(world, ended)
    world.night(NIGHTS[0])
    if when == "ordered":
        world.end("BOLAGET", ended, SJP)
    world.night(NIGHTS[1])
    world.person(BO, former_personnummer=ANNA)
    world.night(NIGHTS[2])
    assert set(world.told("BOLAGET", "action", "fact_id")) == ({("NEW", "D")} if stays == BO else {("SNAPSHOT", "D")})
    everybody_knows(world)
    sick(world, BO, version=2, extent=500)
    world.night(NIGHTS[3])
    assert world.told("BOLAGET", "action", "fact_id") == [("CORRECTED", "D")]
    assert world.lefi("reconcile", "--json").json["differences"] == 0
    a_full_refresh_changes_nothing(world, NIGHTS[4])


@pytest.mark.slow
@pytest.mark.parametrize("rebuilt", [False, True])
def test_what_the_snapshot_of_the_night_of_a_merge_left_out_is_told_anew_when_it_is_there_again(world: World, rebuilt: bool) -> None:
    watching(world, (ANNA, SJP))
    sick(world, ANNA, "A")
    sick(world, ANNA, "B")
    world.night(NIGHTS[0])
    world.person(ANNA, former_personnummer=BO, protected=True)
    sick(world, ANNA, "A", version=2, withdrawn=True)
    world.night(NIGHTS[1])
    assert world.told("BOLAGET", "action", "trigger", "fact_id") == [("SNAPSHOT", "CHANGE", "B")]
    if rebuilt:
        for name in ("told", "facts"):
            shutil.rmtree(world.root / "store" / name)
        world.lefi("rebuild")
    sick(world, ANNA, "A", version=3)
    world.night(NIGHTS[2])
    assert world.told("BOLAGET", "action", "trigger", "fact_id") == [("NEW", "CHANGE", "A")]
    everybody_knows(world)
    assert world.lefi("reconcile", "--json").json["differences"] == 0


def test_the_protected_flag_is_told_when_it_changes_and_waits_out_a_freeze(world: World) -> None:
    watching(world, (ANNA, SJP), (BO, SJP), (BO, FP))
    sick(world, ANNA)
    sick(world, BO)
    world.night(NIGHTS[0])
    rejected(world, BO)
    for person in (ANNA, BO):
        world.person(person, protected=True)
    world.night(NIGHTS[1])
    flags = {(r["action"], r["personnummer"], r["benefit"], r["protected"]) for r in world.records("BOLAGET")}
    assert flags == {("SNAPSHOT", ANNA, SJP, True), ("DEVIATION", BO, SJP, True), ("EMPTY", BO, FP, True)}
    world.person(ANNA, protected=True)  # nothing new
    world.night(NIGHTS[2])
    assert world.told("BOLAGET") == []
    for person in (ANNA, BO):
        world.person(person, protected=False)
    world.night(NIGHTS[3], 0, [FP])
    assert {(r["action"], r["personnummer"], r["benefit"], r["protected"]) for r in world.records("BOLAGET")} == {
        ("SNAPSHOT", ANNA, SJP, False)
    }
    sick(world, BO, "bad")
    world.night(NIGHTS[4])
    assert {(r["action"], r["trigger"], r["benefit"], r["protected"]) for r in world.records("BOLAGET")} == {
        ("SNAPSHOT", "HEAL", SJP, False),
        ("EMPTY", "CHANGE", FP, False),
    }
    a_full_refresh_changes_nothing(world, NIGHTS[5])


@pytest.mark.slow
def test_an_older_record_of_the_register_changes_neither_number_nor_flag(world: World) -> None:
    watching(world, (ANNA, SJP))
    sick(world, ANNA)
    world.person(NEW_ANNA, former_personnummer=ANNA, recorded_at=midday("2024-05-10"))
    world.night(NIGHTS[0])
    world.person(ANNA, protected=True, recorded_at=midday("2024-05-01"))
    world.person(NEWEST_ANNA, former_personnummer=ANNA, recorded_at=midday("2024-05-02"))
    world.payment(NEWEST_ANNA, SJP, "P", "2024-05-01", "2024-05-02")
    world.night(NIGHTS[1])
    assert said(world) == {("NEW", "CHANGE", NEW_ANNA, None)}
    a_full_refresh_changes_nothing(world, NIGHTS[2])


@pytest.mark.slow
def test_freezes_follow_the_person_through_changes_of_number(world: World) -> None:
    watching(world, (ANNA, SJP), (BO, SJP), (CIA, SJP))
    for person in (ANNA, BO, CIA):
        sick(world, person, f"D{person == BO}", case_id=f"{person == BO}")
    world.night(NIGHTS[0])
    rejected(world, ANNA)
    rejected(world, NEWEST_ANNA)  # a number that nobody has yet
    world.night(NIGHTS[1])
    assert said(world) == {("DEVIATION", "CHANGE", ANNA, None)}

    # Frozen, she gets a new number: nothing is said until the freeze has ended. CIA's new number brings a freeze with it.
    world.person(NEW_ANNA, former_personnummer=ANNA)
    world.person(NEWEST_ANNA, former_personnummer=CIA)
    world.night(NIGHTS[2])
    assert said(world) == {("DEVIATION", "CHANGE", NEWEST_ANNA, None)}
    everybody_knows(world)
    sick(world, NEW_ANNA, "bad", case_id="bad")
    world.night(NIGHTS[3])
    assert said(world) == {("SNAPSHOT", "HEAL", NEW_ANNA, ANNA)}
    quarantined = world.lefi("status", "--json").json["quarantine"]
    assert len(quarantined) == 1
    world.lefi("release", quarantined[0]["id"], "--reason", "a test")
    world.night(NIGHTS[4])
    assert said(world) == {("SNAPSHOT", "HEAL", NEWEST_ANNA, CIA)}
    everybody_knows(world)

    # Two become one while one of them is frozen: nothing is told of either until that ends, and then of both.
    rejected(world, BO, fact_id="worse")
    world.night(NIGHTS[5])
    world.person(BO, former_personnummer=NEW_ANNA)
    sick(world, BO, "more", case_id="more")
    world.night(NIGHTS[6])
    assert world.told("BOLAGET") == []
    everybody_knows(world)
    sick(world, NEW_ANNA, "worse", case_id="worse")
    world.night(NIGHTS[7])
    assert said(world) == {("SNAPSHOT", "HEAL", BO, NEW_ANNA)}
    a_full_refresh_changes_nothing(world, NIGHTS[8])


@pytest.mark.slow
def test_a_rejected_record_of_somebody_who_has_moved_is_listed_once_and_not_when_it_is_cured(tmp_path: Path) -> None:
    world = World(tmp_path / "ws", buckets=4)
    places = buckets_of(numbers(40), 4)
    near, far = (next(person for person, place in places.items() if place == wanted) for wanted in (0, 3))
    watching(world, (near, SJP), (far, SJP))
    rejected(world, far, source_run="one bad record")
    world.night(NIGHTS[0])
    world.person(far, former_personnummer=near)
    world.night(NIGHTS[1])
    assert len(world.lefi("status", "--json").json["quarantine"]) == 1
    world.lefi("compact", "--all")
    assert world.twin().lefi("retract", "--source-run", "one bad record", "--reason", "a test", "--json").json["records"] == 1
    sick(world, far, "bad", version=2)
    world.night(NIGHTS[2])
    status = world.lefi("status", "--json").json
    assert (status["quarantine"], status["next"]) == ([], f"the next night: lefi nightly {world.root} --business-date {NIGHTS[3]}")


@pytest.mark.slow
def test_a_wrong_register_record_is_counted_and_changes_nothing(world: World) -> None:
    watching(world, (ANNA, SJP), (BO, SJP))
    for person in (ANNA, BO):
        sick(world, person)
    world.night(NIGHTS[0])
    wrong = BO[:-1] + str((int(BO[-1]) + 1) % 10)
    for row in ({"personnummer": ANNA, "former_personnummer": ANNA}, {"personnummer": wrong, "former_personnummer": ANNA}):
        world.say("PERSONS", {"protected": True, "birth_date": date(1990, 1, 1)} | row)
    world.say("PERSONS", {"personnummer": ANNA, "former_personnummer": wrong, "protected": True, "birth_date": date(1990, 1, 1)})
    world.payment(BO, SJP, "P", "2024-05-01", "2024-05-02")
    world.night(NIGHTS[1])
    assert said(world) == {("NEW", "CHANGE", BO, None)}
    assert world.report()["rejected"] == {world.folder("persons", NIGHTS[1]).name: {"INVALID_PERSONNUMMER": 3}}
    everybody_knows(world)


@pytest.mark.slow
def test_numbers_wait_with_the_register_and_benefits_with_their_chain(world: World) -> None:
    watching(world, (ANNA, SJP), (ANNA, FP), (BO, SJP))
    for benefit in (SJP, FP):
        sick(world, ANNA, benefit=benefit)
    sick(world, BO, "B", case_id="B")
    world.night(NIGHTS[0])
    world.person(NEW_ANNA, former_personnummer=ANNA)
    world.payment(NEW_ANNA, SJP, "P", "2024-05-01", "2024-05-02")  # of somebody whom nobody knows, as the register is late
    world.night(NIGHTS[1], 0, ["PERSONS"])
    assert (world.told("BOLAGET"), world.withheld("BOLAGET")) == ([], {"PERSONS": "NO_DROP"})
    world.person(BO, former_personnummer=NEW_ANNA)
    world.night(NIGHTS[2], 0, [SJP])  # the register is back; SJP is missing now
    assert said(world) == {("SNAPSHOT", "CHANGE", BO, ANNA)}
    assert {r["benefit"] for r in world.records("BOLAGET")} == {FP}
    everybody_knows(world)
    world.night(NIGHTS[3])
    assert {(r["action"], r["former_personnummer"], r["benefit"]) for r in world.records("BOLAGET")} == {("SNAPSHOT", ANNA, SJP)}
    assert set(told(world, "BOLAGET")[BO, SJP]) == {"D", "P", "B"}
    a_full_refresh_changes_nothing(world, NIGHTS[4])


@pytest.mark.slow
@pytest.mark.parametrize("place", ["stage", "commit.after", "publish:2", "settle.facts.before", "settle.subscriptions.after"])
def test_a_night_killed_while_persons_become_one_ends_with_the_bytes_of_its_twin(world: World, place: str) -> None:
    watching(world, (ANNA, SJP), (BO, SJP))
    watching(world, (BO, SJP), partner="KASSAN")
    for person in (ANNA, BO):
        sick(world, person, f"D of {person == BO}", case_id=f"{person == BO}")
    world.night(NIGHTS[0])
    world.person(ANNA, former_personnummer=BO)
    world.drops(NIGHTS[1])
    twin = world.twin()
    twin.night(NIGHTS[1])
    world.killed_night(NIGHTS[1], place)
    world.night(NIGHTS[1])
    assert world.outbox() == twin.outbox()
    assert world.lefi("reconcile", "--json").json["differences"] == 0
    a_full_refresh_changes_nothing(world, NIGHTS[2])


# Any story


def lives(world: World, dice: random.Random) -> Iterator[tuple[str, list[str]]]:
    """Business dates, each with the chains that do not come; what happens to six numbers before each is said to the world."""
    people = [ANNA, BO, CIA, DAN, NEW_ANNA, COORDINATED]
    facts: dict[tuple[str, str], int] = {}
    for partner in ("BOLAGET", "KASSAN"):
        world.partner(partner, SJP, FP, refresh_persons_per_night=2)
    for place, today in enumerate(NIGHTS[:6]):
        for _ in range(dice.randint(2, 7)):
            person, benefit = dice.choice(people), dice.choice([SJP, SJP, FP])
            happening: Row = {
                "fact": 6,
                "payment": 3,
                "bad": 1,
                "link": 2,
                "flag": 1,
                "subscribe": 6 if place < 2 else 2,
                "end": 1,
                "refresh": 1,
            }
            match dice.choices(list(happening), list(happening.values()))[0]:
                case "fact":
                    fact_id = dice.choice(["A", "B", "C"])
                    facts[benefit, fact_id] = version = facts.get((benefit, fact_id), 0) + 1
                    first = date(2024, 5, dice.randint(1, 6))
                    spans = [span(str(first), str(first + timedelta(days=3)), dice.choice([1000, 500]))]
                    withdrawn = dice.random() < 0.2
                    world.decision(person, benefit, fact_id, first, "2024-05-10", version=version, withdrawn=withdrawn, spans=spans)
                case "payment":
                    facts[benefit, "P"] = version = facts.get((benefit, "P"), 0) + 1
                    world.payment(person, benefit, "P", "2024-05-02", "2024-05-08", version=version)
                case "bad":
                    rejected(world, person, benefit, dice.choice(["A", "P"]), facts.get((benefit, "A"), 0) + 1)
                case "link":
                    other = dice.choice([each for each in people if each != person])
                    world.person(person, former_personnummer=other, protected=dice.random() < 0.2)
                case "flag":
                    world.person(person, protected=dice.random() < 0.5)
                case "subscribe":
                    since = dice.choice(["2024-01-01", "2024-05-09", "2024-05-11"])
                    world.subscribe(dice.choice(["BOLAGET", "KASSAN"]), person, benefit, since=since)
                case "end":
                    world.end(dice.choice(["BOLAGET", "KASSAN"]), person, benefit)
                case _:
                    world.refresh("BOLAGET", dice.choice([person, None]))
        yield today, dice.choices([[], [SJP], [FP], ["PERSONS"]], [8, 1, 1, 1])[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_to_some_numbers_everybody_knows_what_there_is(world: World, seed: int) -> None:
    for today, but in lives(world, random.Random(seed)):
        world.night(today, 0, but)
        everybody_knows(world)
    world.night(NIGHTS[6])
    assert world.lefi("reconcile", "--json").json["differences"] == 0
    for partner in ("BOLAGET", "KASSAN"):
        world.partner(partner, SJP, FP)
    a_full_refresh_changes_nothing(world, NIGHTS[7])
