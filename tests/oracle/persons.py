"""Who is who, as plainly as it reads (contract R11, R12), on dicts of the fields of Person."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from schemas.personnummer import is_valid

Row = dict[str, Any]


def counts(record: Row) -> bool:
    """R11: whether a register record is accepted."""
    number, former = record["personnummer"], record["former_personnummer"]
    return is_valid(number) and (former is None or (is_valid(former) and former != number))


def together(links: Iterable[tuple[str, str]]) -> set[frozenset[str]]:
    """R11: the numbers of each person, whatever the order of the links (number, former number)."""
    persons: set[frozenset[str]] = set()
    for link in links:
        touching = {person for person in persons if person & set(link)}
        persons = (persons - touching) | {frozenset(link).union(*touching)}
    return persons


def link(key_of: dict[str, str], links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """number -> the person's key: the former number's person keeps its own (DESIGN 2)."""
    keys = dict(key_of)
    for number, former in links:
        ceases, stays = keys.setdefault(number, number), keys.setdefault(former, former)
        keys = {each: stays if key == ceases else key for each, key in keys.items()}
    return keys


def name(records: Iterable[Row]) -> tuple[str, bool, date]:
    """R11: a person's current number, flag and birth date, from register records with `arrival`."""
    ordered = sorted(records, key=lambda record: (record["recorded_at"], record["arrival"]))
    linking = [record for record in ordered if record["former_personnummer"] is not None]
    return (linking or ordered)[-1]["personnummer"], ordered[-1]["protected"], ordered[-1]["birth_date"]


def merge(rows: Iterable[Row]) -> Row:
    """R12: the one of a person's active subscriptions of one partner and benefit that stays, with what was told to any."""
    ranked = sorted(rows, key=lambda row: (row["from_date"], row["end_date"] is not None, -(row["end_date"] or date.min).toordinal()))
    deviations = [row["deviation_number"] for row in ranked if row["deviation_number"] is not None]
    numbers = sorted({number for row in ranked for number in row["numbers"]})
    return ranked[0] | {"numbers": numbers, "deviation_number": deviations[0] if deviations else None}
