"""Which numbers are one person (R11): a record with a former number links the new number to the person of the old one."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from schemas.personnummer import valid

ALIASES = pl.Schema({"number": pl.String, "person": pl.String})


@dataclass(frozen=True)
class Linked:
    """aliases: every number whose person's key is another number. moves: keys that ceased tonight -> the key that has taken over."""

    aliases: Mapping[str, str]
    moves: Mapping[str, str]


def acceptable(records: pl.DataFrame) -> pl.Series:
    """Which register records count (R11): valid numbers, and not oneself as former. Boolean, one per record."""
    number, former = pl.col("personnummer"), pl.col("former_personnummer")
    return records.select((valid(number) & (former.is_null() | (valid(former) & (former != number)))).alias("ok"))["ok"]


def link_persons(aliases: Mapping[str, str], links: pl.DataFrame) -> Linked:
    """Take links (personnummer, former_personnummer) in the order in which they arrived.

    The person of the former number keeps its key; all numbers of the other follow.
    """
    person = dict(aliases)
    members: dict[str, set[str]] = {}
    for number, key in person.items():
        members.setdefault(key, {key}).add(number)
    moved: set[str] = set()
    for number, former in links.select("personnummer", "former_personnummer").iter_rows():
        ceases, stays = person.get(number, number), person.get(former, former)
        if ceases == stays:
            continue
        followers = members.pop(ceases, {ceases})
        members.setdefault(stays, {stays}).update(followers)
        person.update(dict.fromkeys(followers, stays))
        moved.add(ceases)
    return Linked({n: key for n, key in person.items() if n != key}, {key: person[key] for key in sorted(moved)})


def alias_frame(aliases: Mapping[str, str]) -> pl.DataFrame:
    """The aliases as a frame, by number."""
    return pl.DataFrame({"number": list(aliases), "person": list(aliases.values())}, schema=ALIASES).sort("number")


def with_person(records: pl.DataFrame, aliases: pl.DataFrame, number: str = "personnummer") -> pl.DataFrame:
    """Add `person`, the key of the person whose number stands in a column; a number that nobody linked is its own key."""
    if aliases.is_empty():
        return records.with_columns(pl.col(number).alias("person"))
    keyed = records.join(aliases, left_on=number, right_on="number", how="left", maintain_order="left")
    return keyed.with_columns(pl.coalesce("person", number).alias("person"))
