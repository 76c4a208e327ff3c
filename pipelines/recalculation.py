"""The recalculations of a night: new decisions for the buckets whose turn it is, from the facts held tonight (R40, R42)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

import polars as pl

from pipelines.bites import Bite, load, retractions
from pipelines.plan import Plan
from pipelines.schedule import Recalculation
from pipelines.view import Staged
from schemas.arrival import MOST_DROPS, arrival_of
from schemas.buckets import night_of
from schemas.errors import RefusedError
from schemas.frames import FACTS, IDENTITIES, PERSONS, QUARANTINE, RECALCULATED, RECALCULATIONS
from storage import tables
from storage.failpoints import reach
from storage.tables import TableFile
from transforms.name_persons import NAMED, name_persons
from transforms.recalculate import BENEFIT, CASES, NEW, NO_PERSON, SKIPPED, UNCHANGED, Rate, Recalculated, recalculate
from transforms.retract import without_retracted

ORDINAL = MOST_DROPS  # in an arrival: no drop, but a recalculation


@dataclass(frozen=True)
class Basis:
    """What a recalculation reckons from, of whole buckets: frames.FACTS and frames.QUARANTINE of the benefit, and who everybody is."""

    facts: pl.DataFrame
    rejected: pl.DataFrame
    named: pl.DataFrame


def due_tonight(withheld: Collection[str], plan: Plan) -> list[Recalculation]:
    """The recalculations with a slice to be computed tonight: none while the benefit is withheld, or is not in conf."""
    current = BENEFIT in plan.conf.benefits and BENEFIT not in withheld
    return [each for each in plan.decisions.recalculations if each.due and current]


def recalculate_bite(
    bite: Bite, withheld: Collection[str], aliases: str, plan: Plan, staged: Staged, files: dict[str, TableFile]
) -> pl.DataFrame:
    """Stage the new decisions of a bite's due buckets with tonight's facts, and which cases were looked at. Returns the new ones (frames.FACTS).

    aliases: file of (number, person) of tonight; files: what is staged, by table.
    """
    due = due_tonight(withheld, plan)
    if not due:
        return pl.DataFrame(schema=FACTS)
    reach("recalculate")
    ceased = pl.read_parquet(aliases, columns=["number"])["number"]
    basis = read_basis(bite, ceased, plan, staged)
    before = tables.read([*plan.files["recalculated"], *staged("recalculated")], RECALCULATED, bite.buckets)
    made, looked_at = [], []
    for each in due:
        result = take_turn(each, basis, before, plan, staged)
        basis = Basis(pl.concat([basis.facts, result.decisions]), basis.rejected, basis.named)
        made.append(result.decisions)
        looked_at.append(mark(each, result, before, plan.night))
    decisions = number_arrivals(pl.concat(made), plan)
    stage_with(files, "facts", decisions, FACTS, bite, plan)
    stage_with(files, "recalculated", pl.concat(looked_at).sort("bucket", "recalculation", "person", "case_id"), RECALCULATED, bite, plan)
    return decisions


def read_basis(bite: Bite, ceased: pl.Series, plan: Plan, staged: Staged) -> Basis:
    """All that counts of the benefit in some buckets. ceased: keys under which rows lie that were moved to another person."""
    gone = pl.col("person").is_in(ceased.implode())
    facts = load(plan, "facts", FACTS, bite, staged("facts")).filter(pl.col("benefit") == BENEFIT, ~gone)
    persons = facts["person"].unique().sort()
    refused = tables.read([*plan.files["quarantine"], *staged("quarantine")], QUARANTINE, bite.buckets, persons)
    named = name_persons(load(plan, "persons", PERSONS, bite, staged("persons"), persons)) if persons.len() else pl.DataFrame(schema=NAMED)
    return Basis(facts, without_retracted(refused, retractions(plan)), named)


def take_turn(each: Recalculation, basis: Basis, before: pl.DataFrame, plan: Plan, staged: Staged) -> Recalculated:
    """Recalculate the due buckets; in the last night also who came into one that was done, or of whom the register did not know."""
    here = pl.col("bucket").is_in(list(each.due_slices))
    if each.ends:
        identities = tables.read([*plan.files["identities"], *staged("identities")], IDENTITIES)
        unnamed = before.filter(pl.col("recalculation") == each.number, pl.col("result") == NO_PERSON)["person"]
        taken = taken_before(each, basis.facts, identities)
        here = ~pl.col("person").is_in(taken.filter(~taken.is_in(unnamed.implode())).implode())
    looked_at = before.filter(pl.col("recalculation") == each.number, pl.col("result") != NO_PERSON).select(list(CASES)).unique()
    rate = Rate(plan.conf.rules.guarantee, each.effective)
    midnight = datetime.combine(plan.business_date, time(), UTC)
    facts = basis.facts.filter(here)
    try:
        return recalculate(facts, basis.rejected, basis.named, rate, each.reason, each.source_run, midnight, looked_at)
    except RefusedError as error:
        raise RefusedError(
            f"{error}: {each.source_run} has slices to come: put it back, or `lefi recalculate --cancel {each.source_run}`"
        ) from error


def taken_before(each: Recalculation, facts: pl.DataFrame, identities: pl.DataFrame) -> pl.Series:
    """The persons who were there when their bucket was computed: each is taken once (R42). Whom a merge has changed since is not among them: of
    these the cases are taken that were not looked at.

    facts: frames.FACTS of the benefit; identities: frames.IDENTITIES.
    """
    night = pl.col("bucket").replace_strict(each.nights_of_buckets, default=None, return_dtype=pl.Int32())
    first = facts.group_by("bucket", "person").agg(night_of(pl.col("arrival")).min().alias("came")).with_columns(night.alias("computed"))
    there = first.filter(pl.col("came") <= pl.col("computed"))
    changed = identities.select("person", pl.col("night").alias("changed"))
    since = there.join(changed, on="person").filter(pl.col("changed") > pl.col("computed"))
    return there.join(since, on="person", how="anti")["person"]


def mark(each: Recalculation, result: Recalculated, before: pl.DataFrame, night: int) -> pl.DataFrame:
    """The cases looked at tonight (frames.RECALCULATED), without those that are skipped again."""
    known = before.filter(pl.col("recalculation") == each.number).select("person", "case_id", "result").unique()
    marked = result.outcomes.with_columns(
        pl.lit(each.number, pl.Int64()).alias("recalculation"), pl.col("result").cast(pl.String()), pl.lit(night, pl.Int32()).alias("night")
    )
    return marked.select(list(RECALCULATED)).join(known, on=["person", "case_id", "result"], how="anti", maintain_order="left")


def number_arrivals(decisions: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Say when the decisions arrived: tonight after all drops, each bucket counting for itself, so that bites do not show."""
    place = pl.int_range(pl.len(), dtype=pl.Int64()).over("bucket") * plan.buckets + pl.col("bucket")
    return decisions.with_columns((place + arrival_of(plan.night, ORDINAL)).alias("arrival")).sort("bucket", "person", "fact_id")


def stage_with(files: dict[str, TableFile], name: str, rows: pl.DataFrame, schema: pl.Schema, bite: Bite, plan: Plan) -> None:
    """Stage rows together with what is staged of their table already."""
    if rows.is_empty():
        return
    there = tables.read([files[name]] if name in files else [], schema, bite.buckets)
    together = pl.concat([there, rows]).sort("bucket", "person", maintain_order=True)
    files[name] = tables.stage(plan.staging / "tables" / f"{name}-{bite.name}-recalculated.parquet", together)


def computed_rows(marked: Sequence[TableFile], withheld: Collection[str], plan: Plan) -> pl.DataFrame:
    """The slices computed tonight: frames.RECALCULATIONS. marked: the files that `recalculate_bite` staged."""
    marks = tables.read(marked, RECALCULATED)
    rows = []
    for each in due_tonight(withheld, plan):
        places = pl.col("bucket").replace_strict(each.due_slices, default=len(each.slices), return_dtype=pl.Int32())
        own = marks.filter(pl.col("recalculation") == each.number).group_by(places.alias("slice"), "result").len()
        counts = {(place, result): count for place, result, count in own.iter_rows()}
        late = [len(each.slices)] if any(place == len(each.slices) for place, _ in counts) else []
        for place in [*sorted(each.due), *late]:
            skipped = sum(counts.get((place, each), 0) for each in SKIPPED)
            rows.append((each.number, place, plan.night, counts.get((place, NEW), 0), counts.get((place, UNCHANGED), 0), skipped))
    return pl.DataFrame(rows, schema=RECALCULATIONS, orient="row")


def progress(computed: pl.DataFrame, withheld: Collection[str], plan: Plan) -> list[dict[str, Any]]:
    """How far the recalculations are that were not over before tonight, for the report. computed: tonight's rows."""
    rows = pl.concat([tables.read(plan.files["recalculations"], RECALCULATIONS), computed])
    waits = BENEFIT in withheld or BENEFIT not in plan.conf.benefits
    return [
        describe(each, rows.filter(pl.col("recalculation") == each.number), waits)
        for each in plan.decisions.recalculations
        if not each.over
    ]


def describe(each: Recalculation, rows: pl.DataFrame, waits: bool) -> dict[str, Any]:
    """A recalculation after tonight. waits: its benefit is not current; remaining: nights still to come, but for that."""
    done = rows.filter(pl.col("slice") < len(each.slices)).height
    counted: Mapping[str, int] = {name: int(rows[name].sum()) for name in ("decisions", "unchanged", "skipped")}
    return {
        "source_run": each.source_run,
        "effective": str(each.effective),
        "reason": each.reason,
        "first_night": str(each.first_night),
        "nights": len(each.slices),
        "done": done,
        "remaining": len(each.slices) - done,
        "waiting": BENEFIT if each.due and waits else None,
        **counted,
    }


def ceased_keys(plan: Plan) -> pl.Series:
    """Numbers that are not their person's key, as the last night left them."""
    return tables.newest(tables.read(plan.files["identities"], IDENTITIES), ["number"])["number"]
