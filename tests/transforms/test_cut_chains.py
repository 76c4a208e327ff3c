"""R2-R4: what a chain consumes, what stops it, and the two gates at their borders; random nights against the drop-by-drop oracle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle import chains as oracle
from tests.oracle.chains import Drop
from transforms.cut_chains import Candidate, ChainState, Obstacle, cut, cut_gated, gates, is_current, next_state, worth_reading

MONDAY = date(2024, 5, 20)


def on(number: int) -> date:
    """So many days after Monday."""
    return MONDAY + timedelta(number)


def drop(number: int, previous: int | None = -99, name: str = "", **fields: int | bool) -> Drop:
    """The drop of a day; it names the day before where nothing else is said."""
    named = number - 1 if previous == -99 else previous
    return Drop(name or f"sjp/{on(number)}", on(number), None if named is None else on(named), **fields)  # type: ignore[arg-type]  # rows and flags


@dataclass
class Outcome:
    """A night of a chain."""

    consumed: list[str]
    code: str | None
    state: ChainState


def night(state: ChainState, drops: Sequence[Drop], today: int, off: bool = False, closed: str | None = None) -> Outcome:
    """As the pipeline asks: the drops that the night looks at, judged, gated, and what the chain is then."""
    waiting = [] if off else [drop for drop in drops if drop.business_date <= on(today)]
    candidates = [Candidate(each.name, place, each.business_date, each.previous, each.rows) for place, each in enumerate(waiting)]
    broken = {each.name: Obstacle("BROKEN_DROP", "") for each in waiting if each.broken}
    accepted = {each.name for each in waiting if each.accepted}
    made, _ = cut_gated(state, candidates, broken, {each.name: {CODE: each.rejected} for each in waiting}, accepted)
    after, reason = next_state(state, made, on(today), off, closed)
    assert is_current(made, state, on(today)) == (reason is None)
    return Outcome([each.name.removeprefix("sjp/2024-05-") for each in made.consumed], reason.code if reason else None, after)


CODE = "INVALID_SPAN"
AFTER_MONDAY = ChainState(on(0))


# R2, R3: what is consumed


@pytest.mark.parametrize(
    ("drops", "consumed", "code"),
    [
        ([], [], "NO_DROP"),
        ([drop(1)], ["21"], "NO_DROP"),
        ([drop(1), drop(2)], ["21", "22"], None),
        ([drop(2), drop(1)], ["21", "22"], None),
        ([drop(2, 0)], ["22"], None),
        ([drop(2, -5)], ["22"], None),
        ([drop(2, 1)], [], "GAP"),
        ([drop(2, None)], [], "GAP"),
        ([drop(2, 1), drop(1)], ["21", "22"], None),
        ([drop(0), drop(-1)], [], "NO_DROP"),
        ([drop(0), drop(2, 0)], ["22"], None),
        ([drop(3)], [], "NO_DROP"),
        ([drop(1, broken=True), drop(2)], [], "BROKEN_DROP"),
        ([drop(1, broken=True), drop(2, 0)], [], "BROKEN_DROP"),
        ([drop(1), drop(2, broken=True)], ["21"], "BROKEN_DROP"),
        ([drop(1, rows=100, rejected=21), drop(2)], [], "QUARANTINE_RATE"),
        ([drop(1, rows=100, rejected=21, accepted=True), drop(2)], ["21", "22"], None),
        ([drop(1, broken=True, accepted=True)], [], "BROKEN_DROP"),
        ([drop(2, 1, accepted=True)], [], "GAP"),
    ],
)
def test_drops_are_consumed_by_date_up_to_the_first_obstacle(drops: list[Drop], consumed: list[str], code: str | None) -> None:
    found = night(AFTER_MONDAY, drops, 2)
    assert (found.consumed, found.code) == (consumed, code)


@pytest.mark.parametrize("previous", [None, -7, 0, 1, 9])
def test_the_first_drop_of_a_chain_may_follow_anything(previous: int | None) -> None:
    assert night(ChainState(), [drop(1, previous)], 1).consumed == ["21"]


@pytest.mark.parametrize(
    ("siblings", "consumed", "code"),
    [
        ([drop(1, name="b"), drop(1, name="a")], ["a"], None),
        ([drop(1, name="a", broken=True), drop(1, name="b")], ["b"], None),
        ([drop(1, name="a", previous=None), drop(1, name="b")], ["b"], None),
        ([drop(1, name="a", rows=100, rejected=100), drop(1, name="b")], ["b"], None),
        ([drop(1, name="a", broken=True), drop(1, name="b", previous=None)], [], "BROKEN_DROP"),
        ([drop(1, name="b", broken=True), drop(1, name="a", previous=None)], [], "GAP"),
        ([drop(1, name="a", rows=100, rejected=100), drop(1, name="b", broken=True)], [], "QUARANTINE_RATE"),
        ([drop(1, name="ö"), drop(1, name="z", broken=True)], ["ö"], None),
        ([drop(1, name="ö"), drop(1, name="z")], ["z"], None),
    ],
)
def test_of_a_date_the_lowest_name_that_can_be_consumed_is_taken(siblings: list[Drop], consumed: list[str], code: str | None) -> None:
    found = night(AFTER_MONDAY, siblings, 1)
    assert (found.consumed, found.code) == (consumed, code)


def test_the_size_of_a_drop_that_a_gate_closed_on_does_not_count() -> None:
    state = ChainState(on(0), sizes=(2000,) * 5)
    found = night(state, [drop(1, name="a", rows=90_000), drop(1, name="b", rows=3000)], 1)
    assert (found.consumed, found.state.sizes) == (["b"], (2000,) * 5 + (3000,))


def test_a_chain_remembers_the_sizes_of_its_last_ten_drops() -> None:
    found = night(ChainState(on(0), sizes=tuple(range(10))), [drop(1, rows=77), drop(2, rows=0)], 2)
    assert found.state.sizes == (*range(2, 10), 77, 0)


def test_cut_gated_tells_every_obstacle_that_it_met() -> None:
    waiting = [Candidate("a", 0, on(1), on(0), 100), Candidate("b", 1, on(1), on(0), 100)]
    made, hindered = cut_gated(AFTER_MONDAY, waiting, {"b": Obstacle("BROKEN_DROP", "no")}, {"a": {CODE: 100}}, ())
    assert (made.consumed, made.obstacle, set(hindered)) == ((), hindered["a"], {"a", "b"})


def test_texts_name_the_drop_and_what_is_wrong() -> None:
    texts = [
        cut(on(0), [Candidate("sjp/3", 0, on(2), on(1), 1)], {}).obstacle,
        cut(on(0), [Candidate("sjp/3", 0, on(2), None, 1)], {}).obstacle,
        gates(100, {"INVALID_SPAN": 10, "INVALID_EXTENT": 20}, (), "sjp/3"),
        gates(2000, {}, (10, 20, 30, 40, 55, 60), "sjp/3"),
        gates(20_000_000, {}, (1_012_345,) * 4 + (1_012_346,) * 4, "sjp/3"),
    ]
    assert [each.text for each in texts if each] == [
        "sjp/3 follows 2024-05-21, the last one consumed is of 2024-05-20",
        "sjp/3 follows none, the last one consumed is of 2024-05-20",
        "sjp/3: 30 of 100 records are rejected (20 INVALID_EXTENT, 10 INVALID_SPAN), more than 1 % and 20 records",
        "sjp/3: 2000 rows, the last 6 drops had 35 in the middle",
        "sjp/3: 20000000 rows, the last 8 drops had 1,012,345.5 in the middle",
    ]


# R4: the gates


@pytest.mark.parametrize(
    ("rows", "rejected", "closes"),
    [(20, 20, False), (21, 21, True), (2100, 21, False), (2099, 21, True), (10_000, 100, False), (10_000, 101, True), (0, 0, False)],
)
def test_more_than_one_percent_and_more_than_twenty_rejected_close_the_gate(rows: int, rejected: int, closes: bool) -> None:
    closed = gates(rows, {CODE: rejected}, (), "d")
    assert (closed is not None) == closes
    assert closed is None or closed.code == "QUARANTINE_RATE"


@pytest.mark.parametrize(
    ("rows", "sizes", "closes"),
    [
        (1000, (1,) * 5, False),
        (1001, (1,) * 5, True),
        (1001, (1,) * 4, False),
        (20_000, (2000,) * 5, False),
        (20_001, (2000,) * 5, True),
        (2000, (20_000,) * 5, False),
        (1999, (20_000,) * 5, True),
        (999, (20_000,) * 5, False),
        (0, (20_000,) * 5, False),
        (1001, (0, 0, 0, 5000, 5000), True),
        (1001, (0, 0, 200, 200), False),
        (1011, (0, 100, 101, 102, 9000), True),
        (1010, (0, 100, 101, 102, 9000), False),
        (2005, (100, 200, 201, 300, 0, 9000), False),
        (2006, (100, 200, 201, 300, 0, 9000), True),
        (1500, (1,) * 9 + (1500,) * 10, False),
        (1500, (1500,) * 10 + (1,) * 9, True),
    ],
)
def test_the_median_of_the_last_ten_measures_drops_of_more_than_a_thousand_rows(rows: int, sizes: tuple[int, ...], closes: bool) -> None:
    closed = gates(rows, {}, sizes, "d")
    assert (closed is not None) == closes
    assert closed is None or closed.code == "VOLUME"


def test_the_rate_is_named_before_the_volume() -> None:
    closed = gates(90_000, {CODE: 9000}, (1,) * 5, "d")
    assert closed is not None
    assert closed.code == "QUARANTINE_RATE"


def test_drops_consumed_in_the_same_night_count_for_the_volume() -> None:
    drops = [drop(number, rows=2000) for number in range(1, 6)]
    assert night(AFTER_MONDAY, [*drops, drop(6, rows=20_001)], 6).code == "VOLUME"
    assert night(AFTER_MONDAY, [*drops[1:], drop(2, 0, rows=2000), drop(6, rows=20_001)], 6).code is None


# R4: withheld, why and since when


@pytest.mark.parametrize(
    ("off", "closed", "drops", "code"),
    [
        (False, None, [], "NO_DROP"),
        (False, "Planned", [], "PLANNED_CLOSURE"),
        (False, "", [], "PLANNED_CLOSURE"),
        (False, "Planned", [drop(1)], None),
        (False, "Planned", [drop(1, broken=True)], "BROKEN_DROP"),
        (True, None, [drop(1)], "SWITCHED_OFF"),
        (True, "Planned", [drop(1, broken=True)], "SWITCHED_OFF"),
    ],
)
def test_the_code_says_why_a_benefit_is_withheld(off: bool, closed: str | None, drops: list[Drop], code: str | None) -> None:
    assert night(AFTER_MONDAY, drops, 1, off, closed).code == code


@pytest.mark.parametrize(("given", "text"), [("A new register", "A new register"), ("", "Planned closure")])
def test_a_planned_closure_is_told_with_the_text_of_conf_if_there_is_one(given: str, text: str) -> None:
    _, reason = next_state(AFTER_MONDAY, cut(AFTER_MONDAY.last, [], {}), on(1), off=False, closed=given)
    assert reason == Obstacle("PLANNED_CLOSURE", text)


def test_since_is_the_first_night_of_the_present_row_of_nights_without() -> None:
    state, since = AFTER_MONDAY, []
    for today, drops in enumerate([[], [drop(1)], [drop(3, 1)], [], [drop(5, 3)]], start=1):
        state = night(state, drops, today).state
        since.append(state.since)
    assert since == [on(1), on(1), None, on(4), None]


def test_switching_off_and_on_keeps_the_row_of_nights() -> None:
    state = night(AFTER_MONDAY, [], 1, off=True).state
    state = night(state, [drop(1)], 2).state
    assert (state.last, state.since) == (on(1), on(1))


# Laws

DAYS = st.integers(0, 5)
NAMES = "abcdöz"
ANY_DROP = st.builds(
    lambda number, previous, name, rows, broken, rejected, accepted: Drop(
        name, on(number), None if previous is None else on(previous), rows, broken, min(rejected, rows), accepted
    ),
    DAYS,
    st.sampled_from([None, -2, 0, 0, 1, 1, 2, 3, 4]),
    st.sampled_from(NAMES),
    st.sampled_from([0, 100, 150, 1001, 1500, 2000, 2100, 2099, 90_000]),
    st.sampled_from([False] * 5 + [True]),
    st.sampled_from([0, 0, 0, 0, 20, 21]),
    st.sampled_from([False] * 4 + [True]),
)
DROPS = st.lists(ANY_DROP, max_size=9, unique_by=lambda each: (each.name, each.business_date)).map(
    lambda drops: [replace(each, name=f"{each.name}{each.business_date}") for each in drops]
)
SIZES = st.lists(st.sampled_from([0, 90, 100, 101, 150, 200, 1500]), max_size=12)


@settings(max_examples=300, deadline=None)
@given(drops=DROPS, sizes=SIZES, nights=st.lists(st.sampled_from([(False, False)] * 3 + [(True, False), (False, True)]), max_size=7))
def test_any_drops_are_consumed_night_by_night_as_drop_by_drop(
    drops: list[Drop], sizes: list[int], nights: list[tuple[bool, bool]]
) -> None:
    chain = oracle.Chain([drop(-30 + place, rows=rows) for place, rows in enumerate(sizes)])
    state = ChainState(chain.last, None, tuple(sizes[-10:]))
    for today, (off, closed) in enumerate(nights):
        before = len(chain.consumed)
        code = oracle.night(chain, drops, on(today), off, closed)
        found = night(state, drops[::-1], today, off, "Planned" if closed else None)
        assert (found.consumed, found.code) == ([each.name for each in chain.consumed[before:]], code)
        state = found.state
        assert state == ChainState(chain.last, chain.since, tuple(each.rows for each in chain.consumed[-10:]))


@settings(max_examples=200, deadline=None)
@given(drops=DROPS, last=st.none() | DAYS.map(on))
def test_what_is_not_worth_reading_is_never_consumed(drops: list[Drop], last: date | None) -> None:
    waiting = [Candidate(each.name, place, each.business_date, each.previous, each.rows) for place, each in enumerate(drops)]
    obstacles = {each.name: Obstacle("BROKEN_DROP", "") for each in drops if each.broken}
    assert cut(last, worth_reading(last, waiting), obstacles) == cut(last, waiting, obstacles)


def test_what_lies_behind_a_gap_is_not_worth_reading() -> None:
    waiting = [Candidate(str(number), number, on(number), on(number - 1), 1) for number in (1, 3, 4)]
    assert [each.name for each in worth_reading(on(0), waiting)] == ["1", "3"]
