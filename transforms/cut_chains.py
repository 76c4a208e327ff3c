"""Which drops of a chain are consumed tonight, and what stops it (R2-R4)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from statistics import median

from schemas.gates import QUARANTINE_RATE, RATE_PERCENT, RATE_RECORDS, VOLUME, VOLUME_FACTOR, VOLUME_HISTORY, VOLUME_ROWS, VOLUME_WINDOW

BROKEN_DROP, GAP = "BROKEN_DROP", "GAP"
SWITCHED_OFF, NO_DROP, PLANNED_CLOSURE = "SWITCHED_OFF", "NO_DROP", "PLANNED_CLOSURE"


@dataclass(frozen=True)
class ChainState:
    """A chain after the last night. last: business date of the last drop consumed; since: first night of the present row without; sizes: rows of
    the last ten drops consumed, newest last."""

    last: date | None = None
    since: date | None = None
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A drop that waits in a chain. ordinal: its place among all drops of the night."""

    name: str
    ordinal: int
    business_date: date
    previous: date | None
    rows: int


@dataclass(frozen=True)
class Obstacle:
    """What keeps a drop from being consumed. text: for people; rejected: of a drop on which QUARANTINE_RATE closed, the rejected records by code."""

    code: str
    text: str
    rejected: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """consumed: in order; obstacle: the first one, if any."""

    consumed: tuple[Candidate, ...]
    obstacle: Obstacle | None


def by_date(last: date | None, waiting: Iterable[Candidate]) -> list[tuple[date, list[Candidate]]]:
    """The drops that are not old (R3), oldest date first, those of one date by name."""
    dates: dict[date, list[Candidate]] = {}
    for candidate in sorted(waiting, key=lambda c: (c.business_date, c.name)):
        if last is None or candidate.business_date > last:
            dates.setdefault(candidate.business_date, []).append(candidate)
    return list(dates.items())


def gap(last: date | None, candidate: Candidate) -> Obstacle | None:
    """R3: a drop must name the business date of the last one consumed, or an earlier one."""
    if last is None or (candidate.previous is not None and candidate.previous <= last):
        return None
    named = candidate.previous or "none"
    return Obstacle(GAP, f"{candidate.name} follows {named}, the last one consumed is of {last}")


def cut(last: date | None, waiting: Iterable[Candidate], obstacles: Mapping[str, Obstacle]) -> Cut:
    """Take what can be taken: of each date the lowest name without obstacle; stop at the first date that has none (R2)."""
    consumed: list[Candidate] = []
    for day, candidates in by_date(last, waiting):
        hindered = [obstacles.get(candidate.name) or gap(last, candidate) for candidate in candidates]
        if None not in hindered:
            return Cut(tuple(consumed), hindered[0])
        consumed.append(candidates[hindered.index(None)])
        last = day
    return Cut(tuple(consumed), None)


def worth_reading(last: date | None, waiting: Iterable[Candidate]) -> list[Candidate]:
    """The drops that could be consumed tonight, as far as their heads tell: all up to the first date that is surely a gap, that one included."""
    reachable: list[Candidate] = []
    for day, candidates in by_date(last, waiting):
        reachable += candidates
        if all(gap(last, candidate) for candidate in candidates):
            break
        last = day
    return reachable


def gates(rows: int, rejected: Mapping[str, int], sizes: Sequence[int], name: str) -> Obstacle | None:
    """R4's two gates, on a drop that was judged. rejected: records by code; sizes: rows of the drops consumed before it, newest last."""
    together = sum(rejected.values())
    if together > RATE_RECORDS and together * 100 > rows * RATE_PERCENT:
        codes = ", ".join(f"{count} {code}" for code, count in sorted(rejected.items()))
        text = f"{name}: {together} of {rows} records are rejected ({codes}), more than {RATE_PERCENT} % and {RATE_RECORDS} records"
        return Obstacle(QUARANTINE_RATE, text, dict(sorted(rejected.items())))
    usual = usual_rows(sizes)
    if rows > VOLUME_ROWS and usual is not None and not usual / VOLUME_FACTOR <= rows <= usual * VOLUME_FACTOR:
        return Obstacle(VOLUME, f"{name}: {rows} rows, the last {len(sizes[-VOLUME_WINDOW:])} drops had {usual:,.10g} in the middle")
    return None


def usual_rows(sizes: Sequence[int]) -> float | None:
    """R4: the median of the last ten drops consumed, once there are five. sizes: rows, newest last."""
    recent = sizes[-VOLUME_WINDOW:]
    return float(median(recent)) if len(recent) >= VOLUME_HISTORY else None


def next_state(state: ChainState, result: Cut, business_date: date, off: bool, closed: str | None) -> tuple[ChainState, Obstacle | None]:
    """The chain after tonight, and why its benefit is withheld, if it is (R4). closed: the text of a planned closure of tonight."""
    last = result.consumed[-1].business_date if result.consumed else state.last
    sizes = (*state.sizes, *(candidate.rows for candidate in result.consumed))[-VOLUME_WINDOW:]
    if off:
        return ChainState(last, state.since or business_date, sizes), Obstacle(SWITCHED_OFF, "Switched off in conf/closures.yaml")
    if last == business_date:
        return ChainState(last, None, sizes), None
    if result.obstacle:
        reason = result.obstacle
    elif closed is not None:
        reason = Obstacle(PLANNED_CLOSURE, closed or "Planned closure")
    else:
        reason = Obstacle(NO_DROP, f"No drop of {business_date} has come")
    return ChainState(last, state.since or business_date, sizes), reason


def cut_gated(
    state: ChainState,
    waiting: Sequence[Candidate],
    obstacles: Mapping[str, Obstacle],
    rejected: Mapping[str, Mapping[str, int]],
    open_: Collection[str],
) -> tuple[Cut, dict[str, Obstacle]]:
    """Cut a chain with its gates; the second result has all obstacles, the gates' too.

    rejected: records rejected by drop and code, of the drops that were judged; open_: drops that an operator accepted.

    A drop that the result consumes and that `rejected` does not name was never judged: a sibling took its place until a gate closed on it.
    """
    hindered = dict(obstacles)
    while True:
        result = cut(state.last, waiting, hindered)
        sizes = list(state.sizes)
        for candidate in result.consumed:
            closed = None if candidate.name in open_ else gates(candidate.rows, rejected.get(candidate.name, {}), sizes, candidate.name)
            if closed:
                hindered[candidate.name] = closed
                break
            sizes.append(candidate.rows)
        else:
            return result, hindered


def is_current(result: Cut, state: ChainState, business_date: date) -> bool:
    """R4: the chain's drop of tonight has been consumed."""
    last = result.consumed[-1].business_date if result.consumed else state.last
    return last == business_date
