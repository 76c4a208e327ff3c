"""What an operator decides between two nights: refresh, retract, accept, release. Each becomes a command that the next night takes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

import polars as pl

from pipelines.plan import permission_frame, read_decisions, read_states
from schemas.errors import RefusedError, UsageError, masked, require_reason
from schemas.frames import DROPS, IDENTITIES, MEMBERS, PERSONS, QUARANTINE, SUBSCRIPTION_KEY, SUBSCRIPTION_ROWS, TABLES
from schemas.personnummer import is_valid
from schemas.quarantine import arrival_of_id
from storage import commands, tables
from storage.agreement import require_agreement, require_finished, table_folder
from storage.conf import read_conf
from storage.inbox import HEAD, Drop, Oddity, is_file_name, read_head
from storage.lock import only_writer
from storage.workspace import Catalog, Workspace
from transforms.cut_chains import ChainState
from transforms.name_persons import name_persons
from transforms.take_orders import end_subscriptions


@contextmanager
def deciding(workspace: Workspace) -> Iterator[Catalog]:
    """Hold the workspace for a decision. RefusedError while a committed run is unfinished."""
    with only_writer(workspace):
        catalog = workspace.catalog()
        require_finished(workspace)
        require_agreement(workspace, catalog)
        yield catalog


def table(workspace: Workspace, name: str, schema: pl.Schema) -> pl.DataFrame:
    """A whole table."""
    return tables.read(tables.files(table_folder(workspace, name)), schema)


def refresh(
    workspace: Workspace, partner: str, benefit: str | None, person: str | None, born_from: date | None, born_to: date | None
) -> Mapping[str, Any]:
    """Queue a refresh as if ordered (R16): the groups that match are fixed now. RefusedError when none does."""
    with deciding(workspace) as catalog:
        conf = read_conf(workspace.conf)
        if partner not in conf.partners:
            raise RefusedError(f"--partner {partner}: not in conf/partners.yaml")
        if benefit is not None and benefit not in conf.benefits:
            raise RefusedError(f"--benefit {benefit}: not in conf/benefits.yaml")
        if person is not None and not is_valid(person):
            raise UsageError("--person: not a personnummer (R10): 12 digits, a real date, the right check digit")
        if born_from and born_to and born_from > born_to:
            raise UsageError(f"--born-from {born_from} is after --born-to {born_to}")
        rows = tables.newest(table(workspace, "subscriptions", SUBSCRIPTION_ROWS), SUBSCRIPTION_KEY)
        standing = rows.filter(~pl.col("gone"), pl.col("partner") == partner)
        groups = end_subscriptions(standing, permission_frame(conf), catalog.business_date or date.min)
        if benefit:
            groups = groups.filter(pl.col("benefit") == benefit)
        if person:
            groups = groups.filter(pl.col("person") == key_of(workspace, person))
        if born_from or born_to:
            named = name_persons(table(workspace, "persons", PERSONS))
            born = named.filter(pl.col("birth_date") >= (born_from or date.min), pl.col("birth_date") <= (born_to or date.max))
            groups = groups.join(born, on="person", how="semi")
        if groups.is_empty():
            raise RefusedError(f"nothing to refresh: {partner} has no active subscription that matches")
        members = groups.select("bucket", "partner", "person", "benefit").with_columns(
            refresh=pl.lit(0, pl.Int64()), waits=pl.lit(True), night=pl.lit(catalog.night, pl.Int32())
        )
        rows = members.select(list(MEMBERS)).sort("bucket", "person", "benefit")
        words = {
            "benefit": benefit,
            "born_from": born_from and str(born_from),
            "born_to": born_to and str(born_to),
            "one_person": person is not None,
        }
        given = commands.give(workspace, "refresh", {"partner": partner, **words}, rows, {"order_id": "refresh-{:06d}"})
        return {"order_id": given.arguments["order_id"], "persons": groups["person"].n_unique(), "groups": groups.height}


def key_of(workspace: Workspace, number: str) -> str:
    """The key of the person with a number."""
    aliases = tables.newest(table(workspace, "identities", IDENTITIES), ["number"]).filter(pl.col("number") == number)
    return str(aliases["person"][0]) if aliases.height else number


def retract(workspace: Workspace, source_run: str, reason: str) -> Mapping[str, Any]:
    """Withdraw every record of a source run from the next night on (R44)."""
    require_reason(reason)
    with deciding(workspace) as catalog:
        files = {name: tables.files(table_folder(workspace, name)) for name in ("runs", "recalculations")}
        given = read_decisions(workspace, files, catalog.night, None).retractions
        since = max((each.before for each in given if each.source_run == source_run), default=0)  # what came before was taken back already
        received = 0
        for name in ("facts", "quarantine"):
            stored = tables.files(table_folder(workspace, name))
            found = [
                pl.scan_parquet(file.path).filter(pl.col("source_run") == source_run, pl.col("arrival") >= since).select("arrival")
                for file in stored
            ]
            rows = pl.concat([pl.LazyFrame(schema={"arrival": pl.Int64()}), *found]).unique()  # a merge makes copies
            received += tables.collected(rows, [file.path for file in stored]).height
        if received:
            commands.give(workspace, "retract", {"source_run": source_run, "reason": reason})
        return {"source_run": source_run, "records": received}


def accept(workspace: Workspace, drop: str, reason: str) -> Mapping[str, Any]:
    """Let a drop through the gates, as it lies there now (R4). RefusedError for one that no gate stops."""
    require_reason(reason)
    with deciding(workspace) as catalog:
        folder = workspace.inbox / drop
        if not is_file_name(drop) or not (folder / HEAD).is_file():
            raise RefusedError(f"inbox has no drop '{drop}'")
        found = read_head(folder)
        if isinstance(found, Oddity):
            raise RefusedError(f"inbox/{drop} is no drop that could be consumed: {found.reason}")
        if drop in set(table(workspace, "drops", DROPS)["drop"]):
            raise RefusedError(f"drop '{drop}' was consumed already, and is never consumed again (R6)")
        require_gated(workspace, catalog, found)
        commands.give(workspace, "accept", {"drop": drop, "sha256": found.sha256, "reason": reason})
        return {"drop": drop, "sha256": found.sha256}


def require_gated(workspace: Workspace, catalog: Catalog, drop: Drop) -> None:
    """Refuse a drop that accepting does not help: no gate is what stops it. RefusedError says what does."""
    if drop.fault:
        raise RefusedError(f"{masked(drop.fault)}: it is broken, and no gate stops it: have it repaired")
    if not drop.chain or (drop.benefit is not None and drop.benefit not in read_conf(workspace.conf).benefits):
        raise RefusedError(f"drop '{drop.name}' is of no chain of conf/benefits.yaml: no gate stops it (R4)")
    files = {name: tables.files(table_folder(workspace, name)) for name in TABLES}
    last = read_states(files, catalog.night).get(drop.chain, ChainState()).last
    if last is not None and drop.business_date <= last:
        raise RefusedError(f"drop '{drop.name}' is old, {drop.chain} is consumed up to {last} (R2, R3): no gate stops it")


def release(workspace: Workspace, quarantine_id: str, reason: str) -> Mapping[str, Any]:
    """Say that a rejected record freezes nobody any more (R36). RefusedError when there is none with that id."""
    require_reason(reason)
    with deciding(workspace):
        arrival = arrival_of_id(quarantine_id)
        found = table(workspace, "quarantine", QUARANTINE).filter(pl.col("arrival") == pl.lit(arrival, pl.Int64()))
        if found.is_empty():
            raise RefusedError(f"quarantine has no record '{quarantine_id}': `lefi status` lists those that freeze somebody")
        commands.give(workspace, "release", {"arrival": arrival, "reason": reason})
        return {"id": quarantine_id, "benefit": found["drop_benefit"][0], "code": found["code"][0], "drop": found["drop"][0]}
