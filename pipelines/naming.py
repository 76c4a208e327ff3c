"""Where somebody is named: rows of tables and commands, deliveries and drops that an erasure of persons is about."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.plan import Plan
from schemas.contracts import BY_DATASET, DELIVERY_RECORD, Contract
from schemas.errors import BrokenFileError
from schemas.frames import (
    IDENTITIES,
    SUBSCRIPTION_KEY,
    SUBSCRIPTION_ROWS,
)
from storage import avro, commands, durable, outbox, tables
from storage.inbox import Drop, scan
from storage.thin import Chosen, Left
from storage.workspace import Workspace

BATCH_ROWS = 100_000
# Where a person's numbers stand. A list counts when one of them is in it.
OF_PERSON: Mapping[str, tuple[str, ...]] = {
    "subscriptions": ("person", "numbers", "deviation_number"),
    "members": ("person",),
    "touched": ("person",),
    "told": ("person",),
    "quarantine": ("person", "personnummer"),
    "recalculated": ("person",),
    "facts": ("person", "personnummer"),
    "persons": ("person", "personnummer", "former_personnummer"),
    "identities": ("number", "person"),
}


@dataclass(frozen=True)
class Published:
    """A delivery whose files lie in the outbox."""

    partner: str
    sequence: int
    business_date: date
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """As it stands in summaries and in the log of erasures."""
        return {"partner": self.partner, "sequence": self.sequence, "business_date": str(self.business_date)}


def chains(plan: Plan, numbers: Sequence[str]) -> pl.Series:
    """All numbers that the persons with these numbers have or had (R11), sorted."""
    known = tables.newest(tables.read(plan.files["identities"], IDENTITIES), ["number"])
    asked = pl.Series(numbers, dtype=pl.String())
    keys = pl.concat([asked, known.filter(pl.col("number").is_in(asked.implode()))["person"]]).unique()
    return pl.concat([asked, keys, known.filter(pl.col("person").is_in(keys.implode()))["number"]]).unique().sort()


def watchers(plan: Plan, numbers: pl.Series) -> list[str]:
    """The partners with an active subscription to one of the persons."""
    rows = tables.newest(tables.read(plan.files["subscriptions"], SUBSCRIPTION_ROWS), SUBSCRIPTION_KEY)
    return sorted(rows.filter(~pl.col("gone"), pl.col("person").is_in(numbers.implode()))["partner"].unique())


def of_persons(numbers: pl.Series) -> Chosen:
    """What stays of any table when all rows of some persons are gone."""
    return lambda _first, _last: lambda rows: chosen_rows(rows, numbers)


def chosen_rows(rows: pl.LazyFrame, numbers: pl.Series) -> pl.LazyFrame:
    """The rows that name nobody of some persons."""
    return rows.filter(~names_one(rows.collect_schema(), numbers))


def names_one(schema: Mapping[str, pl.DataType], numbers: pl.Series) -> pl.Expr:
    """Whether a row names one of these numbers. In quarantine one that was sent wrongly, with a hyphen or blanks, counts as well."""
    wanted = numbers.to_list()
    columns = sorted({name for names in OF_PERSON.values() for name in names} & set(schema))
    named = [
        pl.col(name).list.eval(pl.element().is_in(wanted)).list.any() if isinstance(schema[name], pl.List) else pl.col(name).is_in(wanted)
        for name in columns
    ]
    if "drop_benefit" in schema:
        named.append(pl.col("personnummer").str.replace_all(r"[^0-9]", "").is_in(wanted))
    return pl.any_horizontal(each.fill_null(False) for each in named)


def delivered(workspace: Workspace) -> Iterator[Published]:
    """The deliveries in the outbox that have files."""
    for folder in sorted(workspace.outbox.glob("*/*")):
        if (folder / outbox.MANIFEST).exists() and outbox.files_of(folder):
            manifest = outbox.manifest_of(folder)
            yield Published(manifest.partner, manifest.sequence, manifest.business_date, folder)


def naming(deliveries: Iterable[Published], numbers: pl.Series, resumed: bool) -> Iterator[Published]:
    """Those in which somebody is named. resumed: also those of which an interrupted erasure has left a part."""
    for each in deliveries:
        parts = [path for path in outbox.files_of(each.folder) if path.name.startswith("part-")]
        begun = resumed and not outbox.is_whole(each.folder)
        if begun or any(has_one(path, DELIVERY_RECORD, numbers) for path in parts):
            yield each


def has_one(path: Path, contract: Contract, numbers: pl.Series) -> bool:
    """Whether an Avro file has a record under one of the numbers. BrokenFileError when it is damaged."""
    names = [name for name in ("personnummer", "former_personnummer") if name in contract.frame]
    named = pl.any_horizontal(pl.col(name).is_in(numbers.to_list()).fill_null(False) for name in names)
    return any(rows.filter(named).height for rows in avro.batches(path, contract, BATCH_ROWS))


def drops_with(workspace: Workspace, numbers: pl.Series) -> list[str]:
    """The names of folders in the inbox in which one of the numbers stands, or of which that cannot be told, as they are damaged."""
    heads = {drop.name: BY_DATASET[drop.dataset] for drop in scan(workspace.inbox) if isinstance(drop, Drop)}
    wanted = [number.encode() for number in numbers]

    def holds(path: Path) -> bool:
        if path.suffix != ".avro":
            data = path.read_bytes()
            return any(number in data for number in wanted)
        try:
            return path.parent.name not in heads or has_one(path, heads[path.parent.name], numbers)
        except BrokenFileError:
            return True

    files = (path for path in sorted(workspace.inbox.glob("*/*")) if path.is_file())
    return sorted({path.parent.name for path in files if holds(path)})


def thin_commands(workspace: Workspace, left: Left, *, look_only: bool = False) -> int:
    """Take rows out of what operators' commands name. Returns how many. look_only: count only."""
    gone = 0
    for path in sorted(commands.folder(workspace).glob("*.parquet")):
        rows = commands.rows_of(str(path))
        kept = left(rows.lazy()).collect()
        if kept.height < rows.height:
            gone += rows.height - kept.height
            if not look_only:
                write_parquet(path, kept)
    return gone


def write_parquet(path: Path, rows: pl.DataFrame) -> None:
    """Replace a Parquet file as a whole."""
    data = io.BytesIO()
    rows.write_parquet(data, compression="lz4")
    durable.write_file(path, data.getvalue())
