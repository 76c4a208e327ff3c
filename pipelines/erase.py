"""Erase what need not be kept: by the schedule of conf/retention.yaml, or all that is held of some persons.

Manifests stay, so the chain of deliveries still verifies. Deliveries yet to come are not changed by the schedule.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.bites import Bite, load
from pipelines.plan import Plan, settled_plan
from pipelines.upgrade import upgrade
from pipelines.view import DAYS_IN, FACTS_IN, TOLD_KEY, TOTALLED, lost_in_store
from schemas.config import Retention
from schemas.contracts import BY_DATASET, DELIVERY_RECORD, Contract
from schemas.errors import BrokenFileError, RefusedError
from schemas.frames import (
    FACTS,
    IDENTITIES,
    MEMBER_KEY,
    MEMBERS,
    QUARANTINE,
    RUNS,
    SUBSCRIPTION_KEY,
    SUBSCRIPTION_ROWS,
    TABLES,
    TOLD,
    TOTALS,
)
from storage import avro, commands, durable, erasures, outbox, tables, thin
from storage.agreement import require_agreement, require_finished, table_folder
from storage.conf import read_conf, read_retention
from storage.failpoints import reach
from storage.inbox import Drop, scan
from storage.lock import only_compaction, only_writer
from storage.thin import Chosen, Left
from storage.workspace import Workspace
from transforms.freeze import freezing
from transforms.hold import hold
from transforms.total import total_facts

Say = Callable[[str], None]
LIST = "erasing.parquet"  # beside the journal: whom an interrupted erasure is about
BATCH_ROWS = 100_000
# In this order: what a later one needs to be found is erased after it.
BY_SCHEDULE = ("told", "members", "quarantine", "subscriptions")
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
class Delivered:
    """A delivery whose files lie in the outbox."""

    partner: str
    sequence: int
    business_date: date
    folder: Path

    def to_json(self) -> dict[str, Any]:
        """As it stands in summaries and in the log of erasures."""
        return {"partner": self.partner, "sequence": self.sequence, "business_date": str(self.business_date)}


def erase_by_schedule(workspace: Workspace, look_only: bool, say: Say) -> Mapping[str, Any]:
    """Erase what is older than conf/retention.yaml keeps it, counted back from the business date of the last night.

    Killed anywhere, it goes on when it is given again. look_only: count only. RefusedError while another command writes.
    """
    with erasing(workspace, say):
        retention, plan = read_retention(workspace.conf), settled(workspace)
        old = [each for each in delivered(workspace) if each.business_date <= limit(plan, retention.deliveries.days)]
        chosen = scheduled(plan, retention)
        if look_only:
            rows = {name: counted(workspace, name, chosen[name], plan) for name in BY_SCHEDULE}
            return summary(None, rows, old, look_only=True)
        number = erasures.next_number(workspace)
        forgotten = ended(plan, last_night(plan, retention.subscriptions.days))(0, plan.buckets)
        rows = {name: counted(workspace, name, chosen[name], plan) for name in BY_SCHEDULE}
        rows["commands"] = thin_commands(workspace, lambda rows: without(rows, forgotten), look_only=True)
        if any(rows.values()) or old:
            keep_account(workspace, plan, summary(number, rows, old))  # before the first row goes, for whoever is killed
        for name in BY_SCHEDULE[:-1]:
            rows[name] = take_out(workspace, name, chosen[name], plan, number)
        rows["commands"] = thin_commands(workspace, lambda rows: without(rows, forgotten))
        rows["subscriptions"] = take_out(workspace, "subscriptions", chosen["subscriptions"], plan, number)
        say(f"{sum(rows.values()):,} rows erased")
        for each in old:
            outbox.erase(each.folder)
        say(f"{len(old):,} deliveries erased, their manifests kept")
        kept_from = last_night(plan, retention.versions.days)
        files = sum(thin.purge(table_folder(workspace, name), kept_from) for name in TABLES)
        done = summary(number, rows, old, files=files)
        if any(rows.values()) or old:
            keep_account(workspace, plan, done)
        return done


def erase_persons(workspace: Workspace, numbers: Sequence[str], end_subscriptions: bool, look_only: bool, say: Say) -> Mapping[str, Any]:
    """Erase all that is held of some persons, under any of their numbers, and the files of deliveries in which they are named.

    RefusedError while a partner subscribes to one of them, unless end_subscriptions. Deliveries that partners may not have fetched yet stay:
    `remains` has the date from which they can go. The inbox is not ours to change: `inbox` names the drops that hold the person.
    """
    with erasing(workspace, say):
        retention, plan = read_retention(workspace.conf), settled(workspace)
        all_numbers = chains(plan, numbers)
        watching = watchers(plan, all_numbers)
        if watching and not (end_subscriptions or look_only):
            raise RefusedError(
                f"{', '.join(watching)} subscribe to these persons: have them end it (END), or add --end-subscriptions: then they are told nothing more"
            )
        number, chosen = erasures.next_number(workspace), of_persons(all_numbers)
        rows = {name: counted(workspace, name, chosen, plan) for name in OF_PERSON}
        rows["commands"] = thin_commands(workspace, lambda rows: chosen_rows(rows, all_numbers), look_only=True)
        if not look_only:
            begin(workspace, number, all_numbers, rows, plan)
        return carry_out(workspace, plan, retention, all_numbers, rows, number, watching, look_only, say)


def carry_out(
    workspace: Workspace,
    plan: Plan,
    retention: Retention,
    numbers: pl.Series,
    rows: dict[str, int],
    number: int,
    watching: list[str],
    look_only: bool,
    say: Say,
    *,
    resumed: bool = False,
) -> Mapping[str, Any]:
    """Erase persons; every step finds what an interrupted attempt did. resumed: there was one."""
    named = list(naming(delivered(workspace), numbers, resumed))
    fetched = limit(plan, retention.deliveries.fetched_within)
    old, young = [each for each in named if each.business_date <= fetched], [each for each in named if each.business_date > fetched]
    wait = timedelta(days=retention.deliveries.fetched_within)
    details = {
        "persons": numbers.len(),
        "watched": watching,
        "remains": [each.to_json() | {"erasable_from": str(each.business_date + wait)} for each in young],
        "inbox": drops_with(workspace, numbers),
    }
    if look_only:
        return summary(None, rows, old, look_only=True) | details
    chosen = of_persons(numbers)
    if young:  # the same command must find all numbers of these persons once more
        rows = rows | {"identities": 0}
    for name in [name for name in OF_PERSON if name != "identities" or not young]:
        take_out(workspace, name, chosen, plan, number)
        say(f"{name}: {rows[name]:,} rows")
    correct_totals(workspace, plan, number)
    thin_commands(workspace, lambda rows: chosen_rows(rows, numbers))
    for each in old:
        outbox.erase(each.folder)
    say(f"{len(old):,} deliveries erased, their manifests kept")
    durable.remove(workspace.staging)
    workspace.staging.mkdir()
    files = sum(thin.purge(table_folder(workspace, name), plan.night) for name in TABLES)
    done = summary(number, rows, old, files=files) | details
    keep_account(workspace, plan, {name: value for name, value in done.items() if name != "inbox"})
    for path in (workspace.store / LIST, workspace.erasing_file):
        path.unlink(missing_ok=True)
        durable.sync_folder(workspace.store)
    return done


# An erasure as a whole


@contextmanager
def erasing(workspace: Workspace, say: Say) -> Iterator[None]:
    """Hold the workspace against writers and compaction; complete an interrupted erasure first. RefusedError while a run is unfinished."""
    with only_compaction(workspace), only_writer(workspace):
        require_finished(workspace)
        complete(workspace, say)
        catalog = workspace.catalog()
        require_agreement(workspace, catalog)
        upgrade(workspace, catalog, say)
        yield


def complete(workspace: Workspace, say: Say) -> None:
    """Complete an erasure of persons that was interrupted."""
    begun = workspace.erasing_file
    if not begun.exists():
        return
    persons = workspace.store / LIST
    if not persons.exists():  # all was done but for this
        begun.unlink()
        return
    document = json.loads(begun.read_text("utf-8"))
    say(f"completing the interrupted erasure {document['number']}")
    carry_out(
        workspace,
        settled(workspace),
        read_retention(workspace.conf),
        pl.read_parquet(str(persons))["number"],
        document["rows"],
        document["number"],
        [],
        False,
        say,
        resumed=True,
    )


def begin(workspace: Workspace, number: int, numbers: pl.Series, rows: Mapping[str, int], plan: Plan) -> None:
    """Write down what is to be erased, and by how much the control totals go down with it. From here on it can be completed."""
    write_parquet(workspace.store / LIST, numbers.to_frame("number"))
    columns = [*TOTALLED, *OF_PERSON["facts"]]
    facts = [pl.scan_parquet(file.path).select(columns) for file in plan.files["facts"]]
    gone = pl.concat([pl.LazyFrame(schema={name: FACTS[name] for name in columns}), *facts]).filter(
        names_one({name: FACTS[name] for name in columns}, numbers)
    )
    totals = total_facts(gone.select(list(TOTALLED)).collect())
    beyond = beyond_totals(totals["bucket"].unique().to_list(), plan)
    lost = [
        (bucket, benefit, measure, beyond.get((bucket, benefit, measure), 0) - count)
        for bucket, benefit, held, days in totals.iter_rows()
        for measure, count in ((FACTS_IN, held), (DAYS_IN, days))
        if count > beyond.get((bucket, benefit, measure), 0)
    ]
    document = {"number": number, "rows": rows, "totals": lost}
    durable.write_file(workspace.erasing_file, durable.to_json(document))
    reach("erase.begun")


def beyond_totals(buckets: Sequence[int], plan: Plan) -> dict[tuple[int, str, str], int]:
    """(bucket, benefit, measure) -> what the store has beyond the totals: rows that an earlier erasure took off these, and a rebuild has brought back."""
    found: dict[tuple[int, str, str], int] = {}
    for each in buckets:
        for bucket, benefit, facts, days, facts_there, days_there in lost_in_store(each, each, plan).iter_rows():
            found[bucket, benefit, FACTS_IN] = max(0, facts_there - facts)
            found[bucket, benefit, DAYS_IN] = max(0, days_there - days)
    return found


def correct_totals(workspace: Workspace, plan: Plan, number: int) -> None:
    """Bring the control totals down by what was erased, once, so that they still find what is lost otherwise (S08)."""
    lost = json.loads(workspace.erasing_file.read_text("utf-8"))["totals"]
    folder = table_folder(workspace, "totals")
    if lost and not thin.is_thinned(folder, number):
        rows = [(plan.night - 1, *each) for each in lost]
        added = pl.DataFrame(rows, schema={name: TOTALS[name] for name in ("night", "bucket", "benefit", "measure", "count")}, orient="row")
        thin.thin(folder, TOTALS, everything, plan.buckets, plan.night - 1, number, added.select(list(TOTALS)))


def everything(_first: int, _last: int) -> Left:
    """Leave all rows."""
    return lambda rows: rows


def settled(workspace: Workspace) -> Plan:
    """The workspace as the last night left it."""
    return settled_plan(workspace, workspace.catalog(), read_conf(workspace.conf))


def take_out(workspace: Workspace, name: str, chosen: Chosen, plan: Plan, number: int) -> int:
    """Take the chosen rows out of a table. Returns how many."""
    return thin.thin(table_folder(workspace, name), TABLES[name], chosen, plan.buckets, plan.night - 1, number)


def counted(workspace: Workspace, name: str, chosen: Chosen, plan: Plan) -> int:
    """How many rows would go from a table."""
    return thin.count(table_folder(workspace, name), TABLES[name], chosen, plan.buckets).total()


def keep_account(workspace: Workspace, plan: Plan, done: Mapping[str, Any]) -> None:
    """Keep an account of what was erased and when."""
    erasures.keep(workspace, {"night": plan.night - 1, "business_date": str(plan.business_date)} | dict(done))


def summary(
    number: int | None, rows: Mapping[str, int], deliveries: Sequence[Delivered], files: int = 0, look_only: bool = False
) -> dict[str, Any]:
    """What an erasure came to."""
    return {
        "plan": look_only,
        "number": number,
        "persons": 0,
        "rows": {name: gone for name, gone in rows.items() if gone},
        "deliveries": [each.to_json() for each in deliveries],
        "files": files,
        "watched": [],
        "remains": [],
        "inbox": [],
    }


# By schedule


def limit(plan: Plan, days: int) -> date:
    """The last business date that is `days` or more before the last night."""
    return date.fromordinal(max(1, plan.business_date.toordinal() - days)) if plan.night > 1 else date.min


def last_night(plan: Plan, days: int) -> int:
    """The last night that is `days` or more before the last one; 0 when there is none."""
    runs = tables.read(plan.files["runs"], RUNS).filter(pl.col("business_date") <= limit(plan, days))
    return int(runs["night"].max() or 0)  # type: ignore[arg-type]  # Int32 values


def scheduled(plan: Plan, retention: Retention) -> dict[str, Chosen]:
    """What stays of each table when all that is too old is gone."""
    over = ended(plan, last_night(plan, retention.subscriptions.days))
    replaced = last_night(plan, retention.ledger.days)
    rejected = last_night(plan, retention.quarantine.days)

    def told(first: int, last: int) -> Left:
        gone, since = over(first, last), holding(plan, "told", TOLD, TOLD_KEY, replaced, first, last)
        return lambda rows: from_then_on(without(rows, gone), since, TOLD_KEY)

    def subscriptions(first: int, last: int) -> Left:
        gone, since = over(first, last), holding(plan, "subscriptions", SUBSCRIPTION_ROWS, SUBSCRIPTION_KEY, replaced, first, last)
        return lambda rows: from_then_on(without(rows, gone), since, SUBSCRIPTION_KEY)

    def members(first: int, last: int) -> Left:
        gone, since = over(first, last), holding(plan, "members", MEMBERS, MEMBER_KEY, replaced, first, last, done=~pl.col("waits"))
        return lambda rows: from_then_on(without(rows, gone), since, MEMBER_KEY)

    def quarantine(first: int, last: int) -> Left:
        still = freezing_arrivals(plan, first, last)
        return lambda rows: rows.filter((pl.col("night") > rejected) | pl.col("arrival").is_in(still.implode()))

    return {"told": told, "members": members, "quarantine": quarantine, "subscriptions": subscriptions}


def ended(plan: Plan, night: int) -> Callable[[int, int], pl.DataFrame]:
    """The keys of subscriptions that had ended by a night, by run of buckets."""

    @lru_cache(maxsize=2)
    def keys(first: int, last: int) -> pl.DataFrame:
        rows = tables.newest(tables.read(plan.files["subscriptions"], SUBSCRIPTION_ROWS, (first, last)), SUBSCRIPTION_KEY)
        return rows.filter("gone", pl.col("night") <= night).select(SUBSCRIPTION_KEY)

    return keys


def without(rows: pl.LazyFrame, keys: pl.DataFrame) -> pl.LazyFrame:
    """Rows of other subscriptions than these."""
    return rows.join(keys.lazy(), on=SUBSCRIPTION_KEY, how="anti", maintain_order="left")


def holding(
    plan: Plan,
    name: str,
    schema: pl.Schema,
    key: Sequence[str],
    night: int,
    first: int,
    last: int,
    done: pl.Expr | None = None,
) -> pl.DataFrame:
    """Of each key that had several rows by a night, the night (`since`) of the one that held then. done: when it held nothing any more: none is needed."""
    of = pl.Schema(
        {each: schema[each] for each in dict.fromkeys(["bucket", *key, "night", *(done.meta.root_names() if done is not None else ())])}
    )
    rows = tables.read(plan.files[name], of, (first, last)).filter(pl.col("night") <= night).sort("night", maintain_order=True)
    over = pl.lit(False) if done is None else done
    grouped = rows.with_columns(over.alias("over")).group_by(list(key)).agg(pl.max("night").alias("since"), pl.last("over"))
    return grouped.select(*key, (pl.col("since") + pl.col("over").cast(pl.Int32())).alias("since"))


def from_then_on(rows: pl.LazyFrame, since: pl.DataFrame, key: Sequence[str]) -> pl.LazyFrame:
    """Rows without those of nights before `since`."""
    joined = rows.join(since.lazy(), on=list(key), how="left", maintain_order="left")
    return joined.filter(pl.col("since").is_null() | (pl.col("night") >= pl.col("since"))).drop("since")


def freezing_arrivals(plan: Plan, first: int, last: int) -> pl.Series:
    """The rejected records that still freeze somebody (R36)."""
    bite = Bite(first, last)
    ceased = tables.read(plan.files["identities"], IDENTITIES)["number"].unique()  # what lies under such a key has moved
    rejected = load(plan, "quarantine", QUARANTINE, bite).filter(~pl.col("person").is_in(ceased.implode()).fill_null(False))
    rejected = tables.newest(rejected, ["arrival"])
    held = hold(load(plan, "facts", FACTS, bite, persons=rejected["person"].drop_nulls().unique().sort()))
    return freezing(rejected, held)["arrival"]


# Of persons


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


def delivered(workspace: Workspace) -> Iterator[Delivered]:
    """The deliveries in the outbox that have files."""
    for folder in sorted(workspace.outbox.glob("*/*")):
        manifest = folder / outbox.MANIFEST
        if manifest.exists() and outbox.files_of(folder):
            document = json.loads(manifest.read_text("utf-8"))
            yield Delivered(document["partner"], document["sequence"], date.fromisoformat(document["business_date"]), folder)


def naming(deliveries: Iterable[Delivered], numbers: pl.Series, resumed: bool) -> Iterator[Delivered]:
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
        rows = pl.read_parquet(str(path))
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
