"""R16, R17 through whole nights: refreshes by order and by command, in slices under a throttle, while everything else goes on."""

from pathlib import Path
from typing import Any

import pytest

from tests.kit import ANNA, World, avro_rows, number, numbers
from tests.scenarios.entitled import a_full_refresh_changes_nothing, buckets_of, everybody_knows, told

SJP, FP = "FK:SJP", "FK:FP"
NIGHTS = [f"2024-05-{day}" for day in range(20, 31)]
Group = tuple[str, str]  # personnummer, benefit


def in_turn(world: World, people: list[str]) -> list[str]:
    """People as the queue takes them: by bucket, then by number."""
    places = buckets_of(people, world.buckets)
    return sorted(people, key=lambda person: (places[person], person))


def watched(world: World, partner: str, people: list[str], *benefits: str, **settings: Any) -> None:
    """A partner that watches people for benefits of which each has a decision."""
    world.partner(partner, SJP, FP, **settings)
    for person in people:
        for benefit in benefits:
            world.subscribe(partner, person, benefit)


def decided(world: World, people: list[str], *benefits: str) -> None:
    """A decision on each benefit for everybody."""
    for person in people:
        for benefit in benefits:
            world.decision(person, benefit, "D", "2024-05-01", "2024-05-10")


def refreshed(world: World, partner: str) -> set[Group]:
    """The groups that got a snapshot because of a refresh tonight."""
    rows = {(r["personnummer"], r["benefit"]) for r in world.records(partner) if r["trigger"] == "REFRESH"}
    assert {r["action"] for r in world.records(partner) if r["trigger"] == "REFRESH"} <= {"SNAPSHOT", "EMPTY"}
    return rows


def named(world: World, partner: str) -> list[tuple[str, int, int, int]]:
    """What the manifest says about refreshes."""
    return [(each["order_id"], each["line_no"], each["slice"], each["of"]) for each in world.manifest(partner)["refreshes"]]


def progress(world: World) -> dict[tuple[str, int], tuple[int, int, int]]:
    """Of each refresh that is not over, as status lists it: groups, waiting, slices."""
    listed = world.lefi("status", "--json").json["refreshes"]
    return {(each["order_id"], each["line_no"]): (each["groups"], each["waiting"], each["slices"]) for each in listed}


def test_an_order_is_worked_off_in_slices_and_changes_go_on_beside_it(world: World) -> None:
    people = in_turn(world, numbers(5))
    watched(world, "BOLAGET", people, SJP, FP, refresh_persons_per_night=2)
    watched(world, "KASSAN", people, SJP)
    decided(world, people, SJP, FP)
    world.night(NIGHTS[0])

    world.refresh("BOLAGET")
    world.refresh("KASSAN", benefit=SJP)
    for person in (people[0], people[4]):
        world.payment(person, SJP, "P", "2024-05-01", "2024-05-04")
    world.night(NIGHTS[1])
    receipt = avro_rows(world.deliveries("BOLAGET")[-1] / "receipts.avro")[0]
    assert (receipt["code"], str(receipt["effective_on"])) == ("ACCEPTED", NIGHTS[1])
    assert refreshed(world, "BOLAGET") == {(person, benefit) for person in people[:2] for benefit in (SJP, FP)}
    assert named(world, "BOLAGET") == [(f"BOLAGET-{NIGHTS[1]}", 1, 1, 3)]
    assert progress(world) == {(f"BOLAGET-{NIGHTS[1]}", 1): (10, 6, 1)}
    assert told(world, "BOLAGET")[people[0], SJP].keys() == {"D", "P"}, "a slice shows the state of its own night"
    assert [r for r in world.told("BOLAGET", "action", "trigger", "personnummer") if r[1] != "REFRESH"] == [("NEW", "CHANGE", people[4])]
    assert refreshed(world, "KASSAN") == {(person, SJP) for person in people}, "the throttle is each partner's own"
    assert named(world, "KASSAN") == [(f"KASSAN-{NIGHTS[1]}", 1, 1, 1)]
    everybody_knows(world)

    world.decision(people[2], SJP, "D", "2024-05-01", "2024-05-08", version=2)
    world.night(NIGHTS[2])
    assert refreshed(world, "BOLAGET") == {(person, benefit) for person in people[2:4] for benefit in (SJP, FP)}
    assert {r[:3] for r in world.told("BOLAGET", "action", "trigger", "personnummer", "version")} == {
        ("SNAPSHOT", "REFRESH", person) for person in people[2:4]
    }
    assert named(world, "BOLAGET") == [(f"BOLAGET-{NIGHTS[1]}", 1, 2, 3)]
    world.night(NIGHTS[3])
    assert refreshed(world, "BOLAGET") == {(people[4], SJP), (people[4], FP)}
    assert named(world, "BOLAGET") == [(f"BOLAGET-{NIGHTS[1]}", 1, 3, 3)]
    assert progress(world) == {}
    world.night(NIGHTS[4])
    assert (world.told("BOLAGET"), named(world, "BOLAGET")) == ([], [])
    everybody_knows(world)


@pytest.mark.slow
def test_first_come_first_served_and_what_a_refresh_leaves_of_a_night_the_next_one_uses(world: World) -> None:
    people = in_turn(world, numbers(6))
    watched(world, "BOLAGET", people, SJP, FP, refresh_persons_per_night=3)
    decided(world, people, SJP, FP)
    world.night(NIGHTS[0])
    world.refresh("BOLAGET", people[5], FP)  # line 1
    world.refresh("BOLAGET", benefit=SJP)  # line 2: six persons
    world.refresh("BOLAGET", people[0])  # line 3: of the two groups one is in line 2
    world.night(NIGHTS[1])
    order = f"BOLAGET-{NIGHTS[1]}"
    # Line 1 takes a person; of her line 2 is told, too, as she counts once. Line 3 is behind what line 2 could not do.
    assert refreshed(world, "BOLAGET") == {(people[5], FP), (people[5], SJP), (people[0], SJP), (people[1], SJP)}
    assert named(world, "BOLAGET") == [(order, 1, 1, 1), (order, 2, 1, 2)]
    world.night(NIGHTS[2])
    assert refreshed(world, "BOLAGET") == {(person, SJP) for person in people[2:5]}
    assert named(world, "BOLAGET") == [(order, 2, 2, 2)]
    world.night(NIGHTS[3])
    assert refreshed(world, "BOLAGET") == {(people[0], FP)}
    assert named(world, "BOLAGET") == [(order, 3, 1, 1)]
    everybody_knows(world)


@pytest.mark.slow
def test_a_command_goes_before_the_orders_of_the_next_night_and_is_fixed_when_it_is_given(world: World) -> None:
    people = in_turn(world, numbers(6))
    watched(world, "BOLAGET", people[:4], SJP, refresh_persons_per_night=2)
    decided(world, people, SJP)
    world.night(NIGHTS[0])
    given = world.lefi("refresh", "--partner", "BOLAGET", "--benefit", SJP, "--json").json
    assert (given["persons"], given["order_id"]) == (4, "refresh-000001")
    assert world.lefi("refresh", "--partner", "BOLAGET", "--benefit", SJP, "--json").json["order_id"] == "refresh-000001", (
        "the same once more"
    )
    assert progress(world) == {("refresh-000001", 1): (4, 4, 0)}

    world.refresh("BOLAGET", benefit=SJP)
    for person in people[4:]:
        world.subscribe("BOLAGET", person, SJP)
    world.end("BOLAGET", people[1], SJP)
    world.night(NIGHTS[1])
    assert refreshed(world, "BOLAGET") == {(people[0], SJP), (people[2], SJP)}, "who has ended takes nobody's place"
    assert named(world, "BOLAGET") == [("refresh-000001", 1, 1, 2)]
    assert {r for r in world.told("BOLAGET", "trigger", "personnummer") if r[0] == "INITIAL"} == {("INITIAL", p) for p in people[4:]}
    world.night(NIGHTS[2])
    assert refreshed(world, "BOLAGET") == {(people[3], SJP)}, "those who are new had their first delivery"
    assert named(world, "BOLAGET") == [("refresh-000001", 1, 2, 2), (f"BOLAGET-{NIGHTS[1]}", 1, 1, 1)], "both had asked for her"
    world.night(NIGHTS[3])
    assert (refreshed(world, "BOLAGET"), progress(world)) == (set(), {})
    everybody_knows(world)


@pytest.mark.slow
def test_a_refresh_by_number_and_by_birth_date_and_one_that_matches_nothing(world: World) -> None:
    young, old, nobody = number("2001-03-01"), number("1960-03-01"), number("1970-03-01")
    watched(world, "BOLAGET", [young, old], SJP, FP)
    decided(world, [young, old], SJP)
    world.person(nobody)
    world.night(NIGHTS[0])
    for wish in (["--benefit", "FK:XYZ"], ["--born-from", "2010-01-01"], ["--person", nobody]):
        world.lefi("refresh", "--partner", "BOLAGET", *wish, code=3)
    world.lefi("refresh", "--partner", "NOBODY", code=3)
    world.lefi("refresh", "--partner", "BOLAGET", "--born-from", "2010-01-01", "--born-to", "2009-01-01", code=2)
    world.lefi("refresh", "--partner", "BOLAGET", "--born-from", "2001-03-01", "--born-to", "2001-03-01", "--benefit", SJP)
    asked = world.process("refresh", "--partner", "BOLAGET", "--person", "-", "--json", code=None)
    assert asked.code != 0, "nothing was typed in"
    world.refresh("BOLAGET", born_to="2001-02-28")
    world.refresh("BOLAGET", nobody)
    world.night(NIGHTS[1])
    assert refreshed(world, "BOLAGET") == {(young, SJP), (old, SJP), (old, FP)}
    assert {r["action"] for r in world.records("BOLAGET") if r["benefit"] == FP} == {"EMPTY"}
    assert world.receipts("BOLAGET") == ["ACCEPTED", "NO_SUBSCRIPTION"]
    everybody_knows(world)


@pytest.mark.slow
def test_the_same_words_again_are_the_same_refresh_and_other_words_another(world: World) -> None:
    watched(world, "BOLAGET", [ANNA], SJP)
    decided(world, [ANNA], SJP)
    world.night(NIGHTS[0])

    def asked(*wish: str) -> str:
        return str(world.lefi("refresh", "--partner", "BOLAGET", *wish, "--json").json["order_id"])

    wishes: tuple[tuple[str, ...], ...] = ((), ("--benefit", SJP), ("--born-from", "1980-01-01"), ("--person", ANNA))
    first = [asked(*wish) for wish in wishes]
    assert len(set(first)) == len(wishes)
    assert [asked(*wish) for wish in wishes] == first
    assert [each["order_id"] for each in world.lefi("status", "--json").json["refreshes"]] == first
    world.night(NIGHTS[1])
    assert refreshed(world, "BOLAGET") == {(ANNA, SJP)}


def test_ends_first_deliveries_freezes_and_withheld_benefits_while_a_refresh_is_under_way(world: World) -> None:
    people = in_turn(world, numbers(8))
    watched(world, "BOLAGET", people[:7], SJP, FP, refresh_persons_per_night=2)
    decided(world, people, SJP, FP)
    world.night(NIGHTS[0])
    world.refresh("BOLAGET", benefit=SJP)
    world.refresh("BOLAGET", benefit=FP)
    world.night(NIGHTS[1])
    order = f"BOLAGET-{NIGHTS[1]}"
    assert refreshed(world, "BOLAGET") == {(person, SJP) for person in people[:2]}
    assert named(world, "BOLAGET") == [(order, 1, 1, 4)]

    # SJP is withheld: its groups keep their places, and the room is used for FP. Of FP one is frozen, one has ended, one is moved back.
    world.fact(FP, people[0], "bad", period_from="2024-05-05", period_to="2024-05-01")
    world.end("BOLAGET", people[1], FP)
    world.subscribe("BOLAGET", people[2], FP, since="2023-01-01")
    world.subscribe("BOLAGET", people[7], FP)
    world.night(NIGHTS[2], 0, [SJP])
    assert refreshed(world, "BOLAGET") == {(people[3], FP), (people[4], FP)}
    others = {(r["action"], r["trigger"], r["personnummer"]) for r in world.records("BOLAGET") if r["trigger"] != "REFRESH"}
    assert others == {
        ("DEVIATION", "CHANGE", people[0]),
        ("SNAPSHOT", "INITIAL", people[2]),
        ("SNAPSHOT", "INITIAL", people[7]),
    }
    assert named(world, "BOLAGET") == [(order, 2, 1, 2)]
    assert progress(world) == {(order, 1): (7, 5, 1), (order, 2): (7, 2, 1)}

    # SJP is back: what has waited longest goes first. A member ends; another changes and is told so without waiting.
    world.end("BOLAGET", people[2], SJP)
    world.payment(people[6], SJP, "P", "2024-05-01", "2024-05-02")
    world.night(NIGHTS[3])
    assert refreshed(world, "BOLAGET") == {(people[3], SJP), (people[4], SJP)}
    assert {(r["action"], r["personnummer"]) for r in world.records("BOLAGET") if r["trigger"] == "CHANGE"} == {("NEW", people[6])}
    assert named(world, "BOLAGET") == [(order, 1, 2, 3)]

    # The freeze ends: a snapshot that no refresh has asked for.
    world.decision(people[0], FP, "bad", "2024-05-01", "2024-05-05")
    world.night(NIGHTS[4])
    assert refreshed(world, "BOLAGET") == {(person, benefit) for person in people[5:7] for benefit in (SJP, FP)}, "a person counts once"
    assert {(r["trigger"], r["personnummer"]) for r in world.records("BOLAGET") if r["trigger"] != "REFRESH"} == {("HEAL", people[0])}
    assert named(world, "BOLAGET") == [(order, 1, 3, 3), (order, 2, 2, 2)]
    assert (people[1], FP) not in refreshed(world, "BOLAGET")
    world.night(NIGHTS[5])
    assert (world.told("BOLAGET"), progress(world)) == ([], {})
    everybody_knows(world)
    world.partner("BOLAGET", SJP, FP)
    a_full_refresh_changes_nothing(world, NIGHTS[6])


@pytest.mark.slow
def test_orders_wait_while_persons_are_withheld_and_the_refreshes_that_were_accepted_do_not(world: World) -> None:
    people = in_turn(world, numbers(4))
    watched(world, "BOLAGET", people, SJP, refresh_persons_per_night=2)
    decided(world, people, SJP)
    world.night(NIGHTS[0])
    world.refresh("BOLAGET", benefit=SJP)
    world.night(NIGHTS[1])
    world.refresh("BOLAGET", people[0])
    world.night(NIGHTS[2], 0, ["PERSONS"])
    assert (world.receipts("BOLAGET"), refreshed(world, "BOLAGET")) == ([], {(person, SJP) for person in people[2:]})
    world.night(NIGHTS[3])
    assert (world.receipts("BOLAGET"), refreshed(world, "BOLAGET")) == (["ACCEPTED"], {(people[0], SJP)})
    everybody_knows(world)


@pytest.mark.slow
def test_another_throttle_holds_from_the_next_night_on(world: World) -> None:
    people = in_turn(world, numbers(7))
    watched(world, "BOLAGET", people, SJP, refresh_persons_per_night=1)
    decided(world, people, SJP)
    world.night(NIGHTS[0])
    order = world.lefi("refresh", "--partner", "BOLAGET", "--json").json["order_id"]
    world.night(NIGHTS[1])
    assert named(world, "BOLAGET") == [(order, 1, 1, 7)]
    world.partner("BOLAGET", SJP, FP, refresh_persons_per_night=4)
    world.night(NIGHTS[2])
    assert (named(world, "BOLAGET"), refreshed(world, "BOLAGET")) == ([(order, 1, 2, 3)], {(person, SJP) for person in people[1:5]})
    world.partner("BOLAGET", FP)  # SJP is permitted no more
    world.night(NIGHTS[3])
    assert (named(world, "BOLAGET"), world.told("BOLAGET"), progress(world)) == ([], [], {})


@pytest.mark.slow
def test_who_changes_number_or_becomes_one_with_another_keeps_the_place_in_the_queue(world: World) -> None:
    people = in_turn(world, numbers(6))
    watched(world, "BOLAGET", people, SJP, refresh_persons_per_night=1)
    decided(world, people, SJP)
    world.night(NIGHTS[0])
    world.refresh("BOLAGET", benefit=SJP)
    world.night(NIGHTS[1])
    assert refreshed(world, "BOLAGET") == {(people[0], SJP)}
    renamed = number("1990-12-24")
    world.person(renamed, former_personnummer=people[1])  # told all anew tonight, so passed over
    world.person(people[3], former_personnummer=people[4])  # two that wait become one
    world.person(people[5], former_personnummer=people[0])  # one that waits becomes one with somebody who was served
    world.night(NIGHTS[2])
    assert {(r["trigger"], r["personnummer"]) for r in world.records("BOLAGET")} == {
        ("CHANGE", renamed),
        ("CHANGE", people[3]),
        ("CHANGE", people[5]),
        ("REFRESH", people[2]),
    }
    world.night(NIGHTS[3])
    assert (world.told("BOLAGET"), progress(world)) == ([], {})
    everybody_knows(world)
    world.partner("BOLAGET", SJP, FP)
    a_full_refresh_changes_nothing(world, NIGHTS[4])


def test_who_waits_keeps_the_place_though_the_other_had_one_that_was_closed(world: World) -> None:
    people = in_turn(world, numbers(40))
    first, second, ended, waits = people[0], people[1], people[2], people[-1]
    world.partner("BOLAGET", SJP, refresh_persons_per_night=1)
    for person in (first, second, ended, waits):
        world.subscribe("BOLAGET", person, SJP)
        world.decision(person, SJP, person, "2024-05-01", "2024-05-10")
    world.night(NIGHTS[0])
    world.refresh("BOLAGET")
    world.night(NIGHTS[1])
    world.end("BOLAGET", ended, SJP)
    world.night(NIGHTS[2])
    assert refreshed(world, "BOLAGET") == {(second, SJP)}
    assert list(progress(world).values()) == [(4, 1, 2)]
    world.person(waits, former_personnummer=ended)
    world.night(NIGHTS[3])
    assert refreshed(world, "BOLAGET") == {(waits, SJP)}
    assert [(slice_, of) for _, _, slice_, of in named(world, "BOLAGET")] == [(3, 3)]
    assert progress(world) == {}
    everybody_knows(world)


def test_a_refresh_of_a_subscription_that_ends_in_the_night_of_a_merge_is_not_of_the_others(world: World) -> None:
    ending, stays = in_turn(world, numbers(2))
    world.partner("BOLAGET", SJP)
    world.subscribe("BOLAGET", ending, SJP, until=NIGHTS[2])
    world.subscribe("BOLAGET", stays, SJP)
    for person in (ending, stays):
        world.decision(person, SJP, person, "2024-05-01", "2024-05-10")
    world.night(NIGHTS[0])
    world.lefi("refresh", "--partner", "BOLAGET", "--person", ending)
    world.person(stays, former_personnummer=ending)
    world.night(NIGHTS[2])
    assert (refreshed(world, "BOLAGET"), named(world, "BOLAGET"), progress(world)) == (set(), [], {})
    assert [row["personnummer"] for row in world.records("BOLAGET")] == [stays]  # the ended one's fact is new to the other subscription
    everybody_knows(world)


def test_a_refresh_whose_last_persons_were_erased_is_over(world: World, tmp_path: Path) -> None:
    people = in_turn(world, numbers(2))
    watched(world, "BOLAGET", people, SJP, refresh_persons_per_night=1)
    decided(world, people, SJP)
    world.night(NIGHTS[0])
    world.refresh("BOLAGET")
    world.night(NIGHTS[1])
    assert list(progress(world).values()) == [(2, 1, 1)]
    whom = tmp_path / "whom"
    whom.write_text(f"{people[1]}\n", "utf-8")
    world.lefi("erase", "--person", str(whom), "--end-subscriptions")
    world.night(NIGHTS[2])
    assert (progress(world), named(world, "BOLAGET")) == ({}, [])


@pytest.mark.slow
@pytest.mark.parametrize("place", ["stage", "commit.after", "settle.members.before", "settle.refreshes.after"])
def test_a_night_killed_in_a_slice_delivers_it_once(world: World, place: str) -> None:
    people = in_turn(world, numbers(4))
    watched(world, "BOLAGET", people, SJP, refresh_persons_per_night=2)
    decided(world, people, SJP)
    world.night(NIGHTS[0])
    world.refresh("BOLAGET", benefit=SJP)
    world.drops(NIGHTS[1])
    twin = world.twin()
    twin.night(NIGHTS[1])
    world.killed_night(NIGHTS[1], place)
    world.night(NIGHTS[1])
    for each in (twin, world):
        each.night(NIGHTS[2])
    assert world.outbox() == twin.outbox()
    assert refreshed(world, "BOLAGET") == {(person, SJP) for person in people[2:]}
    everybody_knows(world)
