"""Compare everybody: what is visible with the ledger, and the ledger with the delivered files. Nothing is expected."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import apache_beam as beam
import polars as pl
from apache_beam.pvalue import AsList

from pipelines import engines
from pipelines.bites import Bite, everybodys_bites, load, row_count, standing_subscriptions
from pipelines.decisions import deciding
from pipelines.delivered import DELIVERED, READ_BACK_ROWS, PartFile, published, stage_delivered
from pipelines.failures import guarded
from pipelines.ingest import going_on
from pipelines.plan import UNLIMITED, Plan, settled_plan
from pipelines.results import Found, read_found, write_found
from pipelines.room import Room
from pipelines.side_by_side import in_batches, side_by_side
from pipelines.upgrade import upgrade
from pipelines.view import LEDGER, TOLD_KEY, Clock, look, lost_in_store, nothing_staged
from schemas import versions
from schemas.buckets import FIRST_RECORD_NO
from schemas.errors import RefusedError
from schemas.frames import DIFFERENCES, SUBSCRIPTION_KEY, TOLD, TOUCHED
from storage import commands, durable, pace, tables
from storage.conf import read_conf
from storage.tables import TableFile
from storage.workspace import Workspace
from transforms.total import UNEQUAL

Say = Callable[[str], None]


def reconcile(workspace: Workspace, partner: str | None, heal: bool, runner: str, say: Say, room: Room = UNLIMITED) -> Mapping[str, Any]:
    """Find every difference; with `heal`, have the next night deliver just those (trigger HEAL). Returns counts, and where the list lies."""
    engines.require_known(runner)
    with deciding(workspace) as catalog:
        conf, engine = read_conf(workspace.conf), engines.engine_of(runner, workspace.conf)
        if partner is not None and partner not in conf.partners:
            raise RefusedError(f"--partner {partner}: not in conf/partners.yaml")
        for sentence in workspace.lost_deliveries(catalog):
            say(sentence)
        plan = settled_plan(workspace, upgrade(workspace, catalog, say), conf, room=room)
        durable.remove(plan.staging)
        pace.expect(plan.staging, {"read_delivered": len(delivered_parts(plan, partner)), "reconcile_bite": plan.buckets})
        cut = bites(plan)
        attempt = engines.run(lambda pipeline, attempt: compare_everybody(pipeline, attempt, cut, partner, engine.at_once), plan, engine)
        lost = tables.read(read_found(attempt, cut, "lost"), UNEQUAL)
        found = tables.read(read_found(attempt, cut, "differences"), DIFFERENCES)
        given, amount = None, pace.total(plan.staging)
        if heal and found.height:
            arguments = {"partner": partner, "content_version": versions.CONTENT_VERSION}
            given = commands.give(workspace, "heal", arguments, found.sort("bucket", "partner", "person", "benefit", "fact_id"))
        durable.remove(plan.staging)
    counted = found.group_by("partner", "benefit", "what").len().sort("partner", "benefit", "what")
    return {
        "differences": found.height,
        "persons": found["person"].n_unique(),
        "by": [{"partner": p, "benefit": b, "what": w, "count": n} for p, b, w, n in counted.iter_rows()],
        "store": [
            {"bucket": b, "benefit": n, "facts": f, "span_days": d, "facts_found": ff, "span_days_found": dd}
            for b, n, f, d, ff, dd in lost.iter_rows()
        ],
        "healing": given.number if given else None,
        "found": found,
        "amount": amount,
    }


def bites(plan: Plan) -> list[Bite]:
    """All buckets, as they are compared at once."""
    return everybodys_bites(plan, row_count(plan.files["facts"]) + row_count(plan.files["told"]))  # both are looked at as a whole


def compare_everybody(pipeline: beam.Pipeline, plan: Plan, cut: Sequence[Bite], partner: str | None, at_once: int) -> None:
    """Read what was delivered, then compare bite by bite. cut: the bites; at_once: parts or bites in a batch."""
    delivered = (
        pipeline
        | "DeliveredParts" >> beam.Create(in_batches(delivered_parts(plan, partner), at_once))
        | "ReadDelivered" >> beam.FlatMap(guarded(side_by_side(read_delivered)), plan)
        | "Delivered" >> beam.FlatMap(list)
    )
    found = (
        pipeline
        | "Bites" >> beam.Create(in_batches(cut, at_once))
        | "Reconcile" >> beam.FlatMap(guarded(side_by_side(reconcile_bite)), AsList(delivered), partner, plan)
    )
    _ = pipeline | "Once" >> beam.Create([None], reshuffle=False) | "Found" >> beam.Map(guarded(write_found), AsList(found), plan)


def delivered_parts(plan: Plan, partner: str | None) -> Sequence[PartFile]:
    """Every part that lies in the outbox, of the partners in conf or of one."""
    names = [partner] if partner else sorted(plan.conf.partners)
    return [part for part in published(plan.workspace) if part.partner in names]


def read_delivered(part: PartFile, plan: Plan) -> list[TableFile]:
    """A part's records about facts, each as its place and its content's digest."""
    return stage_delivered(part, plan.staging / "delivered", plan.room.digest_rows(READ_BACK_ROWS))


def reconcile_bite(bite: Bite, delivered: Sequence[TableFile], partner: str | None, plan: Plan) -> Found:
    """Stage the differences of some buckets, and where their facts are not those that came in."""
    groups = settled_groups(bite, plan)
    if partner is not None:
        groups = groups.filter(pl.col("partner") == partner)
    seen, differing = visible_and_ledger(bite, groups, plan)
    told = tables.newest(load(plan, "told", TOLD, bite), TOLD_KEY)
    rows = (
        pl.concat([differing, ledger_and_files(groups, told, delivered, plan)])
        .unique(TOLD_KEY, keep="first")
        .sort("bucket", "partner", "person", "benefit", "fact_id")
    )
    wrong = {"differences": rows, "lost": lost_in_store(bite.first, bite.last, plan)}
    files = {name: tables.stage(plan.staging / name / f"{bite.name}.parquet", frame) for name, frame in wrong.items() if frame.height}
    return Found(bite, files, seen + told.height)


def settled_groups(bite: Bite, plan: Plan) -> pl.DataFrame:
    """The groups of which everything should have been told: of current benefits, and with nothing that a night still owes."""
    active = going_on(standing_subscriptions(plan, bite), plan)
    owed = tables.read(plan.files["touched"], TOUCHED, bite.buckets)
    settled = active.filter(pl.col("benefit").is_in(plan.current), ~pl.col("initial_due"), ~pl.col("heal_due"))
    return settled.join(owed, on=["person", "benefit"], how="anti").sort("bucket", "person", "benefit", "partner")


def visible_and_ledger(bite: Bite, groups: pl.DataFrame, plan: Plan) -> tuple[int, pl.DataFrame]:
    """How many facts hold; and what a night would deliver now, if it looked at everybody: frames.DIFFERENCES."""
    seen = look(bite, plan, groups.with_columns(in_slice=pl.lit(False)), nothing_staged, Clock())
    records = seen.compared.records
    what = pl.col("action").cast(pl.String()).alias("what")
    keyed = records.join(groups.select(SUBSCRIPTION_KEY), on=SUBSCRIPTION_KEY, how="semi")
    rows = keyed.select("bucket", "partner", "person", "benefit", "fact_id", what, pl.lit(None, pl.Binary()).alias("digest"))
    return seen.facts, rows


def ledger_and_files(groups: pl.DataFrame, told: pl.DataFrame, delivered: Sequence[TableFile], plan: Plan) -> pl.DataFrame:
    """Where the last record that the ledger names is not in the delivered files, or says something else: frames.DIFFERENCES. told: newest rows."""
    snapped = groups.select(*SUBSCRIPTION_KEY, "snapshot_night")
    valid = told.join(snapped, on=SUBSCRIPTION_KEY).filter(pl.col("night") >= pl.col("snapshot_night"), pl.col("digest").is_not_null())
    kept = pl.DataFrame(
        sorted({(part.partner, part.sequence) for part in delivered_parts(plan, None)}),
        schema={"partner": pl.String(), "sequence": pl.Int32()},
        orient="row",
    )
    valid = valid.join(kept, on=["partner", "sequence"], how="semi")
    places = (valid["record_no"] // FIRST_RECORD_NO).unique()
    if places.is_empty():
        return pl.DataFrame(schema=DIFFERENCES)
    low, high = int(places.min()), int(places.max())  # type: ignore[arg-type]  # Int64 values
    said = tables.read(delivered, DELIVERED, (low, high)).drop("bucket")
    compared = valid.join(said, on=["partner", "sequence", "record_no"], how="left").filter(
        pl.col("delivered").ne_missing(pl.col("digest"))
    )
    return compared.select("bucket", *TOLD_KEY, pl.lit(LEDGER).alias("what"), pl.col("delivered").alias("digest"))
