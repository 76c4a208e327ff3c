"""Why a partner was told what it was told, or was not: the answer of `lefi explain`, as typed values."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True)
class Who:
    """A person (R11). numbers: all of the chain; personnummer: the current one, null while no register record has come."""

    numbers: tuple[str, ...]
    personnummer: str | None
    birth_date: date | None
    protected: bool | None
    country: str | None
    deceased_on: date | None


@dataclass(frozen=True)
class Term:
    """How a subscription stood after a night (R12). gone: it had ended."""

    business_date: date
    purpose: str
    from_date: date
    end_date: date | None
    gone: bool


@dataclass(frozen=True)
class Withheld:
    """Why a benefit was withheld in the last night, and since when (R4)."""

    since: date
    code: str
    text: str


@dataclass(frozen=True)
class Rejected:
    """A record in quarantine. state: freezes, released (from the next night on: `to be released`), cured, retracted."""

    id: str
    code: str
    drop: str
    business_date: date
    fact_id: str
    version: int
    state: str


@dataclass(frozen=True)
class Refresh:
    """A refresh that still owes this group (R17). slices: delivered so far; waiting: groups that it owes in all."""

    order_id: str
    line_no: int
    slices: int
    waiting: int


@dataclass(frozen=True)
class Told:
    """A record delivered. file: below the workspace, null when it is not there any more; holds: it is what the partner has now."""

    business_date: date
    sequence: int
    record_no: int
    file: str | None
    action: str | None
    trigger: str | None
    version: int | None
    reason: str | None
    deviation: str | None
    holds: bool


@dataclass(frozen=True)
class Version:
    """A version as it was received. state: held, superseded, retracted, `to be retracted` from the next night on; drop: null when it was made here."""

    version: int
    state: str
    withdrawn: bool
    drop: str | None
    business_date: date
    source_run: str
    recorded_at: datetime


@dataclass(frozen=True)
class Window:
    """Compensated days. decisions: fact_ids of those that decide them, none where R32 makes the window."""

    first: date
    last: date
    extent_permille: int
    level: str | None
    units: int | None
    decisions: tuple[str, ...]


@dataclass(frozen=True)
class Stretch:
    """Days of a payment and the fact_id of the decision that decides them; null where none does."""

    first: date
    last: date
    decision: str | None


@dataclass(frozen=True)
class Fact:
    """A fact, from what was received to what was told.

    state: told, waiting, not visible, withdrawn, retracted, frozen, not subscribed. The fields from kind to deviation are those of the held version.
    """

    fact_id: str
    state: str
    why: str
    versions: tuple[Version, ...]
    kind: str | None
    case_id: str | None
    refers_to: str | None
    period_from: date | None
    period_to: date | None
    amount: Decimal | None
    decided: tuple[Stretch, ...]
    windows: tuple[Window, ...]
    units: int | None
    deviation: str | None
    visible: bool
    told: tuple[Told, ...]


@dataclass(frozen=True)
class Group:
    """What one benefit of the person comes to for the partner.

    subscription: as it stands, null when there is none; why: what holds deliveries back, or why there are none; due: what the next night
    would say of the group as a whole; records: those about no fact (EMPTY, DEVIATION).
    """

    benefit: str
    subscription: Term | None
    history: tuple[Term, ...]
    withheld: Withheld | None
    why: tuple[str, ...]
    due: tuple[str, ...]
    rejected: tuple[Rejected, ...]
    refreshes: tuple[Refresh, ...]
    records: tuple[Told, ...]
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Explanation:
    """One person for one partner. unfinished: committed runs whose state is not all settled yet, so that this may be half of it."""

    partner: str
    last_night: date
    unfinished: tuple[str, ...]
    person: Who
    groups: tuple[Group, ...]
