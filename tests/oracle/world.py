"""The night as slowly and plainly as it reads, for groups on dicts: what every partner is told (contract R12, R20-R27, R36, R37).

Feed it the state (`World`), change that as the days go, and `deliver` says which records the night must make, numbered and in order. Texts
for people are left empty. Who is who, and what an order line does, is decided elsewhere; `subscribe`, `end` and `merge` change the groups.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from schemas.contracts import DELIVERY_RECORD
from tests.oracle import windows
from tests.oracle.facts import Fact, Key, frozen, hold

Row = dict[str, Any]
GroupKey = tuple[str, str, str]  # partner, person, benefit
CONTENT = (  # R22
    *("case_id", "kind", "period_from", "period_to", "windows", "unit", "units", "amount", "extent_permille", "outcome", "status"),
    *("country", "refers_to", "deviation"),
)
FIRST_OF_BUCKET = 1_000_000_000


@dataclass
class Told:
    """The last record that a partner got about a fact."""

    content: Row
    version: int
    sequence: int
    record_no: int


@dataclass
class Group:
    """An active subscription and what its partner knows.

    deviation: one was told and no snapshot has ended it; heal: the facts that `reconcile --heal` found.
    """

    from_date: date
    end_date: date | None = None
    numbers: frozenset[str] = frozenset()
    protected: bool | None = None
    initial_due: bool = True
    delivered: bool = False
    deviation: bool = False
    heal: set[str] = field(default_factory=set)
    told: dict[str, Told] = field(default_factory=dict)


@dataclass
class World:
    """Everything that decides a night.

    facts: the valid records that count; rejected: those that may freeze, with `drop_benefit` and `code`; names: person -> current number
    and flag; retracted: fact -> reason of the retraction that it is gone by.
    """

    units: Mapping[str, str]
    bucket_of: Callable[[str], int]
    facts: list[Fact] = field(default_factory=list)
    rejected: list[Fact] = field(default_factory=list)
    names: dict[str, tuple[str, bool]] = field(default_factory=dict)
    retracted: dict[Key, str] = field(default_factory=dict)
    groups: dict[GroupKey, Group] = field(default_factory=dict)


def subscribe(world: World, key: GroupKey, from_date: date) -> None:
    """R12, R14: a new subscription, or one that is moved back; a later from_date changes nothing."""
    standing = world.groups.get(key)
    if standing is None:
        world.groups[key] = Group(from_date)
    elif from_date < standing.from_date:
        standing.from_date = from_date
        standing.initial_due = True


def end(world: World, key: GroupKey) -> None:
    """R15: nothing more is delivered, and what was told is forgotten."""
    world.groups.pop(key, None)


def merge(world: World, ceases: str, stays: str) -> None:
    """R11, R12: two persons become one."""
    for record in (*world.facts, *world.rejected):
        if record["person"] == ceases:
            record["person"] = stays
    for key in [key for key in world.groups if key[1] == ceases]:
        moved, target = world.groups.pop(key), (key[0], stays, key[2])
        world.groups[target] = join(world.groups[target], moved) if target in world.groups else moved


def join(one: Group, other: Group) -> Group:
    """R12: the earliest from_date stays, then no end before an end, then the later end; what either was told counts as told to it."""

    def rank(group: Group) -> tuple[date, bool, int]:
        return group.from_date, group.end_date is not None, -(group.end_date or date.min).toordinal()

    first, second = (other, one) if rank(other) < rank(one) else (one, other)
    return replace(first, numbers=one.numbers | other.numbers, deviation=one.deviation or other.deviation, told=second.told | first.told)


def visible(world: World, key: GroupKey) -> dict[str, tuple[Fact, Row]]:
    """R21: fact_id -> the held record and its content."""
    _, person, benefit = key
    held = [fact for (p, b, _), fact in hold(world.facts).items() if (p, b) == (person, benefit)]
    compensated = windows.compensate(held, world.units[benefit])
    found = {}
    for fact in held:
        if not fact["withdrawn"] and (fact["period_to"] is None or fact["period_to"] >= world.groups[key].from_date):
            whole = fact | {"unit": world.units[key[2]]} | compensated[fact["fact_id"]]
            found[fact["fact_id"]] = (fact, {name: whole[name] for name in CONTENT})
    return found


def freezing(world: World, key: GroupKey) -> str | None:
    """R36: the code that freezes a group."""
    return frozen(key[1], key[2], world.rejected, hold(world.facts))


def due(world: World, key: GroupKey, in_slice: bool) -> str | None:
    """R23: the trigger of the snapshot that a group which is not frozen is due, in the contract's order."""
    group, (number, protected) = world.groups[key], world.names[key[1]]
    if group.initial_due:
        return "INITIAL"
    if group.deviation:
        return "HEAL"
    if group.numbers != {number} or group.protected != protected:
        return "CHANGE"
    return "REFRESH" if in_slice else None


def record(world: World, key: GroupKey, action: str, trigger: str, **fields: Any) -> Row:
    """A record that carries nothing of a fact but what is given."""
    number, protected = world.names[key[1]]
    of_group = {"personnummer": number, "protected": protected, "benefit": key[2], "unit": world.units[key[2]], "windows": []}
    return dict.fromkeys(DELIVERY_RECORD.fields) | of_group | {"action": action, "trigger": trigger} | fields


def record_of(world: World, key: GroupKey, action: str, trigger: str, shown: tuple[Fact, Row], **fields: Any) -> Row:
    """A record that shows a fact (R26: with its reason)."""
    fact, content = shown
    code = content["deviation"]
    given = {"fact_id": fact["fact_id"], "version": fact["version"], "reason": fact["reason"]}
    return record(world, key, action, trigger) | content | given | {"deviation": code and {"code": code, "text": ""}} | fields


def snapshot(world: World, key: GroupKey, trigger: str) -> list[Row]:
    """R23: everything visible, or EMPTY; the lowest other number is named, each further one gets an EMPTY of its own."""
    number, _ = world.names[key[1]]
    others = sorted(world.groups[key].numbers - {number})
    former, further = next(iter(others), None), others[1:]
    shown = visible(world, key).values()
    records = [record_of(world, key, "SNAPSHOT", trigger, each, former_personnummer=former) for each in shown]
    records = records or [record(world, key, "EMPTY", trigger, former_personnummer=former)]
    return records + [record(world, key, "EMPTY", trigger, personnummer=other) for other in further]


def differences(world: World, key: GroupKey) -> list[Row]:
    """R24: NEW, CORRECTED and ANNULLED."""
    group, shown, records = world.groups[key], visible(world, key), []
    for fact_id in shown.keys() | group.told.keys():
        trigger = "HEAL" if fact_id in group.heal else "CHANGE"
        told = group.told.get(fact_id)
        if told is None:
            records.append(record_of(world, key, "NEW", trigger, shown[fact_id]))
            continue
        supersedes = {"sequence": told.sequence, "record_no": told.record_no}
        if fact_id not in shown:
            records.append(record(world, key, "ANNULLED", trigger, supersedes=supersedes, **last_known(world, key, fact_id)))
        elif shown[fact_id][1] != told.content:
            records.append(record_of(world, key, "CORRECTED", trigger, shown[fact_id], supersedes=supersedes))
    return records


def last_known(world: World, key: GroupKey, fact_id: str) -> Row:
    """R25: what an ANNULLED carries: of the held record, else as last told."""
    of = (key[1], key[2], fact_id)
    held, told = hold(world.facts).get(of), world.groups[key].told[fact_id]
    if held is not None:
        return {name: held[name] for name in ("case_id", "fact_id", "version", "kind", "reason")}
    last = {"case_id": told.content["case_id"], "fact_id": fact_id, "version": told.version, "kind": told.content["kind"]}
    return last | {"reason": world.retracted.get(of)}


def tell(world: World, key: GroupKey, in_slice: bool) -> list[Row]:
    """The records of one group tonight, not numbered yet; the group then knows that they were told."""
    group, (number, protected) = world.groups[key], world.names[key[1]]
    code = freezing(world, key)
    if code is not None and group.deviation:  # R37: the same freeze
        records: list[Row] = []
    elif code is not None:
        trigger = "CHANGE" if group.delivered else "INITIAL"
        records = [record(world, key, "DEVIATION", trigger, deviation={"code": code, "text": ""})]
        group.initial_due = group.initial_due and group.delivered  # this was then the first delivery
        group.numbers |= {number}
        group.deviation = group.delivered = True
    elif trigger_due := due(world, key, in_slice):
        records = snapshot(world, key, trigger_due)
        group.told = {}
        group.numbers, group.protected = frozenset({number}), protected
        group.initial_due, group.delivered, group.deviation = False, True, False
    else:
        records = differences(world, key)
    group.heal = set()
    return records


def delivery_order(row: Row) -> tuple[Any, ...]:
    """R27: by personnummer, benefit, period_from (null first), fact_id (null first)."""
    period_from, fact_id = row["period_from"], row["fact_id"]
    return (
        row["personnummer"].encode(),
        row["benefit"].encode(),
        period_from is not None,
        period_from or date.min,
        fact_id is not None,
        (fact_id or "").encode(),
    )


def deliver(
    world: World, sequences: Mapping[str, int], current: Collection[str], in_slice: Collection[GroupKey] = ()
) -> dict[str, list[Row]]:
    """The records of one night, by partner, in order and numbered (R27).

    sequences: partner -> tonight's sequence; current: benefits that are not withheld; in_slice: groups whose refresh has its turn.
    """
    found: dict[str, list[tuple[int, GroupKey, Row]]] = {partner: [] for partner in sequences}
    for key in world.groups:
        if key[2] in current:
            found[key[0]] += [(world.bucket_of(key[1]), key, row) for row in tell(world, key, key in in_slice)]
    delivered: dict[str, list[Row]] = {}
    for partner, rows in found.items():
        delivered[partner] = []
        row_of: dict[int, int] = {}
        for bucket, key, row in sorted(rows, key=lambda each: (each[0], delivery_order(each[2]))):
            row_of[bucket] = row_of.get(bucket, 0) + 1
            row["record_no"] = bucket * FIRST_OF_BUCKET + row_of[bucket]
            remember(world.groups[key].told, sequences[partner], row)
            delivered[partner].append(row)
    return delivered


def remember(told: dict[str, Told], sequence: int, row: Row) -> None:
    """Keep what a record said of a fact."""
    if row["action"] == "ANNULLED":
        del told[row["fact_id"]]
    elif row["fact_id"] is not None:
        content = {name: row[name] for name in CONTENT} | {"deviation": row["deviation"] and row["deviation"]["code"]}
        told[row["fact_id"]] = Told(content, row["version"], sequence, row["record_no"])
