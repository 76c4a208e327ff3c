"""Random sayings for a small world: facts, register records and order lines about few persons, so that much happens to each."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tests.kit import Row, World, number, span

PEOPLE = [number(born) for born in ("1990-01-15", "1985-06-30", "2000-02-29", "1970-01-01")]
LATER = [number("1990-01-15", 985), number("1985-06-30", 985)]  # numbers that somebody may get
BENEFITS = ("FK:SJP", "FK:TFP", "FK:AS", "FK:SA")
PARTNERS = ("ALLA", "BOLAGET", "KASSAN")
MAY = date(2024, 5, 1)
NIGHT_BEFORE_ALL = date(2024, 6, 1)

people = st.sampled_from(PEOPLE)
benefits = st.sampled_from(BENEFITS)
extents = st.sampled_from([1000, 500])


@dataclass(frozen=True)
class Said:
    """Something that is said of the world before a night. whose: a chain or orders/<partner>."""

    whose: str
    row: dict[str, Any]

    def say(self, world: World) -> None:
        """Say it."""
        world.say(self.whose, dict(self.row))


@st.composite
def periods(draw: st.DrawFn) -> tuple[date, date]:
    """Some days in May 2024."""
    first = draw(st.integers(0, 25))
    return MAY + timedelta(first), MAY + timedelta(draw(st.integers(first, 30)))


@st.composite
def spans(draw: st.DrawFn, first: date, last: date) -> list[Row]:
    """What a decision grants in its period: all of it, or two parts."""
    cut = first + timedelta(draw(st.integers(0, (last - first).days)))
    if cut == last or draw(st.booleans()):
        return [span(first, last, draw(extents), waiting=draw(st.booleans()) and first == last)]
    return [span(first, cut, draw(extents), waiting=draw(st.booleans())), span(cut + timedelta(1), last, draw(extents))]


@st.composite
def facts(draw: st.DrawFn, persons: st.SearchStrategy[str] = people, faulty: bool = True) -> Said:
    """A version of a fact; faulty: it may be one that is rejected."""
    benefit, (first, last) = draw(benefits), draw(periods())
    kind = draw(st.sampled_from(["DECISION", "DECISION", "PAYMENT", "PAYMENT", "RECOVERY_CLAIM"]))
    fact_id = {"DECISION": "D", "PAYMENT": "P", "RECOVERY_CLAIM": "R"}[kind] + draw(st.sampled_from("12"))
    row: Row = {
        "personnummer": draw(persons),
        "benefit": benefit,
        "fact_id": fact_id,
        "kind": kind,
        "case_id": draw(st.sampled_from(["C1", "C1", "C2"])),
        "version": draw(st.integers(1, 4)),
        "withdrawn": draw(st.integers(0, 9)) == 0,
        "period_from": first,
        "period_to": last,
        "spans": draw(spans(first, last)) if kind == "DECISION" else [],
        "source_run": draw(st.sampled_from(["run A", "run B"])),
        "reason": draw(st.sampled_from([None, "because"])),
    }
    if kind == "PAYMENT":
        row |= {"amount": Decimal(draw(st.integers(1, 3))), "stated_days": draw(st.sampled_from([None, None, 3]))}
    if kind == "RECOVERY_CLAIM":
        row["refers_to"] = draw(st.sampled_from([None, "P1", "P2"]))
    if kind == "DECISION" and draw(st.integers(0, 5)) == 0:
        row["period_to"] = None
    if faulty and draw(st.integers(0, 7)) == 0:
        row |= draw(st.sampled_from([{"extent_permille": 2000}, {"case_id": ""}, {"period_to": first - timedelta(1)}]))
    return Said(benefit, row)


@st.composite
def records(draw: st.DrawFn) -> Said:
    """A register record: of somebody as before, with another flag, or with another number."""
    who = draw(st.sampled_from([*PEOPLE, *LATER]))
    former = draw(st.sampled_from([None, None, *PEOPLE])) if who in LATER else draw(st.sampled_from([None] * 6 + PEOPLE))
    birth = date(int(who[:4]), int(who[4:6]), int(who[6:8]))
    return Said("PERSONS", {"personnummer": who, "former_personnummer": former, "birth_date": birth, "protected": draw(st.booleans())})


@st.composite
def lines(draw: st.DrawFn) -> Said:
    """An order line, most of them right."""
    action = draw(st.sampled_from(["SUBSCRIBE"] * 4 + ["END", "REFRESH", "REFRESH", "OTHER"]))
    who, benefit = draw(st.sampled_from([*PEOPLE, *LATER])), draw(benefits)
    row: Row = {"action": action, "personnummer": who, "benefit": benefit}
    if action == "SUBSCRIBE":
        dates = draw(st.sampled_from([("2024-01-01", None), ("2024-05-10", None), ("2024-05-20", "2024-06-04"), ("2025-01-01", None)]))
        row |= {"purpose": "insurance", "from_date": dates[0], "end_date": dates[1]}
    if action == "END":
        row["end_date"] = draw(st.sampled_from([None, "2024-05-01", "2024-06-04"]))
    if action == "REFRESH":
        row |= draw(
            st.sampled_from(
                [{}, {"personnummer": None}, {"benefit": None, "personnummer": None}, {"personnummer": None, "born_from": "1990-01-01"}]
            )
        )
    return Said(f"orders/{draw(st.sampled_from(PARTNERS))}", row)
