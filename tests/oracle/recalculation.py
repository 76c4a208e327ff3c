"""What a recalculation of the guarantee decides, slowly: case by case on dicts, in exact fractions (contract R40-R42)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import yaml

from tests.oracle.facts import Fact, hold
from tests.oracle.windows import deciding

RULES = yaml.safe_load((Path(__file__).parents[2] / "conf" / "rules" / "guarantee.yaml").read_text("utf-8"))
BENEFIT = "FK:SA"
Case = tuple[str, str]  # person, case_id


@dataclass
class Recalculation:
    """One that was ordered. begun: nights from the first one on; done: its slices that were computed; looked_at: cases that had their turn; taken:
    persons who had it; known: number -> key, as of the last night."""

    effective: date
    reason: str
    source_run: str
    first_night: date
    slices: list[list[int]]
    begun: int = 0
    cancelled: bool = False
    done: set[int] = field(default_factory=set)
    looked_at: set[Case] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    known: dict[str, str] = field(default_factory=dict)


def yearly(on: date, born: date, years: int, extent: int | None, income: Decimal) -> int | None:
    """R41: the yearly amount in kronor; null when the insurance years are outside 3 to 40."""
    if not 3 <= years <= 40:
        return None
    age = on.year - born.year - (on.month < born.month)
    bands = max((each for each in RULES["factors"] if each["from"] <= on), key=lambda each: each["from"])["bands"]
    factor = next(band["factor"] for band in bands if band["below"] is None or age < band["below"])
    level = Fraction(factor) * RULES["base_amounts"][on.year]["sek"] * years / 40 * (1000 if extent is None else extent) / 1000
    amount = max(level - Fraction(income), Fraction(0))
    if amount < 12:
        return 0
    twelves, rest = divmod(amount, 12)
    return 12 * (int(twelves) + (rest >= 6))


def turns(order: Recalculation, today: date, current: bool) -> set[int]:
    """R42: the slices whose turn it is in a night. A night that finds the benefit withheld leaves its own to the next."""
    order.begun += today >= order.first_night
    return set(range(min(order.begun, len(order.slices)))) - order.done if current and not order.cancelled else set()


def decide(
    order: Recalculation,
    due: set[int],
    today: date,
    facts: Iterable[Fact],
    rejected: Iterable[Fact],
    births: Mapping[str, date],
    bucket_of: Mapping[str, int],
) -> list[Fact]:
    """The new decisions of a night, by bucket, person and fact_id. facts, rejected: all that was received; births: of whom the register knows."""
    order.done |= due
    last_night = len(order.done) == len(order.slices)
    buckets = {bucket for place in due for bucket in order.slices[place]}
    received = [fact for fact in facts if fact["benefit"] == BENEFIT]
    held = list(hold(received).values())
    highest: dict[tuple[str, str], int] = {}
    for fact in (*received, *(record for record in rejected if record["drop_benefit"] == BENEFIT)):
        key = fact["person"], fact["fact_id"]
        highest[key] = max(highest.get(key, 0), fact["version"])
    made, unnamed = [], set()
    for person, case_id in sorted({(fact["person"], fact["case_id"]) for fact in held} - order.looked_at):
        if bucket_of[person] not in buckets and (not last_night or person in order.taken):
            continue
        old = deciding({"case_id": case_id}, [fact for fact in held if fact["person"] == person], order.effective)
        if old is not None and old["guarantee"] is not None and person not in births:
            unnamed.add(person)
        elif old is not None and old["guarantee"] is not None:
            order.looked_at.add((person, case_id))
            made += anew(order, today, old, births[person], highest)
    order.taken |= {fact["person"] for fact in received if bucket_of[fact["person"]] in buckets} - unnamed
    return sorted(made, key=lambda fact: (bucket_of[fact["person"]], fact["person"], fact["fact_id"]))


def anew(order: Recalculation, today: date, old: Fact, born: date, highest: Mapping[tuple[str, str], int]) -> list[Fact]:
    """R40: the decision that takes over from another one; none where the amount stays or the years are impossible."""
    guarantee = old["guarantee"]
    year = yearly(order.effective, born, guarantee["insurance_years"], old["extent_permille"], guarantee["income_related_yearly"])
    if year is None or Decimal(year // 12) == old["amount"]:
        return []
    name = old["fact_id"].removesuffix(f"@{order.effective}")
    fact_id = f"{name}@{order.effective}"
    spans = [span | {"first": max(span["first"], order.effective)} for span in old["spans"] if span["last"] >= order.effective]
    new = {"fact_id": fact_id, "version": highest.get((old["person"], fact_id), 0) + 1, "period_from": order.effective, "spans": spans}
    new |= {"amount": Decimal(year // 12), "guarantee": guarantee | {"yearly_amount": Decimal(year)}, "refers_to": name}
    new |= {"reason": order.reason, "source_run": order.source_run, "recorded_at": datetime.combine(today, time(), UTC)}
    return [old | new]


def rename(order: Recalculation, keys: Mapping[str, str]) -> None:
    """R11: who turns out to be somebody else has had the turns of both, case by case."""
    changed = {person for number, person in keys.items() if number != person and order.known.get(number) != person}
    order.taken, order.known = order.taken - changed, dict(keys)
    order.looked_at = {(keys.get(person, person), case_id) for person, case_id in order.looked_at}


def ordered(arguments: Mapping[str, object]) -> Recalculation:
    """A recalculation from the arguments of its command."""
    slices = arguments["slices"]
    assert isinstance(slices, Collection)
    dates = {name: date.fromisoformat(str(arguments[name])) for name in ("effective", "first_night")}
    return Recalculation(
        dates["effective"], str(arguments["reason"]), str(arguments["source_run"]), dates["first_night"], [list(each) for each in slices]
    )
