"""R17: whose turn it is, and who need not wait any longer."""

from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.queue import take_turns
from transforms.queue_refreshes import QUEUE, choose_slice, settle_queue

SJP, FP = "FK:SJP", "FK:FP"
Member = tuple[int, str, str, str]  # refresh, partner, person, benefit
BUCKET = {"A": 1, "B": 0, "C": 1, "D": 0}
BUCKETS = 2


def queue(*members: Member, **states: str) -> pl.DataFrame:
    """Members that wait; states by person, READY where none is given."""
    rows = [
        (BUCKET[person], refresh, partner, person, benefit, states.get(person, "READY")) for refresh, partner, person, benefit in members
    ]
    return pl.DataFrame(rows, QUEUE, orient="row")


def chosen(waiting: pl.DataFrame, throttle: int, current: tuple[str, ...] = (SJP, FP), **throttles: int) -> list[Member]:
    """Tonight's slices; the throttle is P's, those of other partners have their names."""
    found = choose_slice(waiting, list(current), {"P": throttle, "Q": 9} | throttles, BUCKETS)
    assert found.schema == QUEUE
    return [member(row) for row in found.to_dicts()]


def settled(waiting: pl.DataFrame, throttle: int, current: tuple[str, ...] = (SJP, FP)) -> set[Member]:
    """Who waits no longer."""
    found = settle_queue(waiting, choose_slice(waiting, list(current), {"P": throttle, "Q": 9}, BUCKETS), list(current))
    rows = [member(row) for row in found.to_dicts()]
    assert found.schema == QUEUE
    assert len(rows) == len(set(rows))
    return set(rows)


def member(row: dict[str, Any]) -> Member:
    return row["refresh"], row["partner"], row["person"], row["benefit"]


def test_a_slice_is_taken_by_bucket_and_person_up_to_the_throttle() -> None:
    waiting = queue((1, "P", "A", SJP), (1, "P", "C", SJP), (1, "P", "D", SJP), (1, "P", "B", SJP))
    assert chosen(waiting, 3) == [(1, "P", "B", SJP), (1, "P", "D", SJP), (1, "P", "A", SJP)]
    assert chosen(waiting, 4) == [*chosen(waiting, 3), (1, "P", "C", SJP)]
    assert settled(waiting, 3) == set(chosen(waiting, 3))


def test_a_person_counts_once_with_all_benefits() -> None:
    waiting = queue((1, "P", "B", SJP), (1, "P", "B", FP), (1, "P", "D", FP))
    assert chosen(waiting, 1) == [(1, "P", "B", FP), (1, "P", "B", SJP)]


def test_the_room_that_a_refresh_leaves_goes_to_the_next_one() -> None:
    waiting = queue((2, "P", "B", SJP), (2, "P", "D", SJP), (1, "P", "A", SJP))
    assert chosen(waiting, 2) == [(1, "P", "A", SJP), (2, "P", "B", SJP)]


def test_nobody_overtakes_a_refresh_that_could_not_be_served_whole() -> None:
    waiting = queue((1, "P", "B", SJP), (1, "P", "D", SJP), (2, "P", "B", FP))
    assert chosen(waiting, 1) == [(1, "P", "B", SJP)]
    assert settled(waiting, 1) == {(1, "P", "B", SJP)}


def test_who_has_a_turn_is_not_served_for_a_refresh_behind_one_that_waits() -> None:
    waiting = queue((1, "P", "B", SJP), (1, "P", "D", SJP), (2, "P", "B", FP), (3, "P", "A", SJP))
    assert chosen(waiting, 1) == [(1, "P", "B", SJP)]


def test_who_has_a_turn_is_served_for_a_later_refresh_of_which_others_must_wait() -> None:
    waiting = queue((1, "P", "A", SJP), (2, "P", "B", SJP), (2, "P", "D", SJP), (2, "P", "A", FP))
    assert chosen(waiting, 2) == [(1, "P", "A", SJP), (2, "P", "B", SJP), (2, "P", "A", FP)]


def test_a_group_that_was_served_waits_in_no_other_refresh() -> None:
    waiting = queue((1, "P", "B", SJP), (1, "P", "D", SJP), (2, "P", "B", SJP), (3, "Q", "D", SJP))
    assert settled(waiting, 1) == {(1, "P", "B", SJP), (2, "P", "B", SJP), (3, "Q", "D", SJP)}


def test_each_partner_has_its_own_throttle() -> None:
    waiting = queue((2, "P", "B", SJP), (2, "P", "D", SJP), (1, "Q", "B", SJP), (1, "Q", "D", SJP), (1, "Q", "A", SJP))
    assert chosen(waiting, 1, Q=2) == [(2, "P", "B", SJP), (1, "Q", "B", SJP), (1, "Q", "D", SJP)]


def test_a_withheld_benefit_keeps_its_place_and_holds_nobody_up() -> None:
    waiting = queue((1, "P", "B", SJP), (1, "P", "D", FP), (2, "P", "A", FP))
    assert chosen(waiting, 1, (FP,)) == [(1, "P", "D", FP)]
    assert settled(waiting, 2, (FP,)) == {(1, "P", "D", FP), (2, "P", "A", FP)}
    assert chosen(waiting, 9, ()) == []


def test_who_is_frozen_or_told_all_else_is_passed_over_unless_the_benefit_is_withheld() -> None:
    waiting = queue((1, "P", "B", SJP), (1, "P", "D", SJP), (1, "P", "B", FP), B="PASSED")
    assert chosen(waiting, 1) == [(1, "P", "D", SJP)]
    assert settled(waiting, 1) == {(1, "P", "B", SJP), (1, "P", "B", FP), (1, "P", "D", SJP)}
    assert settled(waiting, 1, (SJP,)) == {(1, "P", "B", SJP), (1, "P", "D", SJP)}


def test_whose_subscription_is_gone_waits_no_longer_whatever_is_withheld() -> None:
    waiting = queue((1, "P", "B", SJP), (1, "P", "D", SJP), B="GONE")
    assert chosen(waiting, 1) == [(1, "P", "D", SJP)]
    assert settled(waiting, 1, ()) == {(1, "P", "B", SJP)}


def test_of_nothing_nothing_is_chosen_or_settled() -> None:
    assert chosen(queue(), 1) == []
    assert settled(queue(), 1) == set()


MEMBERS = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from("PQ"), st.sampled_from("ABCD"), st.sampled_from([SJP, FP])), max_size=16, unique=True
)
STATES = st.dictionaries(
    st.tuples(st.sampled_from("PQ"), st.sampled_from("ABCD"), st.sampled_from([SJP, FP])), st.sampled_from(["READY", "PASSED", "GONE"])
)


@settings(max_examples=150, deadline=None)
@given(
    members=MEMBERS, states=STATES, current=st.sets(st.sampled_from([SJP, FP])), throttles=st.tuples(st.integers(1, 4), st.integers(1, 4))
)
def test_any_queue_is_served_as_one_by_one(
    members: list[Member], states: dict[tuple[str, str, str], str], current: set[str], throttles: tuple[int, int]
) -> None:
    room = dict(zip("PQ", throttles, strict=True))
    rows = [
        (BUCKET[person], refresh, partner, person, benefit, states.get((partner, person, benefit), "READY"))
        for refresh, partner, person, benefit in members
    ]
    waiting = pl.DataFrame(rows, QUEUE, orient="row")
    served: set[Member] = set()
    over: set[Member] = set()
    for partner in "PQ":
        owed: dict[int, list[tuple[str, str]]] = {}
        for refresh, of, person, benefit in members:
            if of == partner:
                owed.setdefault(refresh, []).append((person, benefit))
        told, left = take_turns(
            owed,
            lambda group, partner=partner: states.get((partner, *group), "READY"),  # type: ignore[misc]  # the partner of this turn of the loop
            current,
            room[partner],
            lambda group: (BUCKET[group[0]], *group),
        )
        served |= {(refresh, partner, *group) for refresh, group in told}
        over |= {(refresh, partner, *group) for refresh, group in left}
    slice_tonight = choose_slice(waiting, sorted(current), room, BUCKETS)
    assert {member(row) for row in slice_tonight.to_dicts()} == served
    assert {member(row) for row in settle_queue(waiting, slice_tonight, sorted(current)).to_dicts()} == over
