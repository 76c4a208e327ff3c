"""A night tried out, and a release: what the night would deliver, and what code and conf would say otherwise of what was told. Nothing changes."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import apache_beam as beam
import polars as pl
from apache_beam.pvalue import AsList

from pipelines import engines
from pipelines.bites import Bite, everybodys_bites, standing_subscriptions
from pipelines.decisions import deciding
from pipelines.failures import guarded
from pipelines.ingest import going_on
from pipelines.plan import LOOK, UNLIMITED, Plan, settled_plan
from pipelines.reconcile import settled_groups
from pipelines.results import Found, read_found, write_found
from pipelines.room import Room
from pipelines.run import prepare
from pipelines.side_by_side import in_batches, side_by_side
from pipelines.upgrade import as_after_upgrade
from pipelines.view import Clock, look, nothing_staged
from schemas.errors import RefusedError
from schemas.frames import SUBSCRIPTION_KEY
from storage import durable, outbox, pace, tables
from storage.conf import read_conf
from storage.delivered import records_between
from storage.pace import Amount
from storage.workspace import Workspace
from transforms.compare import RECORDS
from transforms.digest import CONTENT

Say = Callable[[str], None]
SAMPLES = 3  # of each partner, benefit and action
KEY = ("partner", "benefit", "action")
ENDED = "ENDED"
# How often something would be said (an action), or a subscription ended. bucket: the first of the bite.
COUNTS = pl.Schema({"bucket": pl.Int32(), "partner": pl.String(), "benefit": pl.String(), "action": pl.String(), "count": pl.Int64()})


def rehearse(
    workspace: Workspace, business_date: date, partner: str | None, conf: Path | None, runner: str, say: Say, room: Room = UNLIMITED
) -> Mapping[str, Any]:
    """Stage a night and compare everybody, with a candidate conf if one is given; then clear staging.

    Returns the staged night's document and `release`, see `compare_release`. RefusedError for a date that no night can have any more, for an
    unknown partner, an unfinished run or another command at work; UsageError for conf.
    """
    engines.require_known(runner)
    with deciding(workspace) as catalog:
        if catalog.business_date and business_date <= catalog.business_date:
            raise RefusedError(
                f"--business-date {business_date} is not after the last night, {catalog.business_date}: "
                "what that one delivered lies in the outbox; rehearse a later date"
            )
        candidate, engine = read_conf(conf or workspace.conf), engines.engine_of(runner, workspace.conf)
        if partner is not None and partner not in candidate.partners:
            raise RefusedError(f"--partner {partner}: not in conf/partners.yaml")
        try:
            durable.remove(workspace.staging)
            look = workspace.staging / LOOK
            pace.expect(look, {"compare_bite": catalog.buckets})
            ledger = as_after_upgrade(workspace.absolute(), catalog)
            night = prepare(workspace, catalog, candidate, business_date, engine, say, instead=ledger, room=room)
            say("compare everybody with what was told")
            release = compare_release(settled_plan(workspace, catalog, candidate, ledger, room), partner, engine)
            return {**night, "release": release, "amount": Amount(**night["amount"]) + pace.total(look)}
        finally:
            durable.remove(workspace.staging)
            workspace.staging.mkdir()


def compare_release(plan: Plan, partner: str | None, engine: engines.Engine) -> dict[str, Any]:
    """What the plan's conf and this code say of everybody, where that is not what was told: nothing is expected unless one of them is new.

    Returns differences; by: their count by partner, benefit and action; ended: subscriptions that conf would end; not_compared: benefits
    that are not current, of which more than the release would differ; samples: some differences of each kind.
    """
    bites = everybodys_bites(plan, sum(file.rows for file in plan.files["facts"]))

    def compare(pipeline: beam.Pipeline, attempt: Plan) -> None:
        found = (
            pipeline
            | "Bites" >> beam.Create(in_batches(bites, engine.at_once))
            | "CompareRelease" >> beam.FlatMap(guarded(side_by_side(compare_bite)), partner, attempt)
        )
        _ = pipeline | "Once" >> beam.Create([None], reshuffle=False) | "Found" >> beam.Map(guarded(write_found), AsList(found), attempt)

    attempt = engines.run(compare, plan, engine)

    def staged(name: str, schema: pl.Schema) -> pl.DataFrame:
        return tables.read(read_found(attempt, bites, name), schema)

    counted = staged("counts", COUNTS).group_by(KEY).agg(pl.sum("count")).sort(KEY)
    changed, ended = counted.filter(pl.col("action") != ENDED), counted.filter(pl.col("action") == ENDED)
    samples = staged("samples", RECORDS).group_by(KEY, maintain_order=True).head(SAMPLES).sort(*KEY, "record_no")
    return {
        "differences": int(changed["count"].sum()),
        "by": changed.to_dicts(),
        "ended": ended.drop("action").to_dicts(),
        "not_compared": [benefit for benefit in plan.conf.benefits if benefit not in plan.current],
        "samples": [sample(record, plan) for record in samples.iter_rows(named=True)],
    }


def compare_bite(bite: Bite, partner: str | None, plan: Plan) -> Found:
    """Stage counts and samples of what would be said of some buckets, and of the subscriptions that conf would end."""
    asked = pl.lit(True) if partner is None else pl.col("partner") == partner
    groups = settled_groups(bite, plan).filter(asked).with_columns(in_slice=pl.lit(False))
    seen = look(bite, plan, groups, nothing_staged, Clock())
    records = seen.compared.records
    standing = standing_subscriptions(plan, bite).filter(asked)
    ended = standing.join(going_on(standing, plan), on=SUBSCRIPTION_KEY, how="anti").with_columns(action=pl.lit(ENDED))
    happened = pl.concat([records.select(pl.col(KEY).cast(pl.String())), ended.select(KEY)])
    counts = happened.group_by(KEY).agg(pl.len().cast(pl.Int64()).alias("count")).with_columns(bucket=pl.lit(bite.first, pl.Int32()))
    first = records.group_by(KEY, maintain_order=True).head(SAMPLES).select(list(RECORDS)).sort("bucket", "record_no")
    frames = {"counts": counts.select(list(COUNTS)).sort(KEY), "samples": first}
    files = {name: tables.stage(plan.staging / name / f"{bite.name}.parquet", frame) for name, frame in frames.items() if frame.height}
    return Found(bite, files, seen.facts)


def sample(record: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """A difference without the person: which fields of the content (R22) would be other than in the record told last."""
    told = record["supersedes"]
    changes: dict[str, list[Any]] = {}
    if told and record["action"] == "CORRECTED":
        folder = plan.workspace.outbox / record["partner"] / outbox.folder_name(told["sequence"])
        for before in records_between(folder, told["record_no"], told["record_no"]).iter_rows(named=True):
            pairs = {name: [content(before, name), content(record, name)] for name in CONTENT}
            changes = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return {**{name: record[name] for name in (*KEY, "fact_id", "kind")}, "told": told, "changes": changes}


def content(record: Mapping[str, Any], name: str) -> Any:
    """A field of the content; of a deviation its code."""
    value = record[name]
    return value["code"] if name == "deviation" and value else value
