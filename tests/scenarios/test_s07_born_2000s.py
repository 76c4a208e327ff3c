"""S07 (2021-02): persons born after 1999 never got SJP. Safe in every century; refresh by birth date; heal delivers just what is missing."""

from typing import Any

import polars as pl
import pytest

import pipelines.view
from tests.kit import ANNA, CIA, World, number
from tests.scenarios.entitled import a_full_refresh_changes_nothing, everybody_knows, told

LAST, FIRST = number("1999-12-31"), number("2000-01-01")  # of the old century and of the new one
COORDINATED = number("2003-05-61")  # a samordningsnummer
LATE = number("1999-12-30", 981)  # the numbers of her birthday had run out: the register says that she was born two days later
GRANDPARENT, GRANDCHILD = "190905279808", "200905279808"  # ten digits of theirs are the same
OLD, YOUNG = (ANNA, LAST, LATE, GRANDPARENT), (FIRST, CIA, COORDINATED, GRANDCHILD)
PARTNERS = ("BOLAGET", "KASSAN", "FACKET")
EVERYBODY = (*OLD, *YOUNG)


def tell_only_the_old_century(patch: pytest.MonkeyPatch) -> None:
    """A release that finds nothing of SJP under a number that does not begin with 19."""
    compare = pipelines.view.compare

    def blind(groups: pl.DataFrame, named: pl.DataFrame, contents: pl.DataFrame, *others: Any) -> Any:
        seen = contents.filter((pl.col("benefit") != "FK:SJP") | pl.col("person").str.starts_with("19"))
        return compare(groups, named, seen, *others)

    patch.setattr(pipelines.view, "compare", blind)


def population(world: World, *partners: str) -> None:
    """Everybody is watched by every partner for SJP and FP, and has a decision on each."""
    for person in EVERYBODY:
        world.person(person, **({"birth_date": "2000-01-01"} if person == LATE else {}))
        for benefit in ("FK:SJP", "FK:FP"):
            world.decision(person, benefit, "D", "2024-05-01", "2024-05-10")
    for partner in partners:
        world.partner(partner, "FK:SJP", "FK:FP")
        for person in EVERYBODY:
            for benefit in ("FK:SJP", "FK:FP"):
                world.subscribe(partner, person, benefit)


def test_a_century_is_told_from_another_and_a_refresh_by_birth_date_follows_the_register(world: World) -> None:
    population(world, "BOLAGET")
    world.payment(GRANDCHILD, "FK:SJP", "P", "2024-05-01", "2024-05-05")
    world.night("2024-05-20")
    assert {person for person, benefit in told(world, "BOLAGET") if benefit == "FK:SJP"} == set(EVERYBODY)
    assert told(world, "BOLAGET")[GRANDPARENT, "FK:SJP"].keys() == {"D"}
    assert told(world, "BOLAGET")[GRANDCHILD, "FK:SJP"].keys() == {"D", "P"}
    everybody_knows(world)

    world.refresh("BOLAGET", benefit="FK:SJP", born_from="2000-01-01")
    world.night("2024-05-21")
    assert {*world.told("BOLAGET", "action", "trigger", "personnummer", "benefit")} == {
        ("SNAPSHOT", "REFRESH", person, "FK:SJP") for person in (LATE, *YOUNG)
    }
    everybody_knows(world)


@pytest.mark.slow
def test_what_a_release_never_told_of_the_young_is_found_and_healed_and_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    population(world, *PARTNERS)
    with monkeypatch.context() as patch:
        tell_only_the_old_century(patch)
        world.night("2024-05-20")
        for person in EVERYBODY:
            world.payment(person, "FK:SJP", "P", "2024-05-01", "2024-05-10")
        world.night("2024-05-21")
    for partner in PARTNERS:
        known = told(world, partner)
        assert {person for person in EVERYBODY if not known[person, "FK:SJP"]} == set(YOUNG), "the fault of 2021"
        assert {len(known[person, "FK:FP"]) for person in EVERYBODY} == {1}

    # The release is mended. Whom something touches is told all that was missing; the others wait for the heal, or for a partner's refresh.
    world.payment(FIRST, "FK:SJP", "P2", "2024-05-08", "2024-05-10")
    world.night("2024-05-22")
    for partner in PARTNERS:
        assert sorted(world.told(partner, "action", "trigger", "personnummer", "fact_id")) == [
            ("NEW", "CHANGE", FIRST, fact_id) for fact_id in ("D", "P", "P2")
        ]
    missing = sorted(("NEW", "HEAL", person, fact_id) for person in YOUNG if person != FIRST for fact_id in ("D", "P"))
    for partner in ("BOLAGET", "KASSAN"):
        found = world.lefi("reconcile", "--partner", partner, "--heal", "--json").json
        assert (found["differences"], found["persons"]) == (len(missing), 3)
        assert [(each["partner"], each["benefit"], each["what"]) for each in found["by"]] == [(partner, "FK:SJP", "NEW")]
    world.refresh("FACKET", benefit="FK:SJP", born_from="2000-01-01", born_to="2009-12-31")
    world.night("2024-05-23")
    for partner in ("BOLAGET", "KASSAN"):
        assert sorted(world.told(partner, "action", "trigger", "personnummer", "fact_id")) == missing
    assert {*world.told("FACKET", "action", "trigger", "personnummer")} == {("SNAPSHOT", "REFRESH", person) for person in (LATE, *YOUNG)}
    a_full_refresh_changes_nothing(world, "2024-05-24")
