"""R11: which register records count, and which numbers are one person."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contracts import PERSON
from tests.oracle import persons as oracle
from tests.transforms.facts import ANNA, BO, CIA, DAN, day
from transforms.link_persons import ALIASES, Linked, acceptable, alias_frame, link_persons, with_person

WRONG = ANNA[:-1] + str((int(ANNA[-1]) + 1) % 10)


def linked(*links: tuple[str, str], known: dict[str, str] | None = None) -> Linked:
    """After links (number, former number)."""
    frame = pl.DataFrame(links, schema={"personnummer": pl.String, "former_personnummer": pl.String}, orient="row")
    return link_persons(known or {}, frame)


@pytest.mark.parametrize(
    ("number", "former", "counts"),
    [
        (ANNA, None, True),
        (ANNA, BO, True),
        (ANNA, ANNA, False),
        (WRONG, None, False),
        (WRONG, BO, False),
        (ANNA, WRONG, False),
        (ANNA, "", False),
        ("", None, False),
    ],
)
def test_a_record_counts_when_its_numbers_are_valid_and_not_the_same(number: str, former: str | None, counts: bool) -> None:
    row: dict[str, Any] = {"personnummer": number, "former_personnummer": former, "birth_date": day("05-01"), "protected": False}
    frame = pl.DataFrame([dict.fromkeys(PERSON.fields) | row], schema=PERSON.frame)
    assert acceptable(frame).to_list() == [counts]
    assert oracle.counts(row) == counts


def test_a_new_number_is_an_alias_of_the_former_one() -> None:
    assert linked((BO, ANNA)) == Linked({BO: ANNA}, {BO: ANNA})


def test_a_chain_of_numbers_has_the_first_numbers_key_in_any_order_of_its_links() -> None:
    assert linked((BO, ANNA), (CIA, BO)).aliases == linked((CIA, BO), (BO, ANNA)).aliases == {BO: ANNA, CIA: ANNA}


def test_two_known_persons_become_one_with_all_their_numbers() -> None:
    result = linked((CIA, BO), known={BO: ANNA, DAN: CIA})
    assert result == Linked({BO: ANNA, CIA: ANNA, DAN: ANNA}, {CIA: ANNA})


def test_a_key_that_ceases_twice_in_a_night_moves_to_where_it_ends() -> None:
    assert linked((BO, ANNA), (ANNA, CIA)).moves == {ANNA: CIA, BO: CIA}


def test_a_link_that_says_nothing_new_moves_nobody() -> None:
    assert linked((BO, ANNA), (ANNA, BO), known={BO: ANNA}) == Linked({BO: ANNA}, {})
    assert linked(known={BO: ANNA}) == Linked({BO: ANNA}, {})


NUMBERS = [ANNA, BO, CIA, DAN, "5", "6", "7"]
LINK = st.tuples(st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)).filter(lambda link: link[0] != link[1])


@settings(max_examples=150, deadline=None)
@given(links=st.lists(LINK, max_size=9), cut=st.integers(0, 9))
def test_any_links_make_the_same_persons_in_one_night_or_two(links: list[tuple[str, str]], cut: int) -> None:
    whole = linked(*links)
    first = linked(*links[:cut])
    second = linked(*links[cut:], known=dict(first.aliases))
    keys = oracle.link({}, links)

    assert whole.aliases == second.aliases == {number: key for number, key in keys.items() if number != key}
    members: dict[str, set[str]] = {}
    for number, key in keys.items():
        members.setdefault(key, set()).add(number)
    assert {frozenset(numbers) for numbers in members.values()} == oracle.together(links)
    known = {number: first.aliases.get(number, number) for number in NUMBERS}
    moves = {known[number]: whole.aliases.get(number, number) for number in NUMBERS if known[number] != whole.aliases.get(number, number)}
    assert second.moves == moves
    assert not set(second.moves) & set(second.moves.values())


def test_records_get_the_key_of_their_number_in_the_order_in_which_they_stand() -> None:
    records = pl.DataFrame({"personnummer": [CIA, ANNA, BO, None], "at": [1, 2, 3, 4]})
    aliases = alias_frame({BO: ANNA})
    assert aliases.schema == ALIASES
    assert with_person(records, aliases)["person"].to_list() == [CIA, ANNA, ANNA, None]
    assert with_person(records, alias_frame({}))["person"].to_list() == [CIA, ANNA, BO, None]
    assert with_person(records, aliases).columns == with_person(records, alias_frame({})).columns


def test_a_million_records_keep_their_order_too() -> None:
    records = pl.DataFrame({"personnummer": [BO, CIA, ANNA] * 300_000})
    assert with_person(records, alias_frame({BO: ANNA, CIA: DAN}))["person"].equals(pl.Series("person", [ANNA, DAN, ANNA] * 300_000))


def test_aliases_come_by_number() -> None:
    assert alias_frame({DAN: CIA, BO: ANNA}).rows() == sorted([(BO, ANNA), (DAN, CIA)])
