"""What becomes of a fact that comes in, record by record on dicts (contract R20, R35, R36). Key of a fact: person, benefit, fact_id."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from schemas.personnummer import is_valid

Fact = dict[str, Any]
Key = tuple[str, str, str]
COMPARED = (  # R20: all fields but personnummer, reason, recorded_at and source_run
    *("benefit", "case_id", "fact_id", "version", "kind", "withdrawn", "period_from", "period_to", "spans", "extent_permille"),
    *("amount", "stated_days", "outcome", "status", "country", "refers_to", "guarantee"),
)


def key_of(fact: Fact) -> Key:
    """R20: the fact key."""
    return fact["person"], fact["benefit"], fact["fact_id"]


def fault(fact: Fact, benefit: str, unit: str) -> str | None:
    """R35: the first code that a record has by itself, in a drop of a benefit of a unit."""
    first, last = fact["period_from"], fact["period_to"]
    if not is_valid(fact["personnummer"]):
        return "INVALID_PERSONNUMMER"
    if fact["benefit"] != benefit:
        return "WRONG_BENEFIT"
    if not fact["case_id"] or not fact["fact_id"]:
        return "MISSING_FIELD"
    if first is not None and last is not None and last < first:
        return "INVALID_PERIOD"
    if fact["kind"] in {"PAYMENT", "RECOVERY_CLAIM"} and (first is None or last is None):
        return "INVALID_PERIOD"
    if any(bad_span(span, fact) for span in fact["spans"]) or (unit != "WORKING_TIME" and overlapping(fact["spans"])):
        return "INVALID_SPAN"
    if any(not 1 <= extent <= 1000 for extent in [span["extent_permille"] for span in fact["spans"]]):
        return "INVALID_EXTENT"
    if fact["extent_permille"] is not None and not 1 <= fact["extent_permille"] <= 1000:
        return "INVALID_EXTENT"
    return None


def bad_span(span: dict[str, Any], fact: Fact) -> bool:
    """Whether a span is backwards or outside the period."""
    first, last = fact["period_from"], fact["period_to"]
    return bool(
        span["last"] < span["first"]
        or (first is not None and (span["first"] < first or span["last"] < first))
        or (last is not None and (span["last"] > last or span["first"] > last))
    )


def overlapping(spans: list[dict[str, Any]]) -> bool:
    """Whether a date lies in two spans."""
    dates = [span["first"] + timedelta(n) for span in spans for n in range((span["last"] - span["first"]).days + 1)]
    return len(dates) != len(set(dates))


def content(fact: Fact) -> dict[str, Any]:
    """What R20 compares."""
    return {name: fact[name] for name in COMPARED}


def judge(waiting: Iterable[tuple[Fact, str, str]], held: Iterable[Fact]) -> dict[int, str | None]:
    """arrival -> code (null: new; SAME: a repeat) of (record, drop's benefit, its unit), taken in the order of arrival."""
    received = list(held)
    codes: dict[int, str | None] = {}
    for fact, benefit, unit in sorted(waiting, key=lambda each: each[0]["arrival"]):
        code = fault(fact, benefit, unit)
        twins = [other for other in received if key_of(other) == key_of(fact) and other["version"] == fact["version"]]
        if code is None and twins:  # R20
            code = "SAME" if any(content(twin) == content(fact) for twin in twins) else "VERSION_CONFLICT"
        if code is None:
            received.append(fact)
        codes[fact["arrival"]] = code
    return codes


def hold(received: Iterable[Fact]) -> dict[Key, Fact]:
    """R20: the record that holds of each fact."""
    held: dict[Key, Fact] = {}
    for fact in received:
        other = held.get(key_of(fact))
        if other is None or order(fact) > order(other):
            held[key_of(fact)] = fact
    return held


def order(fact: Fact) -> tuple[Any, ...]:
    """R20: what decides between two records of a fact; the later recorded_at only between twins of a merge."""
    return fact["version"], fact["recorded_at"], fact["arrival"]


def frozen(person: str, benefit: str, rejected: Iterable[Fact], held: dict[Key, Fact]) -> str | None:
    """R36, R37: the code of the first rejected record that freezes a person and benefit.

    rejected: records with `drop_benefit` and `code`, without those that were released or retracted.
    """
    for record in sorted(rejected, key=lambda record: record["arrival"]):
        if (record["person"], record["drop_benefit"]) != (person, benefit) or record["code"] == "INVALID_PERSONNUMMER":
            continue
        holds = held.get((person, benefit, record["fact_id"]))
        needed = record["version"] + (record["code"] == "VERSION_CONFLICT")
        if holds is None or holds["version"] < needed:
            return str(record["code"])
    return None
