"""lefi once more, slowly: what each night must deliver, record by record, from the drops in the inbox and the operators' commands.

Nothing that lefi wrote is read. Who is who, what becomes of facts and order lines, what is visible and what is said, comes from tests/oracle.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from schemas.arrival import arrival_of
from storage.inbox import HEAD
from tests.kit import CATALOGUE, Row, World
from tests.oracle import orders as oracle_orders
from tests.oracle import persons as oracle_persons
from tests.oracle import world as oracle_world
from tests.oracle.chains import Chain, Drop
from tests.oracle.chains import night as night_of_chain
from tests.oracle.world import Group, GroupKey
from tests.scenarios.entitled import Past, buckets_of, meet, receive, register_of, rows_of

PERSONS = "PERSONS"
Permissions = set[tuple[str, str, str]]  # partner, purpose, benefit


@dataclass
class Night:
    """What a night must come to. records: by partner; receipts: by partner (order_id, line_no, code, effective_on); withheld: chain -> code."""

    records: dict[str, list[Row]]
    receipts: dict[str, list[tuple[str, int, str, date | None]]]
    withheld: dict[str, str]


@dataclass
class Slow:
    """The state between two nights.

    inbox: where the drops lie; taken: order drops that were consumed; waiting: groups that a refresh owes; retracted: (personnummer, benefit,
    fact_id) -> reason; retractions: those that no night has taken yet.
    """

    inbox: Path
    buckets: int
    past: Past
    rules: oracle_world.World
    chains: dict[str, Chain]
    nights: int = 0
    taken: set[str] = field(default_factory=set)
    waiting: set[GroupKey] = field(default_factory=set)
    retracted: dict[tuple[str, str, str], str] = field(default_factory=dict)
    retractions: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, world: World, benefits: Collection[str]) -> "Slow":
        """Beside a new workspace, whose catalogue has some benefits only."""
        units = {benefit: CATALOGUE[benefit]["unit"] for benefit in benefits}
        place: dict[str, int] = {}

        def bucket(person: str) -> int:
            if person not in place:
                place.update(buckets_of([person], world.buckets))
            return place[person]

        chains = {chain: Chain() for chain in (PERSONS, *benefits)}
        return cls(world.root / "inbox", world.buckets, Past(units, set()), oracle_world.World(units, bucket), chains)

    # Commands

    def retract(self, source_run: str, reason: str) -> None:
        """R44, from the next night on."""
        self.retractions.append((source_run, reason))

    def refresh(self, partner: str, benefit: str | None, permissions: Permissions) -> bool:
        """R16: the groups are settled now. Whether there are some."""
        permitted = {each for name, _, each in permissions if name == partner and benefit in (None, each)}
        asked = {key for key in self.rules.groups if key[0] == partner and key[2] in permitted}
        self.waiting |= asked
        return bool(asked)

    # A night

    def night(self, today: date, permissions: Permissions, partners: Collection[str], broken: Collection[str] = ()) -> Night:
        """Take what has come, and say what is new. broken: drops that nobody can read."""
        self.nights += 1
        self.past.permissions = permissions
        for source_run, reason in self.retractions:
            self.take_back(source_run, reason)
        self.retractions.clear()
        withheld = self.consume(today, broken)
        receipts = self.take_orders(today, PERSONS not in withheld)
        self.follow_subscriptions()
        names = {key: oracle_persons.name(records) for key, records in register_of(self.past).items()}
        self.rules.names = {key: (number, protected) for key, (number, protected, _) in names.items()}
        self.rules.facts, self.rules.rejected = self.past.facts, self.past.rejected
        self.rules.retracted = {(self.past.person(number), *fact): reason for (number, *fact), reason in self.retracted.items()}
        current = [benefit for benefit in self.past.units if benefit not in withheld]
        turn = self.turn(current)
        records = oracle_world.deliver(self.rules, dict.fromkeys(partners, self.nights), current, turn)
        return Night(records, receipts, withheld)

    def take_back(self, source_run: str, reason: str) -> None:
        """R44: the records of a run count as never received."""
        for fact in self.past.facts:
            if fact["source_run"] == source_run:
                self.retracted[fact["personnummer"], fact["benefit"], fact["fact_id"]] = reason
        self.past.facts = [fact for fact in self.past.facts if fact["source_run"] != source_run]
        self.past.rejected = [fact for fact in self.past.rejected if fact["source_run"] != source_run]

    def consume(self, today: date, broken: Collection[str]) -> dict[str, str]:
        """R2-R4: take the drops of each chain in order; why a chain is withheld."""
        heads = {folder: json.loads((folder / HEAD).read_text("utf-8")) for folder in sorted(self.inbox.iterdir())}
        withheld = {}
        for name, chain in self.chains.items():
            own = {f.name: (f, h) for f, h in heads.items() if h["dataset"] != "orders" and h.get("benefit", PERSONS) == name}
            before = len(chain.consumed)
            later = {
                n: (f, h)
                for n, (f, h) in own.items()
                if not before or date.fromisoformat(h["business_date"]) > chain.consumed[-1].business_date
            }
            rejected = self.rejected(later, broken) if name != PERSONS else {}
            drops = [as_drop(folder, head, folder.name in broken, rejected.get(folder.name, 0)) for folder, head in own.values()]
            code = night_of_chain(chain, drops, today, off=False, closed=False)
            if code:
                withheld[name] = code
            for place, drop in enumerate(chain.consumed[before:]):
                folder, head = own[drop.name]
                rows = [row for file in head["files"] for row in rows_of(folder / file["name"])]
                self.meet(rows) if name == PERSONS else receive(self.past, head, rows, arrival_of(self.nights, place))
        return withheld

    def rejected(self, waiting: Mapping[str, tuple[Path, Row]], broken: Collection[str]) -> dict[str, int]:
        """R4, R35: how many records of each waiting drop are turned away, each drop judged as if those before it had been consumed."""
        trial = replace(self.past, facts=list(self.past.facts), rejected=[])
        counts = {}
        for name, (folder, head) in sorted(waiting.items(), key=lambda each: (each[1][1]["business_date"], each[0])):
            before = len(trial.rejected)
            if name not in broken:
                receive(trial, head, [row for file in head["files"] for row in rows_of(folder / file["name"])], 0)
            counts[name] = len(trial.rejected) - before
        return counts

    def meet(self, rows: list[Row]) -> None:
        """R11: register records; what is known of a person who turns out to be another one moves."""
        before = dict(self.past.keys)
        meet(self.past, rows)
        for key in sorted({person for _, person, _ in self.rules.groups}):
            stays = self.past.person(key)
            if stays != before.get(key, key):
                oracle_world.merge(self.rules, key, stays)
        self.waiting = {(partner, self.past.person(person), benefit) for partner, person, benefit in self.waiting}

    def take_orders(self, today: date, current: bool) -> dict[str, list[tuple[str, int, str, date | None]]]:
        """R5, R12-R16: the order lines, if PERSONS is current, and the subscriptions that end by themselves."""
        lines = []
        for folder in sorted(self.inbox.iterdir()) if current else ():
            head = json.loads((folder / HEAD).read_text("utf-8"))
            if head["dataset"] == "orders" and folder.name not in self.taken and date.fromisoformat(head["business_date"]) <= today:
                self.taken.add(folder.name)
                rows = [row for file in head["files"] for row in rows_of(folder / file["name"])]
                lines += [row | {"partner": head["partner"], "drop": folder.name} for row in sorted(rows, key=lambda row: row["line_no"])]
        births = {key: oracle_persons.name(records)[2] for key, records in register_of(self.past).items()}
        state = oracle_orders.Night(today, self.nights, births, self.past.permissions, self.past.units)
        placed = [row | {"person": self.past.person(row["personnummer"]), "bucket": 0, "position": n} for n, row in enumerate(lines)]
        oracle_orders.take(state, self.past.subscriptions.values(), placed)
        self.past.subscriptions = state.subscriptions
        self.waiting |= {(row["partner"], row["person"], row["benefit"]) for row in state.refreshes}
        receipts: dict[str, list[tuple[str, int, str, date | None]]] = {}
        for row in state.receipts:
            receipts.setdefault(row["partner"], []).append((row["order_id"], row["line_no"], row["code"], row["effective_on"]))
        return receipts

    def follow_subscriptions(self) -> None:
        """What became of the groups: ended, begun anew, moved back."""
        for key in self.rules.groups.keys() - self.past.subscriptions.keys():
            oracle_world.end(self.rules, key)
        for key, row in self.past.subscriptions.items():
            if key not in self.rules.groups or row["snapshot_night"] == self.nights:
                self.rules.groups[key] = Group(row["from_date"], row["end_date"])
            group = self.rules.groups[key]
            group.from_date, group.end_date = row["from_date"], row["end_date"]
            group.initial_due = group.initial_due or row["initial_due"]
            row["initial_due"] = False

    def turn(self, current: Collection[str]) -> set[GroupKey]:
        """R17, where nobody comes near the throttle: the groups whose refresh has its turn; those of withheld benefits wait on."""
        there = {key for key in self.waiting if key in self.rules.groups}
        turn = {key for key in there if key[2] in current}
        self.waiting = there - turn
        return turn


def as_drop(folder: Path, head: dict[str, Any], broken: bool, rejected: int) -> Drop:
    """A drop as its chain sees it."""
    previous = head.get("previous_business_date")
    dates = date.fromisoformat(head["business_date"]), previous and date.fromisoformat(previous)
    return Drop(folder.name, *dates, rows=sum(file["rows"] for file in head["files"]), broken=broken, rejected=rejected)
