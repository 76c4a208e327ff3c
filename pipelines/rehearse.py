"""A night tried out, and a release: what the night would deliver, and what code and conf would say otherwise of what was told. Nothing changes."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import apache_beam as beam
import polars as pl

from pipelines import engines
from pipelines.decisions import deciding
from pipelines.failures import guarded, raise_noted
from pipelines.ingest import SUBSCRIPTION_KEY
from pipelines.plan import Plan, settled_plan
from pipelines.reconcile import settled_groups
from pipelines.run import prepare, verify
from pipelines.take import Bite, permission_frame, split_buckets, standing_subscriptions
from pipelines.view import Clock, nothing_staged, view
from schemas.errors import LefiError, RefusedError
from schemas.frames import SUBSCRIPTIONS
from storage import durable, outbox, tables
from storage.conf import read_conf
from storage.delivered import records_between
from storage.tables import TableFile
from storage.workspace import Catalog, Workspace
from transforms.compare import RECORDS
from transforms.digest import CONTENT
from transforms.take_orders import end_subscriptions

Say = Callable[[str], None]
SAMPLES = 3  # of each partner, benefit and action
KEY = ("partner", "benefit", "action")
ENDED = "subscriptions ended"
COUNTS = pl.Schema({"bucket": pl.Int32(), "partner": pl.String(), "benefit": pl.String(), "action": pl.String(), "count": pl.Int64()})


def rehearse(workspace: Workspace, business_date: date, partner: str | None, conf: Path | None, runner: str, say: Say) -> Mapping[str, Any]:
    """Stage a night and compare everybody, with a candidate conf if one is given; then clear staging.

    Returns the staged night's document and `release`: differences, by, ended, not_compared, samples. RefusedError for a date that no later
    night can have, an unknown partner, an unfinished run or another command at work; UsageError for conf.
    """
    engine = engines.options(runner)
    with deciding(workspace) as catalog:
        if catalog.business_date and business_date <= catalog.business_date:
            raise RefusedError(
                f"--business-date {business_date} is not after the last night, {catalog.business_date}: what that delivered lies in outbox/; name a later date"
            )
        candidate = read_conf(conf or workspace.conf)
        if partner is not None and partner not in candidate.partners:
            raise RefusedError(f"--partner {partner}: not in conf/partners.yaml")
        try:
            staged = prepare(workspace, catalog, candidate, business_date, engine, say)
            verify(workspace, staged)
        finally:
            durable.remove(workspace.staging)
        say("compare everybody with what was told")
        return {**staged, "release": rehearse_release(workspace, catalog, settled_plan(workspace, catalog, candidate), partner, engine)}


def rehearse_release(
    workspace: Workspace, catalog: Catalog, plan: Plan, partner: str | None, engine: engines.Engine
) -> dict[str, Any]:
    """What this code and conf say of everybody that was not told so."""
    plan.staging.mkdir(parents=True)
    try:
        with beam.Pipeline(runner=engine.runner(), options=engine.options()) as pipeline:
            _ = (
                pipeline
                | "Bites" >> beam.Create(split_buckets(plan.buckets, sum(file.rows for file in plan.files["facts"])))
                | "SpreadBites" >> beam.Reshuffle()
                | "Compare" >> beam.Map(guarded(compare_bite), partner, plan)
            )
        counts = staged(plan, "counts", COUNTS).group_by(KEY).agg(pl.sum("count")).sort(KEY)
        samples = staged(plan, "samples", RECORDS)
    except (RuntimeError, LefiError, OSError):
        raise_noted(plan.staging)
        raise
    finally:
        durable.remove(plan.staging)
    changed, ended = counts.filter(pl.col("action") != ENDED), counts.filter(pl.col("action") == ENDED)
    return {
        "differences": int(changed["count"].sum()),
        "by": changed.to_dicts(),
        "ended": ended.drop("action").to_dicts(),
        "not_compared": [benefit for benefit in plan.conf.benefits if benefit not in plan.states or plan.states[benefit].since],
        "samples": [sample(record, workspace) for record in first_of_each(samples).iter_rows(named=True)],
    }
