"""What each command prints with --json, as typed values. `lefi schemas` publishes them; every output in the tests is held against them.

A later version may add keys, and takes none away.
"""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.explanation import Explanation

Count = int
ByBenefit = dict[str, dict[str, int]]


class Summary(BaseModel):
    """A part of a summary."""

    model_config = ConfigDict(extra="forbid")


class Withheld(Summary):
    """A benefit, or PERSONS, that is withheld; since: the business date of the first such night."""

    benefit: str
    code: str
    since: date
    text: str


class DropState(Summary):
    """A drop that was not consumed, and why."""

    drop: str
    state: str
    code: str
    text: str


class Delivery(Summary):
    """What a partner got."""

    sequence: int
    records: int
    receipts: int


class RehearsedDelivery(Delivery):
    """What a partner would get. totals: benefit -> action -> records."""

    totals: ByBenefit
    withheld: list[str]


class Rejected(Summary):
    """A rejected record that freezes somebody."""

    id: str
    benefit: str
    code: str
    drop: str


class Refreshing(Summary):
    """A refresh that is not all delivered. waiting: of its groups; slices: delivered so far."""

    partner: str
    order_id: str
    line_no: int
    groups: int
    waiting: int
    slices: int


class Recalculating(Summary):
    """A recalculation that is not over. waiting: for a withheld benefit."""

    source_run: str
    effective: date
    reason: str
    first_night: date
    nights: int
    done: int
    remaining: int
    waiting: str | None
    decisions: int
    unchanged: int
    skipped: int


class Work(Summary):
    """What a command went through: rows and bytes of each of its steps, so a row that three steps went through counts three times; bytes as they
    lie on disk. seconds: by the clock; peak_mib: the most resident memory that the command and all processes below it had.
    """

    rows: int
    bytes: int
    seconds: float
    rows_per_second: int
    bytes_per_second: int
    peak_mib: int


class Running(Work):
    """A command that is at work. share: from 0 to 1; seconds_left: by the speed so far, null as long as there is none to speak of."""

    command: str
    share: float
    seconds_left: int | None


class Init(Summary):
    """`lefi init`."""

    workspace: str
    buckets: int


class Generate(Summary):
    """`lefi generate`. made and kept are drops; rows by dataset."""

    first: date
    last: date
    drops: int
    kept: int
    rows: dict[str, int]


class Nightly(Summary):
    """`lefi nightly`. report: below the workspace."""

    run: str
    business_date: date
    deliveries: dict[str, Delivery]
    withheld: list[Withheld]
    quarantined: int
    drops: list[DropState]
    report: str
    work: Work


class Status(Summary):
    """`lefi status`. unfinished: runs committed and not settled; missed: dates between two nights; audit: differences by benefit."""

    workspace: str
    last_night: date | None
    nights: int
    unfinished: list[str]
    deliveries: dict[str, Delivery]
    withheld: list[Withheld]
    missed: list[date]
    quarantine: list[Rejected]
    drops: list[DropState]
    refreshes: list[Refreshing]
    recalculations: list[Recalculating]
    audit: dict[str, Any]
    running: Running | None
    next: str


class Refresh(Summary):
    """`lefi refresh`."""

    order_id: str
    persons: int
    groups: int


class Retract(Summary):
    """`lefi retract`."""

    source_run: str
    records: int


class Accept(Summary):
    """`lefi accept`. sha256: of the `_drop.json` that was accepted."""

    drop: str
    sha256: str


class Release(Summary):
    """`lefi release`."""

    id: str
    benefit: str
    code: str
    drop: str


class Differing(Summary):
    """How many differences of a kind. what: the action that mends them, or LEDGER."""

    partner: str
    benefit: str
    what: str
    count: int


class LostInStore(Summary):
    """Where the store has not what the nights put there."""

    bucket: int
    benefit: str
    facts: int
    span_days: int
    facts_found: int
    span_days_found: int


class Reconcile(Summary):
    """`lefi reconcile`. healing: the number of the command that heals, null when none was given."""

    differences: int
    persons: int
    by: list[Differing]
    store: list[LostInStore]
    healing: int | None
    work: Work


class Recalculate(Summary):
    """`lefi recalculate`, ordered. slices: persons by night."""

    source_run: str
    persons: int
    nights: int
    slices: list[int]
    work: Work


class Spread(Summary):
    """Amounts in kronor a month, as decimal texts; null when there are none."""

    least: str | None
    lower_quarter: str | None
    middle: str | None
    upper_quarter: str | None
    most: str | None


class Amounts(Summary):
    """Amounts before and after."""

    before: Spread
    after: Spread
    change: Spread
    sum_before: str
    sum_after: str


class Load(Summary):
    """What a night's slice means for a partner."""

    records: int
    persons: int
    percent_of_throttle: float


class Slice(Summary):
    """A night of a recalculation, from 1."""

    slice: int
    persons: int
    partners: dict[str, Load]


class RecalculatePlan(Summary):
    """`lefi recalculate --plan`."""

    source_run: None
    persons: int
    nights: int
    decisions: int
    unchanged: int
    skipped: int
    amounts: Amounts
    slices: list[Slice]
    work: Work


class RecalculateCancel(Summary):
    """`lefi recalculate --cancel`. Nights."""

    source_run: str
    done: int
    stopped: int


class Changed(Summary):
    """Records that a release would change."""

    partner: str
    benefit: str
    action: str
    count: int


class Ended(Summary):
    """Subscriptions that a conf would end."""

    partner: str
    benefit: str
    count: int


class Place(Summary):
    """A delivered record."""

    sequence: int
    record_no: int


class Sample(Summary):
    """A record that would be other. changes: field -> [before, after]."""

    partner: str
    benefit: str
    action: str
    fact_id: str | None
    kind: str | None
    told: Place | None
    changes: dict[str, list[Any]]


class ReleaseChanges(Summary):
    """What this code and conf would change of what was told."""

    differences: int
    by: list[Changed]
    ended: list[Ended]
    not_compared: list[str]
    samples: list[Sample]


class Rehearse(Summary):
    """`lefi rehearse`."""

    business_date: date
    deliveries: dict[str, RehearsedDelivery]
    withheld: list[Withheld]
    quarantined: int
    drops: list[DropState]
    release: ReleaseChanges
    work: Work


class Nights(Summary):
    """Nights of a table."""

    found: int
    rebuilt: int


class Rebuild(Summary):
    """`lefi rebuild`. catalog: it was not that of the last run."""

    night: int
    business_date: date | None
    run: str
    catalog: bool
    tables: dict[str, Nights]
    notes: list[str]
    work: Work


class Folded(Summary):
    """Files joined, and to how many."""

    files: int
    folds: int


class Compact(Summary):
    """`lefi compact`. removed: old files."""

    night: int
    tables: dict[str, Folded]
    removed: int


class Rebucket(Summary):
    """`lefi rebucket`. before, after: numbers of buckets, equal when there was nothing to do."""

    before: int
    after: int
    tables: dict[str, Folded]
    work: Work


class ErasedDelivery(Summary):
    """A delivery whose files were erased, or would be."""

    partner: str
    sequence: int
    business_date: date


class RemainingDelivery(ErasedDelivery):
    """One that may not be fetched yet."""

    erasable_from: date


class Erase(Summary):
    """`lefi erase`. number: of the erasure, null for a plan; persons: how many numbers; rows by table; files: old ones of tables."""

    plan: bool
    number: int | None
    persons: int
    rows: dict[str, int]
    deliveries: list[ErasedDelivery]
    files: int
    watched: list[str]
    remains: list[RemainingDelivery]
    inbox: list[str]


class Key(Summary):
    """A public key of a key list."""

    id: str
    algorithm: Literal["Ed25519"]
    public: str
    valid_from: date | None
    valid_until: date | None


class KeyMade(Summary):
    """`lefi key`."""

    file: str
    made: bool
    id: str
    algorithm: Literal["Ed25519"]
    public: str
    list_: str | None = Field(alias="list")
    keys: list[Key]


class Export(Summary):
    """`lefi export`. Sequences."""

    partner: str
    to: str
    exported: list[int]
    kept: list[int]
    erased: list[int]


class Unpack(Summary):
    """`lefi unpack`. Sequences."""

    partner: str
    opened: list[int]


class Schemas(Summary):
    """`lefi schemas`. files: below the folder."""

    folder: str
    files: list[str]


class EnginesOnThisMachine(Summary):
    """`lefi engines`. processes: name -> process id; gone: those that ended by themselves; answers: what -> host:port; stopped: by this command."""

    engine: str
    processes: dict[str, int]
    gone: list[str]
    answers: dict[str, str]
    logs: str
    stopped: list[str]


class Receive(Summary):
    """`lefi receive`. received, records and receipts came this time; sequence, business_date and withheld are of the last delivery."""

    partner: str
    received: int
    records: int
    receipts: int
    sequence: int | None
    business_date: date | None
    withheld: list[Withheld]
    facts: int
    groups: int
    incomplete: int
    unfinished: list[int]
    work: Work


BY_COMMAND: dict[str, Any] = {
    "accept": Accept,
    "compact": Compact,
    "engines": EnginesOnThisMachine,
    "erase": Erase,
    "explain": Explanation,
    "export": Export,
    "generate": Generate,
    "init": Init,
    "key": KeyMade,
    "nightly": Nightly,
    "rebucket": Rebucket,
    "rebuild": Rebuild,
    "recalculate": Recalculate | RecalculatePlan | RecalculateCancel,
    "receive": Receive,
    "reconcile": Reconcile,
    "refresh": Refresh,
    "rehearse": Rehearse,
    "release": Release,
    "retract": Retract,
    "schemas": Schemas,
    "status": Status,
    "unpack": Unpack,
}


def schema_of(command: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what a command prints with --json. Keys that a later version adds are allowed by it."""
    schema = TypeAdapter(BY_COMMAND[command]).json_schema(mode="serialization")
    opened: dict[str, Any] = open_to_more(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **opened, "title": f"lefi {command} --json"}


def open_to_more(value: Any) -> Any:
    """A schema without `additionalProperties: false`."""
    if isinstance(value, dict):
        return {key: open_to_more(each) for key, each in value.items() if (key, each) != ("additionalProperties", False)}
    return [open_to_more(each) for each in value] if isinstance(value, list) else value


def require_summary(command: str, printed: str) -> None:
    """Hold what a command printed against its type, key by key. pydantic.ValidationError."""
    TypeAdapter(BY_COMMAND[command]).validate_json(printed, strict=False)
