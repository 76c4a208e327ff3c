"""What every partner is entitled to know, worked out slowly from the drops that the nights consumed, and held against what it was told.

The way from drops to facts, persons and subscriptions is that of tests/oracle, record by record; nothing of lefi's own state is read but which
drops and commands each night took, what it withheld, and in which slices a recalculation was dealt.
"""

import csv
import io
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from schemas.arrival import arrival_of
from schemas.buckets import bucket_of
from storage.inbox import HEAD
from tests.kit import CATALOGUE, ORDER_LINE, ROOT, Row, World, avro_rows
from tests.oracle import facts as oracle_facts
from tests.oracle import orders as oracle_orders
from tests.oracle import persons as oracle_persons
from tests.oracle import recalculation as oracle_recalculation
from tests.oracle.facts import Fact
from tests.oracle.world import CONTENT, Group, visible
from tests.oracle.world import World as Rules

TIMETABLE = yaml.safe_load((ROOT / "conf" / "rules" / "certificates.yaml").read_text("utf-8"))["years"]
Known = dict[tuple[str, str], Any]  # (personnummer, benefit) -> fact_id -> content, or the code by which it is incomplete


@dataclass
class Past:
    """Everything that the nights took, as of the last one. keys: number -> person; ever: groups that were once subscribed."""

    units: dict[str, str]
    permissions: set[tuple[str, str, str]]
    keys: dict[str, str] = field(default_factory=dict)
    register: list[Row] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    rejected: list[Fact] = field(default_factory=list)
    subscriptions: dict[oracle_orders.Group, Row] = field(default_factory=dict)
    ever: set[oracle_orders.Group] = field(default_factory=set)
    recalculations: list[oracle_recalculation.Recalculation] = field(default_factory=list)
    arrivals: int = 0

    def arrive(self, row: Row) -> Row:
        """A row with its place among all that came."""
        self.arrivals += 1
        return {**row, "arrival": self.arrivals}

    def person(self, personnummer: str | None) -> str:
        """The key of whoever has a number."""
        return self.keys.get(personnummer or "", personnummer or "")


def past_of(world: World) -> Past:
    """All nights of a workspace once more, slowly."""
    conf = world.root / "conf" / "benefits.yaml"
    catalogue = yaml.safe_load(conf.read_text("utf-8"))["benefits"] if conf.exists() else CATALOGUE
    permissions = {
        (name, each["purpose"], b) for name, of in partners_of(world).items() for each in of["permissions"] for b in each["benefits"]
    }
    past = Past({benefit: entry["unit"] for benefit, entry in catalogue.items()}, permissions)
    commands = [json.loads(path.read_text("utf-8")) for path in sorted((world.root / "store" / "commands").glob("*.json"))]
    taken = 0
    for number, path in enumerate(sorted((world.root / "runs").glob("*/commit.json")), 1):
        document = json.loads(path.read_text("utf-8"))
        for command in commands:
            if taken < command["number"] <= document["commands"]:
                obey(past, command["name"], command["arguments"])
        taken = document["commands"]
        drops = sorted(document["rows"]["drops"], key=lambda row: row["ordinal"])
        today = date.fromisoformat(document["business_date"])
        take(past, number, today, {world.root / "inbox" / row["drop"]: row["ordinal"] for row in drops})
        recalculate(past, today, {each["benefit"] for each in document["withheld"]}, world.buckets)
    return past


def partners_of(world: World) -> dict[str, Any]:
    """The partners in conf as it is now."""
    return dict(yaml.safe_load((world.root / "conf" / "partners.yaml").read_text("utf-8"))["partners"])


def obey(past: Past, command: str, arguments: Row) -> None:
    """What an operator decided, as far as it changes what there is to know."""
    match command:
        case "retract":  # R44: its records count as never received
            past.facts = [fact for fact in past.facts if fact["source_run"] != arguments["source_run"]]
            past.rejected = [fact for fact in past.rejected if fact["source_run"] != arguments["source_run"]]
        case "release":  # R36
            past.rejected = [fact for fact in past.rejected if fact["id"] != arguments["arrival"]]
        case "recalculate":
            past.recalculations.append(oracle_recalculation.ordered(arguments))
        case "cancel":
            for each in past.recalculations:
                each.cancelled = each.cancelled or each.source_run == arguments["source_run"]


def recalculate(past: Past, today: date, withheld: Collection[str], buckets: int) -> None:
    """R40-R42: a night's slices, from what it has just taken."""
    births = {key: oracle_persons.name(of)[2] for key, of in register_of(past).items()}
    for each in past.recalculations:
        if due := oracle_recalculation.turns(each, today, oracle_recalculation.BENEFIT not in withheld):
            places = buckets_of({fact["person"] for fact in past.facts}, buckets)
            past.facts += map(past.arrive, oracle_recalculation.decide(each, due, today, past.facts, past.rejected, births, places))


def buckets_of(persons: Iterable[str], buckets: int) -> dict[str, int]:
    """The bucket of each person's key."""
    frame = pl.DataFrame({"person": sorted(persons)}, schema={"person": pl.String()})
    return dict(frame.select("person", bucket_of(pl.col("person"), buckets).alias("bucket")).iter_rows())


def take(past: Past, night: int, today: date, ordinals: dict[Path, int]) -> None:
    """One night's drops (folder -> ordinal, rising): who is who, then facts, then orders."""
    drops = [(json.loads((folder / HEAD).read_text("utf-8")), folder) for folder in ordinals]
    rows = {folder: [row for file in head["files"] for row in rows_of(folder / file["name"])] for head, folder in drops}
    for head, folder in drops:
        if head["dataset"] == "persons":
            meet(past, rows[folder])
    for head, folder in drops:
        if head["dataset"] == "facts":
            receive(past, head, rows[folder], arrival_of(night, ordinals[folder]))
    ordered = sorted(((head, folder) for head, folder in drops if head["dataset"] == "orders"), key=lambda each: each[1].name)
    order(
        past, night, today, [line | {"partner": head["partner"], "drop": folder.name} for head, folder in ordered for line in rows[folder]]
    )


def rows_of(path: Path) -> list[Row]:
    """The rows of a file, Avro or CSV."""
    if path.suffix == ".avro":
        return avro_rows(path)
    lines = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
    return [dict.fromkeys(ORDER_LINE.fields) | line | {"line_no": int(line["line_no"])} for line in lines]


def meet(past: Past, records: Iterable[Row]) -> None:
    """R11: the register's records; whose number turns out to be another's former one moves with all that belongs to it."""
    for record in map(past.arrive, records):
        if oracle_persons.counts(record):
            past.register.append(record)
            past.keys.setdefault(record["personnummer"], record["personnummer"])
            former = record["former_personnummer"]
            past.keys = oracle_persons.link(past.keys, [(record["personnummer"], former)] if former else [])
    for fact in (*past.facts, *past.rejected):
        fact["person"] = past.person(fact["personnummer"])
    for each in past.recalculations:
        oracle_recalculation.rename(each, past.keys)
    moved: dict[oracle_orders.Group, list[Row]] = {}
    for (partner, person, benefit), row in past.subscriptions.items():
        moved.setdefault((partner, past.person(person), benefit), []).append(row | {"person": past.person(person)})
    past.subscriptions = {group: oracle_persons.merge(rows) for group, rows in moved.items()}
    past.ever = {(partner, past.person(person), benefit) for partner, person, benefit in past.ever}


def receive(past: Past, head: Row, records: Iterable[Row], first_id: int) -> None:
    """R20, R35, R45: a drop's facts, each judged by itself and by those before it. first_id: by which an operator knows the first of them."""
    unit = past.units[head["benefit"]]
    received: dict[str, list[Fact]] = {}
    for other in past.facts:
        received.setdefault(other["person"], []).append(other)
    facts = [
        past.arrive(record) | {"person": past.person(record["personnummer"]), "id": place} for place, record in enumerate(records, first_id)
    ]
    early = {fact["arrival"] for fact in facts if premature(fact, date.fromisoformat(head["business_date"]))}
    sound = [(fact, head["benefit"], unit) for fact in facts if fact["arrival"] not in early]
    codes: dict[int, str | None] = dict.fromkeys(early, "PREMATURE_BLOCK")
    for person in {fact["person"] for fact, _, _ in sound}:
        codes |= oracle_facts.judge([each for each in sound if each[0]["person"] == person], received.get(person, []))
    for fact in facts:
        code = codes[fact["arrival"]]
        if code is None:
            past.facts.append(fact)
        elif code != "SAME":
            past.rejected.append(fact | {"code": code, "drop_benefit": head["benefit"]})


def premature(fact: Fact, on: date) -> bool:
    """R45: whether a block comes before the first of the month in which payments stop."""
    if fact["kind"] != "LIFE_CERTIFICATE" or fact["status"] != "5" or fact["period_from"] is None:
        return False
    rounds = TIMETABLE.get(fact["period_from"].year, {"rounds": []})["rounds"]
    own = [each for each in rounds if fact["country"] in each["countries"]] or [each for each in rounds if each.get("others")]
    return bool(own) and on < own[0]["payments_stop"]


def order(past: Past, night: int, today: date, lines: list[Row]) -> None:
    """R12-R16: a night's order lines, and the subscriptions that end by themselves."""
    births = {key: oracle_persons.name(of)[2] for key, of in register_of(past).items()}
    state = oracle_orders.Night(today, night, births, past.permissions, past.units)
    placed = [
        line | {"person": past.person(line["personnummer"]), "bucket": 0, "position": place}
        for place, line in enumerate(sorted(lines, key=lambda line: (line["drop"], line["line_no"])))
    ]
    oracle_orders.take(state, past.subscriptions.values(), placed)
    past.subscriptions = state.subscriptions
    past.ever |= set(state.subscriptions)


def register_of(past: Past) -> dict[str, list[Row]]:
    """Person -> the register's records."""
    found: dict[str, list[Row]] = {}
    for record in past.register:
        found.setdefault(past.person(record["personnummer"]), []).append(record)
    return found


def entitled(past: Past) -> dict[str, Known]:
    """Partner -> what it must know of every group (R50)."""
    names = {key: oracle_persons.name(of)[0] for key, of in register_of(past).items()}
    about: dict[tuple[str, str], list[Fact]] = {}
    for fact in past.facts:
        about.setdefault((fact["person"], fact["benefit"]), []).append(fact)
    known: dict[str, Known] = {}
    for (partner, person, benefit), row in past.subscriptions.items():
        key, facts = (partner, person, benefit), about.get((person, benefit), [])
        rules = Rules(past.units, lambda _: 0, facts, groups={key: Group(row["from_date"])})
        code = oracle_facts.frozen(person, benefit, past.rejected, oracle_facts.hold(facts))
        shown = {fact_id: content for fact_id, (_, content) in visible(rules, key).items()}
        known.setdefault(partner, {})[names[person], benefit] = code or shown
    return known


def told(world: World, partner: str) -> Known:
    """What a partner knows, having folded all of its deliveries: in the form of `entitled`."""
    fold = world.picture(partner)
    return {
        group: code or {fact_id: content_of(record) for fact_id, (_, record) in fold.facts.get(group, {}).items()}
        for group, code in fold.groups.items()
    }


def content_of(record: Row) -> Row:
    """R22: what a record says of its fact."""
    return {name: record[name] for name in CONTENT} | {"deviation": record["deviation"] and record["deviation"]["code"]}


def is_told(knows: Known, group: tuple[str, str], content: Any, past: Past) -> bool:
    """Whether a partner knows of a group what it is entitled to. That it is frozen is said once, under the number and with the code of that time, and
    nothing since, also when another record has come to freeze it meanwhile (R37)."""
    if not isinstance(content, str):
        return group in knows and bool(knows[group] == content)
    number, benefit = group
    return any(isinstance(said, str) for (of, b), said in knows.items() if (past.person(of), b) == (past.person(number), benefit))


def everybody_knows(world: World) -> None:
    """Every partner's picture is what it is entitled to, of benefits that are current; nobody was told of anybody not subscribed (R29, R50)."""
    past = past_of(world)
    due = entitled(past)
    withheld = {each["benefit"] for each in world.report()["withheld"]}
    for partner in partners_of(world):
        knows = told(world, partner)
        for (number, benefit), content in due.get(partner, {}).items():
            if benefit in withheld:
                continue
            assert is_told(knows, (number, benefit), content, past), f"{partner}: {benefit}: {knows.get((number, benefit))}, not {content}"
        strangers = [benefit for number, benefit in knows if (partner, past.person(number), benefit) not in past.ever]
        assert not strangers, f"{partner} was told of somebody it never subscribed to"


def a_full_refresh_changes_nothing(world: World, business_date: str) -> None:
    """Everybody knows what there is to know; then each partner gets everything again, and its picture is the same (R50)."""
    everybody_knows(world)
    before = {partner: told(world, partner) for partner in entitled(past_of(world))}
    for partner in before:
        world.lefi("refresh", "--partner", partner)
    world.night(business_date)
    for partner, known in before.items():
        assert {*world.told(partner, "action")} <= {"SNAPSHOT", "EMPTY"}
        assert told(world, partner) == known, partner
    everybody_knows(world)


__all__ = ["a_full_refresh_changes_nothing", "entitled", "everybody_knows", "past_of", "told"]
