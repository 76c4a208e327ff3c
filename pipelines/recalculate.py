"""Order a recalculation, look ahead at what it would do, or stop one (R40-R43)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any

import polars as pl

from pipelines.bites import Bite, split_buckets, standing_subscriptions
from pipelines.decisions import deciding
from pipelines.ingest import going_on
from pipelines.plan import Plan, read_decisions, settled_plan
from pipelines.recalculation import Basis, ceased_keys, number_arrivals, read_basis
from pipelines.side_by_side import note
from pipelines.upgrade import require_recoded
from pipelines.view import Clock, LookedAt, nothing_staged, view
from schemas.errors import RefusedError, UsageError, require_reason
from storage import commands, durable, pace, tables
from storage.conf import read_conf
from storage.workspace import Workspace
from transforms.deal import deal
from transforms.recalculate import BENEFIT, CASES, NEW, SKIPPED, UNCHANGED, Rate, recalculate

RULES = ("guarantee",)
LONGEST = 366


@dataclass(frozen=True)
class Wish:
    """A recalculation as the command line has it, checked as far as it goes without the workspace. UsageError names what is wrong."""

    rule: str
    effective: date
    reason: str
    first_night: date
    nights: int

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise UsageError(f"--rule {self.rule}: there is {', '.join(RULES)}")
        if not 1 <= self.nights <= LONGEST:
            raise UsageError(f"--nights {self.nights}: from 1 to {LONGEST}")
        if (date.max - self.first_night).days < self.nights - 1:
            raise UsageError(f"--first-night {self.first_night}: after it there are no {self.nights} nights")
        require_reason(self.reason)


def order(workspace: Workspace, wish: Wish) -> Mapping[str, Any]:
    """Deal the buckets to the nights and write the command; the nights do the rest. RefusedError when the rules or the workspace forbid it."""
    with deciding(workspace):
        plan = allowed(workspace, wish)
        weights: Counter[int] = Counter()
        persons = 0
        pace.expect(plan.staging, {"look_ahead": plan.buckets})
        for bite in all_bites(plan):
            decided = look_ahead(bite, wish, plan)[1].filter(pl.col("result") == NEW)
            touched = decided.select("bucket", "person").unique()
            weights.update(touched["bucket"].to_list())
            persons += touched.height
        amount = pace.total(plan.staging)
        durable.remove(plan.staging)
        slices = deal([weights[bucket] for bucket in range(plan.buckets)], wish.nights)
        arguments = {
            "rule": wish.rule,
            "effective": str(wish.effective),
            "reason": wish.reason,
            "first_night": str(wish.first_night),
            "slices": slices,
        }
        given = commands.give(workspace, "recalculate", arguments, numbered={"source_run": "recalculation-{:06d}"})
        return {
            "source_run": given.arguments["source_run"],
            "persons": persons,
            "nights": wish.nights,
            "slices": [sum(weights[b] for b in of) for of in slices],
            "amount": amount,
        }


def allowed(workspace: Workspace, wish: Wish) -> Plan:
    """The workspace as the first night finds it, if the wish can be granted in it: what is retracted or released, but by no night yet, is so then."""
    catalog = workspace.catalog()
    plan = settled_plan(workspace, catalog, read_conf(workspace.conf))
    Rate(plan.conf.rules.guarantee, wish.effective)
    if BENEFIT not in plan.conf.benefits:
        raise RefusedError(f"--rule {wish.rule}: {BENEFIT} is not in conf/benefits.yaml")
    if catalog.business_date and wish.first_night <= catalog.business_date:
        raise RefusedError(f"--first-night {wish.first_night}: the last night was that of {catalog.business_date}, nights only go forward")
    coming = read_decisions(workspace, plan.files, catalog.night, wish.first_night)
    return replace(plan, decisions=replace(plan.decisions, retractions=coming.retractions, released=coming.released))


def look_ahead(bite: Bite, wish: Wish, plan: Plan) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The decisions (frames.FACTS) and outcomes (OUTCOMES) for some buckets, as if they were all due now."""
    basis: Basis = read_basis(bite, ceased_keys(plan), plan, nothing_staged)
    midnight = datetime.combine(wish.first_night, time(), UTC)
    rate = Rate(plan.conf.rules.guarantee, wish.effective)
    note("look_ahead", bite, LookedAt(basis.facts.height), plan.staging)
    result = recalculate(basis.facts, basis.rejected, basis.named, rate, wish.reason, "plan", midnight, CASES.to_frame())
    return number_arrivals(result.decisions, plan), result.outcomes


def forecast(workspace: Workspace, wish: Wish) -> Mapping[str, Any]:
    """What a recalculation would do (R43): persons, amounts before and after, records per partner and night. Nothing changes."""
    with deciding(workspace) as catalog:
        require_recoded(catalog)
        plan = allowed(workspace, wish)
        durable.remove(plan.staging)
        pace.expect(plan.staging, {"look_ahead": plan.buckets})
        try:
            foreseen = [foresee(bite, wish, plan) for bite in all_bites(plan)]
            amount = pace.total(plan.staging)
        finally:
            durable.remove(plan.staging)
    outcomes, records = (pl.concat(frames) for frames in zip(*foreseen, strict=True))
    fresh = outcomes.filter(pl.col("result") == NEW)
    weights = Counter(fresh.select("bucket", "person").unique()["bucket"].to_list())
    slices = deal([weights[bucket] for bucket in range(plan.buckets)], wish.nights)
    counted = Counter(outcomes["result"].to_list())
    return {
        "source_run": None,
        "persons": fresh["person"].n_unique(),
        "nights": wish.nights,
        "decisions": counted[NEW],
        "unchanged": counted[UNCHANGED],
        "skipped": sum(counted[each] for each in SKIPPED),
        "amounts": {
            "before": spread(fresh["before"]),
            "after": spread(fresh["after"]),
            "change": spread((fresh["after"] - fresh["before"]).alias("change")),
            "sum_before": str(fresh["before"].sum() or 0),
            "sum_after": str(fresh["after"].sum() or 0),
        },
        "slices": [foreseen_night(place, buckets, fresh, records, plan) for place, buckets in enumerate(slices, 1)],
        "outcomes": fresh,
        "amount": amount,
    }


def all_bites(plan: Plan) -> Sequence[Bite]:
    """All buckets, a bite at a time."""
    return split_buckets(plan.buckets, sum(file.rows for file in plan.files["facts"]))


def foresee(bite: Bite, wish: Wish, plan: Plan) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The outcomes for some buckets (OUTCOMES), and the records that partners would get: (bucket, partner, person)."""
    decisions, outcomes = look_ahead(bite, wish, plan)
    standing = standing_subscriptions(plan, bite).filter(pl.col("benefit") == BENEFIT, ~pl.col("initial_due"))
    groups = going_on(standing, plan).join(decisions, on="person", how="semi")
    if groups.is_empty():
        return outcomes, pl.DataFrame(schema={"bucket": pl.Int32(), "partner": pl.String(), "person": pl.String()})
    file = tables.stage(plan.staging / f"decisions-{bite.name}.parquet", decisions)
    ordered = groups.sort("bucket", "person", "benefit", "partner").with_columns(in_slice=pl.lit(False))
    seen = view(bite, plan, ordered, lambda name: [file] if name == "facts" else [], Clock())
    return outcomes, seen.compared.records.select("bucket", "partner", "person")


def spread(amounts: pl.Series) -> Mapping[str, str | None]:
    """Smallest, quarters and largest of some amounts in kronor, as they stand in JSON."""
    marks = {"least": 0.0, "lower_quarter": 0.25, "middle": 0.5, "upper_quarter": 0.75, "most": 1.0}
    rising = amounts.drop_nulls().sort()
    last = rising.len() - 1
    return {name: str(rising[round(last * mark)]) if rising.len() else None for name, mark in marks.items()}


def foreseen_night(place: int, buckets: Sequence[int], fresh: pl.DataFrame, records: pl.DataFrame, plan: Plan) -> Mapping[str, Any]:
    """A night's slice: persons, and of each partner records, persons and these in percent of its throttle for refreshes. place: from 1."""
    here = pl.col("bucket").is_in(list(buckets))
    counted = records.filter(here).group_by("partner").agg(pl.len().alias("records"), pl.col("person").n_unique().alias("persons"))
    loads = {partner: (number, persons) for partner, number, persons in counted.sort("partner").iter_rows()}
    return {
        "slice": place,
        "persons": fresh.filter(here)["person"].n_unique(),
        "partners": {
            partner: {
                "records": number,
                "persons": persons,
                "percent_of_throttle": round(100 * persons / plan.conf.partners[partner].refresh_persons_per_night, 1),
            }
            for partner, (number, persons) in loads.items()
        },
    }


def cancel(workspace: Workspace, source_run: str) -> Mapping[str, Any]:
    """Stop the nights of a recalculation that have not been run yet. RefusedError when none has that name."""
    with deciding(workspace) as catalog:
        known = {each.source_run: each for each in settled_plan(workspace, catalog, read_conf(workspace.conf)).decisions.recalculations}
        if source_run not in known:
            raise RefusedError(f"--cancel {source_run}: no recalculation has that name")
        found = known[source_run]
        if not found.over:
            commands.give(workspace, "cancel", {"source_run": source_run})
        return {"source_run": source_run, "done": len(found.done), "stopped": 0 if found.over else len(found.slices) - len(found.done)}
