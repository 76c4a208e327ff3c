"""The compensated days as slowly and plainly as they read (contract R30-R34): day by day, on dicts.

A fact is a dict of the fields of BenefitFact. All functions take the held facts of one person and benefit.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any

Fact = dict[str, Any]
Window = dict[str, Any]
DAY = timedelta(days=1)
DAY_UNITS = {"CALENDAR_DAY", "WORKING_TIME", "FIVE_DAY_WEEK"}


def days(first: date, last: date) -> Iterator[date]:
    """Every date from first to last."""
    while first <= last:
        yield first
        first += DAY


def covers(fact: Fact, day: date) -> bool:
    """Whether a fact's period, open at a null end, contains a date."""
    return (fact["period_from"] is None or fact["period_from"] <= day) and (fact["period_to"] is None or day <= fact["period_to"])


def decisions_of(fact: Fact, facts: Iterable[Fact]) -> list[Fact]:
    """The held, not withdrawn decisions of a fact's case."""
    return [f for f in facts if f["kind"] == "DECISION" and not f["withdrawn"] and f["case_id"] == fact["case_id"]]


def deciding(fact: Fact, facts: Iterable[Fact], day: date) -> Fact | None:
    """R30: the decision that decides about a date of a payment."""
    candidates = [decision for decision in decisions_of(fact, facts) if covers(decision, day)]
    return max(candidates, key=lambda d: (d["recorded_at"], d["version"], d["fact_id"].encode()), default=None)


def compensated(fact: Fact, facts: list[Fact], unit: str) -> Counter[tuple[date, int, str | None]]:
    """R30, R32: how many compensated spans of each extent and level lie on each date."""
    if unit == "EVENT":
        return Counter()
    if fact["kind"] == "DECISION":
        return Counter(on for span in fact["spans"] for on in dates_of(span))
    if fact["kind"] != "PAYMENT":
        return Counter()
    period = list(days(fact["period_from"], fact["period_to"]))
    if unit == "MONTH" and not any(decision["spans"] for decision in decisions_of(fact, facts)):  # R32
        return Counter((day, fact["extent_permille"] or 1000, None) for day in period)
    found: Counter[tuple[date, int, str | None]] = Counter()
    for day in period:
        decision = deciding(fact, facts, day)
        found.update(on for span in (decision or {"spans": []})["spans"] for on in dates_of(span) if on[0] == day)
    return found


def dates_of(span: dict[str, Any]) -> Iterator[tuple[date, int, str | None]]:
    """The compensated dates of a span, none when it is a waiting one."""
    if not span["waiting"]:
        for day in days(span["first"], span["last"]):
            yield day, span["extent_permille"], span["level"]


def runs(dates: Iterable[date]) -> list[tuple[date, date]]:
    """Neighbouring dates joined."""
    found: list[tuple[date, date]] = []
    for day in sorted(dates):
        if found and found[-1][1] + DAY == day:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def windows_of(fact: Fact, facts: list[Fact], unit: str) -> list[Window]:
    """R31, R33: the windows of a fact, each with the units that it adds."""
    counts = compensated(fact, facts, unit)
    windows: list[Window] = []
    for extent, level in {(extent, level) for _, extent, level in counts}:
        depth = {day: count for (day, e, lv), count in counts.items() if (e, lv) == (extent, level)}
        for layer in range(1, max(depth.values()) + 1):
            for first, last in runs(day for day, count in depth.items() if count >= layer):
                windows.append({"first": first, "last": last, "extent_permille": extent, "level": level})
    windows.sort(key=lambda w: (w["first"], w["last"], -w["extent_permille"], w["level"] is not None, (w["level"] or "").encode()))
    before = 0
    for place, window in enumerate(windows):
        total = count_units(windows[: place + 1], unit)
        window["units"] = total - before
        before = total
    return windows


def count_units(windows: list[Window], unit: str) -> int:
    """R33: the units of some windows together."""
    every = [day for window in windows for day in days(window["first"], window["last"])]
    if unit == "WORKING_TIME":
        return len(every)
    distinct = set(every)
    if unit == "CALENDAR_DAY":
        return len(distinct)
    if unit == "FIVE_DAY_WEEK":
        weeks = Counter(day.isocalendar()[:2] for day in distinct)
        return sum(min(5, number) for number in weeks.values())
    return len({(day.year, day.month) for day in distinct})


def deviation_of(fact: Fact, facts: list[Fact], unit: str) -> str | None:
    """R34: the first code that applies."""
    if fact["kind"] == "RECOVERY_CLAIM":
        payments = {other["fact_id"] for other in facts if other["kind"] == "PAYMENT"}
        return None if fact["refers_to"] in payments else "UNKNOWN_REFERENCE"
    if fact["kind"] != "PAYMENT" or unit not in DAY_UNITS:
        return None
    if not any(covers(decision, day) for decision in decisions_of(fact, facts) for day in days(fact["period_from"], fact["period_to"])):
        return "PERIOD_MISMATCH"
    windows = windows_of(fact, facts, unit)
    if not windows:
        return "NO_COMPENSATED_DAYS"
    if fact["stated_days"] is not None and fact["stated_days"] != count_units(windows, unit):
        return "DAY_COUNT_MISMATCH"
    return None


def compensate(facts: list[Fact], unit: str) -> dict[str, dict[str, Any]]:
    """fact_id -> {windows, units, deviation} of every held fact that is not withdrawn."""
    found = {}
    for fact in facts:
        if not fact["withdrawn"]:
            windows = windows_of(fact, facts, unit)
            counted = fact["kind"] == "PAYMENT" and unit in DAY_UNITS
            units = count_units(windows, unit) if windows or counted else None
            found[fact["fact_id"]] = {"windows": windows, "units": units, "deviation": deviation_of(fact, facts, unit)}
    return found
