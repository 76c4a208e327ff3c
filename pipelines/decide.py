"""What the night comes to, once everything was judged: which drops are consumed, what is withheld, which slices of refreshes are due (R2-R5, R16, R17)."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from pipelines.bites import Bite
from pipelines.ingest import Choice
from pipelines.plan import Plan
from pipelines.side_by_side import Description
from pipelines.take import Intake
from schemas.config import REGISTER
from schemas.errors import VerificationError
from schemas.frames import (
    MEMBER_KEY,
    MEMBERS,
    REFRESHES,
    SUBSCRIPTION_KEY,
)
from schemas.manifest import RefreshSlice
from storage import tables
from storage.tables import TableFile
from transforms.cut_chains import ChainState, Cut, Obstacle, cut_gated, next_state
from transforms.judge import NEW, SAME
from transforms.queue_refreshes import QUEUE, choose_slice, settle_queue


@dataclass(frozen=True)
class Refreshes:
    """What is done about refreshes tonight. chosen: groups of tonight's slices; slices: by partner; matched: order lines that match a group."""

    chosen: TableFile | None
    slices: Mapping[str, tuple[RefreshSlice, ...]]
    files: Mapping[str, TableFile]
    matched: frozenset[int]


@dataclass(frozen=True)
class Verdict(Description):
    """What the night consumes and withholds.

    excluded: ordinals of drops that were judged and are not consumed; retry: drops on which a gate closed, so that a sibling must be judged.
    """

    cuts: Mapping[str, Cut]
    states: Mapping[str, ChainState]
    withheld: Mapping[str, Obstacle]
    excluded: frozenset[int]
    orders: tuple[int, ...]
    obstacles: Mapping[str, Obstacle]
    choice: Choice
    intakes: tuple[Intake, ...]
    refreshes: Refreshes
    retry: Mapping[str, Obstacle] = field(default_factory=dict)

    def intake(self, bite: Bite) -> Intake:
        """What came in for a bite. VerificationError when the runner has lost it."""
        found = next((intake for intake in self.intakes if intake.bite == bite), None)
        if found is None:
            raise VerificationError(f"control totals: nothing was taken of buckets {bite.first} to {bite.last}")
        return found


def decide(_: object, intakes: Sequence[Intake], choice: Choice, plan: Plan) -> Verdict:
    """Close the gates, cut the chains for good, and say what is withheld and why (R2-R5)."""
    judged = {plan.by_ordinal(ordinal).name for chain, made in choice.cuts.items() for ordinal in (c.ordinal for c in made.consumed)}
    rejected = {name: Counter[str]() for name in judged} | rejected_by_drop(intakes, plan)
    cuts: dict[str, Cut] = {REGISTER: choice.cuts[REGISTER]}
    retry: dict[str, Obstacle] = {}
    obstacles = dict(choice.faults)
    for benefit in plan.conf.benefits:
        state = plan.states.get(benefit, ChainState())
        cuts[benefit], hindered = cut_gated(state, plan.of_chain(benefit), choice.faults, rejected, plan.accepted)
        gated = {name: obstacle for name, obstacle in hindered.items() if name not in choice.faults}
        obstacles |= gated
        unjudged = [candidate.business_date for candidate in cuts[benefit].consumed if candidate.name not in judged]
        if unjudged:  # what lies after it was judged against a drop that gives way
            dates = {candidate.name: candidate.business_date for candidate in plan.of_chain(benefit)}
            retry |= {name: obstacle for name, obstacle in gated.items() if dates[name] <= unjudged[0]}
    states, withheld = {}, {}
    for chain, made in cuts.items():
        closed = plan.conf.closed_text(chain, plan.business_date)
        states[chain], reason = next_state(plan.states.get(chain, ChainState()), made, plan.business_date, chain in plan.conf.off, closed)
        if reason:
            withheld[chain] = reason
    consumed = {candidate.ordinal for made in cuts.values() for candidate in made.consumed}
    excluded = frozenset(c.ordinal for made in choice.cuts.values() for c in made.consumed) - consumed
    current = [benefit for benefit in plan.conf.benefits if benefit not in withheld]
    refreshes = decide_refreshes(intakes, current, plan)
    return Verdict(cuts, states, withheld, excluded, choice.orders, obstacles, choice, tuple(intakes), refreshes, retry)


def rejected_by_drop(intakes: Sequence[Intake], plan: Plan, excluded: Collection[int] = ()) -> dict[str, Counter[str]]:
    """The rejected records of each drop of facts that has some, by code. excluded: ordinals of drops that are not counted."""
    found: dict[str, Counter[str]] = {}
    for intake in intakes:
        for (ordinal, code), count in intake.counted.items():
            if code not in (NEW, SAME) and ordinal not in excluded:
                found.setdefault(plan.by_ordinal(ordinal).name, Counter())[code] += count
    return found


def decide_refreshes(intakes: Sequence[Intake], current: list[str], plan: Plan) -> Refreshes:
    """Number tonight's refreshes, choose the slices, and write down what waits on (R16, R17)."""
    known = tables.newest(tables.read(plan.files["refreshes"], REFRESHES), ["refresh"])
    fresh = number_refreshes(intakes, plan, int(known["refresh"].max() or 0))  # type: ignore[arg-type]  # an Int64 column
    matched = frozenset(line for intake in intakes for line, *_ in intake.asked)
    files = [intake.queue for intake in intakes if intake.queue]
    if not (files or (known["waiting"] > 0).any()):
        return Refreshes(None, {}, {}, matched)
    queue = tables.read(files, QUEUE)
    numbers = dict(zip(fresh["provisional"], fresh["refresh"], strict=True))
    is_new = pl.col("refresh").is_in(list(numbers))
    queue = queue.with_columns(pl.col("refresh").replace(numbers), is_new.alias("new"))
    throttles = {name: partner.refresh_persons_per_night for name, partner in plan.conf.partners.items()}
    chosen = choose_slice(queue.drop("new"), current, throttles, plan.first_buckets)
    done = settle_queue(queue.drop("new"), chosen, current)
    after = queue.join(done.select(MEMBER_KEY).with_columns(waits=pl.lit(False)), on=MEMBER_KEY, how="left").with_columns(
        pl.col("waits").fill_null(True), pl.lit(plan.night, pl.Int32()).alias("night")
    )
    members = after.filter(pl.col("new") | ~pl.col("waits")).select(list(MEMBERS)).sort("bucket", "person")
    headers = head_refreshes(pl.concat([known, fresh.select(list(REFRESHES))]), after, chosen, plan.night)
    folder = plan.staging / "tables"
    slices = {
        str(partner): tuple(
            RefreshSlice(
                order_id=r["order_id"],
                line_no=r["line_no"],
                slice=r["slices"],
                of=r["slices"] + -(-r["persons"] // throttles[r["partner"]]),
            )
            for r in rows.iter_rows(named=True)
        )
        for (partner,), rows in headers.filter("served").sort("refresh").partition_by("partner", as_dict=True).items()
    }
    staged = {
        "members": tables.stage(folder / "members.parquet", members),
        "refreshes": tables.stage(folder / "refreshes.parquet", headers.select(list(REFRESHES))),
    }
    served = tables.scratch(plan.staging / "slices" / "slices.parquet", chosen.select("bucket", *SUBSCRIPTION_KEY).unique().sort("bucket"))
    return Refreshes(served, slices, staged, matched)


def number_refreshes(intakes: Sequence[Intake], plan: Plan, last: int) -> pl.DataFrame:
    """Tonight's new refreshes in the order of the queue: commands first, then order lines. REFRESHES and `provisional`, their number so far."""
    commands = [(-c.number, c.arguments["partner"], c.arguments["order_id"], 1) for c in plan.decisions.refreshes]
    asked = sorted({(ordinal, line_no, line, partner, order) for i in intakes for line, ordinal, line_no, partner, order in i.asked})
    rows = [*commands, *((line, partner, order, line_no) for _, line_no, line, partner, order in asked)]
    return pl.DataFrame(
        [
            (number, partner, order, line_no, plan.night, 0, 0, 0, plan.night, provisional)
            for number, (provisional, partner, order, line_no) in enumerate(rows, last + 1)
        ],
        schema={**REFRESHES, "provisional": pl.Int64()},
        orient="row",
    )


def head_refreshes(known: pl.DataFrame, after: pl.DataFrame, chosen: pl.DataFrame, night: int) -> pl.DataFrame:
    """The refreshes with members in the queue, and those that have lost them to an erasure, counted anew. REFRESHES, `served` tonight, and
    `persons` who wait on."""
    waiting = after.group_by("refresh").agg(
        pl.col("waits").sum().cast(pl.Int64()).alias("now"),
        pl.len().cast(pl.Int64()).alias("all"),
        pl.col("person").filter("waits").n_unique().cast(pl.Int64()).alias("persons"),
    )
    served = chosen.select("refresh").unique().with_columns(served=pl.lit(True))
    return (
        known.join(waiting, on="refresh", how="left")
        .filter(pl.col("now").is_not_null() | (pl.col("waiting") > 0))
        .join(served, on="refresh", how="left")
        .with_columns(pl.col("served").fill_null(False), pl.col("now", "all", "persons").fill_null(0))
        .with_columns(
            pl.when(pl.col("accepted") == night).then("all").otherwise("groups").alias("groups"),
            pl.col("slices") + pl.col("served").cast(pl.Int32()),
            pl.col("now").alias("waiting"),
            pl.lit(night, pl.Int32()).alias("night"),
        )
    )
