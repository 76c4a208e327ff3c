"""Erase what need not be kept: by the schedule of conf/retention.yaml, or all that is held of some persons.

Manifests stay, so the chain of deliveries still verifies. Deliveries yet to come are not changed by the schedule.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import polars as pl

from pipelines.naming import (
    OF_PERSON,
    Published,
    chains,
    chosen_rows,
    delivered,
    drops_with,
    names_one,
    naming,
    of_persons,
    thin_commands,
    watchers,
    write_parquet,
)
from pipelines.outlived import ended, last_night, limit, scheduled, without
from pipelines.plan import Plan, settled_plan
from pipelines.upgrade import upgrade
from pipelines.view import DAYS_IN, FACTS_IN, TOTALLED, lost_in_store
from schemas.config import Retention
from schemas.errors import LefiError, RefusedError
from schemas.frames import (
    FACTS,
    TABLES,
    TOTALS,
)
from storage import durable, erasures, outbox, tables, thin
from storage.agreement import require_agreement, require_finished, table_folder
from storage.conf import read_conf, read_retention
from storage.documents import Shape, document
from storage.failpoints import reach
from storage.lock import only_compaction, only_writer
from storage.thin import Chosen, Left
from storage.workspace import Workspace
from transforms.total import total_facts

Say = Callable[[str], None]
LIST = "erasing.parquet"  # beside the journal: whom an interrupted erasure is about
OF_JOURNAL: Shape = {"number": int, "rows": dict, "totals": list}
WHAT_HELPS = "restore it from a backup, or store/, lake/ and outbox/ whole as they were before the erasure, and give `lefi erase` for the same persons again"
# In this order: what a later one needs to be found is erased after it.
BY_SCHEDULE = ("told", "members", "quarantine", "subscriptions")


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
    if young:  # the same command must find all numbers of these persons once more
        rows = rows | {"identities": 0}
    if look_only:
        return summary(None, rows, old, look_only=True) | details
    chosen = of_persons(numbers)
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
    """Complete an erasure of persons that was interrupted. LefiError when what says whom it is about is lost or damaged."""
    if not workspace.erasing_file.exists():
        return
    begun = journal(workspace)
    accounted = any(each["number"] == begun["number"] for each in erasures.read(workspace))
    if accounted and not (workspace.store / LIST).exists():  # all was done but for this
        workspace.erasing_file.unlink()
        return
    say(f"completing the interrupted erasure {begun['number']}")
    carry_out(
        workspace,
        settled(workspace),
        read_retention(workspace.conf),
        listed(workspace),
        begun["rows"],
        begun["number"],
        [],
        False,
        say,
        resumed=True,
    )


def journal(workspace: Workspace) -> dict[str, Any]:
    """What an interrupted erasure had to do. LefiError when it is damaged."""
    return document(workspace, workspace.erasing_file, OF_JOURNAL, WHAT_HELPS)


def listed(workspace: Workspace) -> pl.Series:
    """Whom an interrupted erasure is about. LefiError when that is lost or damaged."""
    path = workspace.store / LIST
    if not path.exists():
        raise LefiError(f"store/{LIST} is not there: {WHAT_HELPS}")
    try:
        return pl.read_parquet(str(path))["number"]
    except tables.DAMAGE as error:
        raise LefiError(f"store/{LIST} is damaged: {WHAT_HELPS}") from error


def begin(workspace: Workspace, number: int, numbers: pl.Series, rows: Mapping[str, int], plan: Plan) -> None:
    """Write down what is to be erased, and by how much the control totals go down with it. From here on it can be completed."""
    write_parquet(workspace.store / LIST, numbers.to_frame("number"))
    columns = [*TOTALLED, *OF_PERSON["facts"]]
    facts = [pl.scan_parquet(file.path).select(columns) for file in plan.files["facts"]]
    gone = pl.concat([pl.LazyFrame(schema={name: FACTS[name] for name in columns}), *facts]).filter(
        names_one({name: FACTS[name] for name in columns}, numbers)
    )
    totals = total_facts(tables.collected(gone.select(list(TOTALLED)), [file.path for file in plan.files["facts"]]))
    beyond = beyond_totals(totals["bucket"].unique().to_list(), plan)
    lost = [
        (bucket, benefit, measure, beyond.get((bucket, benefit, measure), 0) - count)
        for bucket, benefit, held, days in totals.iter_rows()
        for measure, count in ((FACTS_IN, held), (DAYS_IN, days))
        if count > beyond.get((bucket, benefit, measure), 0)
    ]
    durable.write_file(workspace.erasing_file, durable.to_json({"number": number, "rows": rows, "totals": lost}))
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
    lost = journal(workspace)["totals"]
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
    number: int | None, rows: Mapping[str, int], deliveries: Sequence[Published], files: int = 0, look_only: bool = False
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
