"""The plan of a night: everything that decides its outcome, pinned before anything is done (DESIGN 4)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from uuid import uuid4

import polars as pl

from pipelines.room import Room
from pipelines.schedule import Recalculation, schedule
from schemas import versions
from schemas.arrival import MOST_DROPS, arrival_of
from schemas.config import Conf
from schemas.frames import CHAINS, DROPS, RECALCULATIONS, RUNS, TABLES
from storage import commands, tables
from storage.agreement import table_folder
from storage.commands import Command
from storage.inbox import Drop, Oddity, scan
from storage.place import place
from storage.tables import TableFile
from storage.workspace import Catalog, LastDelivery, Workspace
from transforms.cut_chains import GAP, SWITCHED_OFF, Candidate, ChainState, Obstacle, by_date, worth_reading

LOOK = "look"  # the run of what only looks, as its folder under staging is called
NOTHING: Mapping[str, tuple[TableFile, ...]] = {}
UNLIMITED = Room()
GOING_ON = "going-on"


def own_name() -> str:
    """A name for a folder that is nobody else's. It never leaves staging, and begins with a letter: twelve digits alone could be a personnummer."""
    return f"p{uuid4().hex[:11]}"


@dataclass(frozen=True)
class Waiting:
    """A drop that the night looks at. ordinal: its place among them, by chain, date and name; orders last."""

    drop: Drop
    ordinal: int

    @property
    def candidate(self) -> Candidate:
        """The drop as its chain sees it."""
        return Candidate(self.drop.name, self.ordinal, self.drop.business_date, self.drop.previous, self.drop.rows)


@dataclass(frozen=True)
class Retraction:
    """A source run that counts as never received (R44). before: arrivals from this one on are new; fresh: tonight is the first night."""

    source_run: str
    reason: str
    before: int
    fresh: bool


@dataclass(frozen=True)
class Heal:
    """The differences that a `reconcile --heal` found (frames.DIFFERENCES). night: the first after it; of_ledger: whether its digests are of this
    code's content version; when the ledger was recoded after it, that is as delivered again."""

    night: int
    rows: TableFile
    of_ledger: bool


@dataclass(frozen=True)
class Decisions:
    """What operators decided. last: number of the last command; refreshes, released_tonight and healing are those that no night has taken yet."""

    last: int = 0
    accepted: frozenset[str] = frozenset()
    released: frozenset[int] = frozenset()
    released_tonight: frozenset[int] = frozenset()
    retractions: tuple[Retraction, ...] = ()
    refreshes: tuple[Command, ...] = ()
    heals: tuple[Heal, ...] = ()
    healing: tuple[TableFile, ...] = ()
    recalculations: tuple[Recalculation, ...] = ()


@dataclass(frozen=True)
class Note:
    """What is said of a folder that the night does not look into. state: of it, as in the report; code: R4's, if any; text: for people."""

    drop: str
    state: str
    code: str
    text: str


@dataclass(frozen=True)
class Plan:
    """A night that is to be. Everything a worker needs is in here or lies where it says.

    root: absolute, as workers have another current folder; first_buckets: how many buckets there were before any were doubled; overruled: drops
    found to have an obstacle in an earlier attempt of the same night, so that a sibling of the same date is tried; room: the memory there is, which
    decides nothing; attempt, call: folders below the run's. An engine may call a step twice, also at the same time, and a killed command may leave
    a job behind that goes on for a while: none of them writes where another one does.
    """

    root: str
    business_date: date
    night: int
    run: str
    buckets: int
    first_buckets: int
    conf: Conf
    waiting: tuple[Waiting, ...]
    states: Mapping[str, ChainState]
    files: Mapping[str, tuple[TableFile, ...]]
    deliveries: Mapping[str, LastDelivery]
    notes: tuple[Note, ...]
    overruled: Mapping[str, Obstacle]
    decisions: Decisions
    room: Room = field(default_factory=Room)
    attempt: str = ""
    call: str = ""

    @property
    def workspace(self) -> Workspace:
        """The workspace that the night belongs to."""
        return Workspace(place(self.root))

    @property
    def staging(self) -> Path:
        """Where the night is prepared: the folder of the run, of this attempt, or of one call of a step."""
        return self.of_run / self.attempt / self.call

    @property
    def of_run(self) -> Path:
        """The folder of the run, whichever attempt or call this is."""
        return self.workspace.staging / self.run

    def for_a_call(self) -> "Plan":
        """The same plan with a folder for one call of a step."""
        return replace(self, call=own_name())

    @property
    def is_going_on(self) -> bool:
        """Whether the attempt has not been given up and cleared away."""
        return (self.of_run / self.attempt / GOING_ON).exists()

    def begin(self) -> "Plan":
        """The same plan with a folder for one run of a pipeline, in which a file lies as long as what it makes is wanted."""
        begun = replace(self, attempt=own_name(), call="")
        begun.staging.mkdir(parents=True, exist_ok=True)
        (begun.staging / GOING_ON).write_bytes(b"")
        return begun

    @cached_property
    def units(self) -> dict[str, str]:
        """Benefit -> unit."""
        return {code: benefit.unit for code, benefit in self.conf.benefits.items()}

    @property
    def current(self) -> list[str]:
        """The benefits that were not withheld last night."""
        return [benefit for benefit in self.conf.benefits if benefit in self.states and self.states[benefit].since is None]

    @cached_property
    def sequences(self) -> dict[str, int]:
        """Partner -> sequence of tonight's delivery."""
        return {name: self.deliveries[name].sequence + 1 if name in self.deliveries else 1 for name in self.conf.partners}

    @cached_property
    def accepted(self) -> frozenset[str]:
        """Names of the waiting drops on which no gate closes, as an operator accepted them."""
        return frozenset(w.drop.name for w in self.waiting if w.drop.sha256 in self.decisions.accepted)

    def of_chain(self, chain: str) -> list[Candidate]:
        """The drops that wait in a chain."""
        return [waiting.candidate for waiting in self.waiting if waiting.drop.chain == chain]

    def by_ordinal(self, ordinal: int) -> Drop:
        """The drop with an ordinal."""
        return self._drops[ordinal]

    @cached_property
    def _drops(self) -> dict[int, Drop]:
        return {waiting.ordinal: waiting.drop for waiting in self.waiting}


def make_plan(
    workspace: Workspace,
    catalog: Catalog,
    conf: Conf,
    business_date: date,
    overruled: Mapping[str, Obstacle],
    instead: Mapping[str, tuple[TableFile, ...]],
    room: Room,
) -> Plan:
    """Pin the inputs of a night. instead: files to be taken for those of a table, below the workspace; room: the memory there is."""
    workspace = workspace.absolute()
    files = {name: tables.files(table_folder(workspace, name)) for name in TABLES} | dict(instead)
    states = read_states(files, catalog.night)
    done = dict(tables.read(files["drops"], DROPS).select("drop", "sha256").iter_rows())
    drops, notes = look_at_inbox(workspace, conf, states, done, business_date)
    decisions = read_decisions(workspace, files, catalog.night, business_date)
    waiting = tuple(Waiting(drop, ordinal) for ordinal, drop in enumerate(drops))
    pinned = {
        "business_date": str(business_date),
        "after": catalog.run,
        "conf": conf.to_json(),
        "drops": [[drop.name, drop.sha256] for drop in drops],
        "buckets": catalog.buckets,
        "commands": decisions.last,
    }
    digest = hashlib.sha256(json.dumps(pinned, sort_keys=True).encode()).hexdigest()
    return Plan(
        root=str(workspace.root),
        business_date=business_date,
        night=catalog.night + 1,
        run=f"{business_date}-{digest[:12]}",
        buckets=catalog.buckets,
        first_buckets=catalog.first_buckets,
        conf=conf,
        waiting=waiting,
        states=states,
        files=files,
        deliveries=catalog.deliveries,
        notes=tuple(notes),
        overruled=overruled,
        decisions=decisions,
        room=room,
    )


def read_states(files: Mapping[str, tuple[TableFile, ...]], night: int) -> dict[str, ChainState]:
    """Each chain after a night; one that was not in conf of late is as it was when it last was, and not current since."""
    rows = tables.newest(tables.read(files["chains"], CHAINS).filter(pl.col("night") <= night), ["chain"])
    dates = dict(tables.read(files["runs"], RUNS).filter(pl.col("night") <= night).select("night", "business_date").iter_rows())
    return {
        row["chain"]: ChainState(row["last"], row["since"] or dates.get(row["night"] + 1), tuple(row["sizes"]))
        for row in rows.iter_rows(named=True)
    }


def settled_plan(
    workspace: Workspace, catalog: Catalog, conf: Conf, instead: Mapping[str, tuple[TableFile, ...]] = NOTHING, room: Room = UNLIMITED
) -> Plan:
    """The workspace as the last night left it, for what only looks: no drop waits, no command that a night has not taken counts.

    instead: files to be taken for those of a table, below the workspace.
    """
    workspace = workspace.absolute()
    files = {name: tables.files(table_folder(workspace, name)) for name in TABLES} | dict(instead)
    return Plan(
        root=str(workspace.root),
        business_date=catalog.business_date or date.min,
        night=catalog.night + 1,
        run=LOOK,
        buckets=catalog.buckets,
        first_buckets=catalog.first_buckets,
        conf=conf,
        waiting=(),
        states=read_states(files, catalog.night),
        files=files,
        deliveries=catalog.deliveries,
        notes=(),
        overruled={},
        decisions=read_decisions(workspace, files, catalog.night, None),
        room=room,
    )


def read_decisions(
    workspace: Workspace, files: Mapping[str, tuple[TableFile, ...]], night: int, tonight: date | None, up_to: int | None = None
) -> Decisions:
    """Sort the commands by what they do, and tell those that no night has taken yet. tonight: null when no night is planned: then those
    do not count; up_to: the number of the last command that is looked at."""
    given = [command for command in commands.read(workspace) if up_to is None or command.number <= up_to]
    runs = tables.read(files["runs"], RUNS)
    taken_in = {row["night"]: row["commands"] for row in runs.iter_rows(named=True)}
    nights = runs.filter(pl.col("night") <= night)["business_date"].to_list()

    def night_of(command: Command) -> int:
        return min((each for each, last in taken_in.items() if last >= command.number), default=night + 1)

    by_name: dict[str, list[Command]] = {}
    for command in given if tonight else [command for command in given if night_of(command) <= night]:
        by_name.setdefault(command.name, []).append(command)
    return Decisions(
        last=given[-1].number if given else 0,
        accepted=frozenset(c.arguments["sha256"] for c in by_name.get("accept", ())),
        released=frozenset(c.arguments["arrival"] for c in by_name.get("release", ())),
        released_tonight=frozenset(c.arguments["arrival"] for c in by_name.get("release", ()) if night_of(c) > night),
        retractions=tuple(
            Retraction(c.arguments["source_run"], c.arguments["reason"], arrival_of(night_of(c), 0), night_of(c) > night)
            for c in by_name.get("retract", ())
        ),
        refreshes=tuple(c for c in by_name.get("refresh", ()) if night_of(c) > night),
        heals=tuple(
            Heal(night_of(c), c.rows, c.arguments.get("content_version", 1) == versions.CONTENT_VERSION)
            for c in by_name.get("heal", ())
            if c.rows
        ),
        healing=tuple(c.rows for c in by_name.get("heal", ()) if c.rows and night_of(c) > night),
        recalculations=schedule(given, tables.read(files["recalculations"], RECALCULATIONS), nights, tonight),
    )


def look_at_inbox(
    workspace: Workspace, conf: Conf, states: Mapping[str, ChainState], done: Mapping[str, str], business_date: date
) -> tuple[list[Drop], list[Note]]:
    """The drops that tonight looks at, in order, and notes on what is left alone (R1-R4, R6). done: name -> digest of the drops consumed before."""
    chains: dict[str, list[Drop]] = {chain: [] for chain in conf.chains}
    orders: list[Drop] = []
    notes: list[Note] = []
    for found in scan(workspace.inbox):
        if isinstance(found, Oddity):
            notes.append(Note(found.name, found.state, "", found.reason))
        elif found.name in done:
            if found.sha256 != done[found.name]:
                notes.append(
                    Note(found.name, "old", "", "R6: a drop of this name was consumed before: have this one sent under another name")
                )
        elif found.business_date > business_date:
            continue
        elif found.dataset == "orders":
            if found.partner in conf.partners:
                orders.append(found)
            else:
                notes.append(Note(found.name, "unknown", "", f"section 3: partner '{found.partner}' is not in conf/partners.yaml"))
        elif found.benefit is not None and found.benefit not in conf.benefits:
            notes.append(Note(found.name, "unknown", "", f"section 3: benefit '{found.benefit}' is not in conf/benefits.yaml"))
        elif found.chain:
            chains[found.chain].append(found)
    drops: list[Drop] = []
    for chain, found_drops in chains.items():
        last = states.get(chain, ChainState()).last
        names = {drop.name: drop for drop in found_drops}
        candidates = [Candidate(drop.name, 0, drop.business_date, drop.previous, drop.rows) for drop in found_drops]
        fresh = [candidate.name for _, of_day in by_date(last, candidates) for candidate in of_day]
        notes += [Note(name, "old", "", f"R3: {chain} is consumed up to {last}") for name in names if name not in fresh]
        if chain in conf.off:
            notes += [Note(name, "waiting", SWITCHED_OFF, f"R4: {chain} is switched off in conf/closures.yaml") for name in fresh]
            continue
        reachable = [candidate.name for candidate in worth_reading(last, candidates)]
        notes += [Note(name, "waiting", GAP, f"R3: there is a gap in {chain} before it") for name in fresh if name not in reachable]
        drops += [names[name] for name in reachable]
    looked_at = [*drops, *sorted(orders, key=lambda drop: drop.name)]
    notes += [Note(drop.name, "waiting", "", f"a night takes {MOST_DROPS:,} drops, a later one this") for drop in looked_at[MOST_DROPS:]]
    return looked_at[:MOST_DROPS], sorted(notes, key=lambda note: note.drop)


def permission_frame(conf: Conf) -> pl.DataFrame:
    """(partner, purpose, benefit) of conf."""
    rows = [
        (name, permission.purpose, benefit)
        for name, partner in conf.partners.items()
        for permission in partner.permissions
        for benefit in permission.benefits
    ]
    return pl.DataFrame(rows, schema={"partner": pl.String(), "purpose": pl.String(), "benefit": pl.String()}, orient="row").unique()
