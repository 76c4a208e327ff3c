"""Whose turn it is in a partner's refreshes, one after the other (contract R17)."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

Group = tuple[str, str]  # person, benefit
Row = tuple[int, Group]  # refresh, group


def take_turns(
    owed: Mapping[int, Iterable[Group]],
    state: Callable[[Group], str],
    current: Collection[str],
    throttle: int,
    place: Callable[[Group], Any],
) -> tuple[set[Row], set[Row]]:
    """What is served tonight, and what need not wait any longer.

    owed: refresh -> groups; state: READY, PASSED (frozen, or told all for another reason) or GONE; place: what groups of a refresh are ordered by.
    """
    persons: set[str] = set()
    served: set[Row] = set()
    for refresh in sorted(owed):
        waits_on = False
        for group in sorted(owed[refresh], key=place):
            if state(group) != "READY" or group[1] not in current:
                continue
            if group[0] in persons or len(persons) < throttle:
                persons.add(group[0])
                served.add((refresh, group))
            else:
                waits_on = True
        if waits_on:  # first come, first served
            break
    told = {group for _, group in served}
    settled = set()
    for refresh, groups in owed.items():
        for group in groups:
            passed = state(group) == "PASSED" and group[1] in current
            if group in told or passed or state(group) == "GONE":
                settled.add((refresh, group))
    return served, settled
