"""The drops of a generated workspace, as the programs that the night is compared with read them: no checks, no chains."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from storage.conf import read_conf


@dataclass(frozen=True)
class Source:
    """The files of one drop. benefit of facts, partner of orders; rows: of all files together."""

    dataset: str
    benefit: str
    partner: str
    paths: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Inputs:
    """A workspace with one business date. units: benefit -> unit; permitted: (partner, purpose, benefit)."""

    business_date: date
    persons: tuple[str, ...]
    facts: tuple[Source, ...]
    orders: tuple[Source, ...]
    units: dict[str, str]
    permitted: frozenset[tuple[str, str, str]]

    @property
    def partners(self) -> list[str]:
        """All partners in conf."""
        return sorted({partner for partner, _, _ in self.permitted})


def sources(workspace: Path) -> Iterator[tuple[date, Source]]:
    """Every drop with its business date, by name."""
    for path in sorted((workspace / "inbox").glob("*/_drop.json")):
        head = json.loads(path.read_bytes())
        files = tuple(str(path.parent / file["name"]) for file in head["files"])
        rows = sum(file["rows"] for file in head["files"])
        day = date.fromisoformat(head["business_date"])
        yield day, Source(head["dataset"], head.get("benefit", ""), head.get("partner", ""), files, rows)


def read_inputs(workspace: Path) -> Inputs:
    """Find the drops of a workspace that holds one business date."""
    conf = read_conf(workspace / "conf")
    found = list(sources(workspace))
    (day,) = {day for day, _ in found}
    of = {name: tuple(source for _, source in found if source.dataset == name) for name in ("persons", "facts", "orders")}
    permitted = frozenset(
        (name, permission.purpose, benefit)
        for name, partner in conf.partners.items()
        for permission in partner.permissions
        for benefit in permission.benefits
    )
    return Inputs(
        day,
        tuple(path for source in of["persons"] for path in source.paths),
        of["facts"],
        of["orders"],
        {code: benefit.unit for code, benefit in conf.benefits.items()},
        permitted,
    )


def fold_links(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Number -> the person's key, of those who have changed number (R11). links: (number, former number) in order of arrival."""
    keys: dict[str, str] = {}
    for number, former in links:
        ceases, stays = keys.get(number, number), keys.get(former, former)
        for each in (number, ceases, *[each for each, key in keys.items() if key == ceases]):
            if each != stays:
                keys[each] = stays
    return keys
