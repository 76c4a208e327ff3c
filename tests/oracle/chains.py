"""Which drops of a chain a night consumes, and why it is withheld, drop by drop (contract R2-R4)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction


@dataclass(frozen=True)
class Drop:
    """A drop of the chain. broken: as R2 says; rejected: records that R35 turns away; accepted: by an operator."""

    name: str
    business_date: date
    previous: date | None
    rows: int = 10
    broken: bool = False
    rejected: int = 0
    accepted: bool = False


@dataclass
class Chain:
    """A chain between nights. consumed: every drop ever, in order."""

    consumed: list[Drop] = field(default_factory=list)
    since: date | None = None

    @property
    def last(self) -> date | None:
        """Business date of the last drop consumed."""
        return self.consumed[-1].business_date if self.consumed else None


def obstacle(chain: Chain, drop: Drop) -> str | None:
    """R4: what keeps a drop from being consumed next."""
    if drop.broken:
        return "BROKEN_DROP"
    if chain.last is not None and (drop.previous is None or drop.previous > chain.last):  # R3
        return "GAP"
    if drop.accepted:
        return None
    if drop.rejected > 20 and Fraction(drop.rejected, drop.rows) > Fraction(1, 100):
        return "QUARANTINE_RATE"
    sizes = sorted(before.rows for before in chain.consumed[-10:])
    if drop.rows > 1000 and len(sizes) >= 5:
        half = len(sizes) // 2
        median = Fraction(sizes[half] if len(sizes) % 2 else sizes[half - 1] + sizes[half], 2 - len(sizes) % 2)
        if drop.rows * 10 < median or drop.rows > median * 10:
            return "VOLUME"
    return None


def consume(chain: Chain, inbox: Iterable[Drop], on: date) -> str | None:
    """Take what the night of a date can take (R2-R4); the code of the first obstacle."""
    drops = [drop for drop in inbox if drop.business_date <= on]
    while later := [drop for drop in drops if chain.last is None or drop.business_date > chain.last]:
        first = min(drop.business_date for drop in later)
        of_day = sorted((drop for drop in later if drop.business_date == first), key=lambda drop: drop.name.encode())
        codes = [obstacle(chain, drop) for drop in of_day]
        if None not in codes:
            return codes[0]
        chain.consumed.append(of_day[codes.index(None)])
    return None


def night(chain: Chain, inbox: Iterable[Drop], on: date, off: bool, closed: bool) -> str | None:
    """One night of a chain; the code by which its benefit is withheld, null when it is current."""
    code = None if off else consume(chain, inbox, on)
    if chain.last == on:
        chain.since = None
        return None
    chain.since = chain.since or on
    if off:
        return "SWITCHED_OFF"
    return code or ("PLANNED_CLOSURE" if closed else "NO_DROP")
