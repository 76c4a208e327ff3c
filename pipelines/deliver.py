"""From what is held to what is delivered: decide, compare bite by bite, put the deliveries together (DESIGN 4)."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import polars as pl

from pipelines.ingest import Choice, Linked
from pipelines.plan import Plan
from pipelines.recalculation import recalculate_bite
from pipelines.side_by_side import Description
from pipelines.take import MEMBER_KEY, Bite, Intake, load, row_count, split, standing_subscriptions
from pipelines.totals import must_equal
from pipelines.view import DAYS_IN, FACTS_IN, TOTALLED, Clock, audited, look, lost_in_store
from schemas.buckets import ordinal_of
from schemas.config import REGISTER
from schemas.contracts import DELIVERY_RECORD, RECEIPT
from schemas.errors import VerificationError, masked
from schemas.frames import FACTS, MEMBERS, QUARANTINE, REFRESHES, SUBSCRIPTION_KEY, SUBSCRIPTION_ROWS, SUBSCRIPTIONS, TOLD, TOUCHED
from schemas.manifest import Action, FileEntry, Input, Manifest, Previous, RefreshSlice, Withheld
from storage import avro, durable, outbox, tables
from storage.pace import Amount
from storage.place import place
from storage.tables import TableFile
from transforms.carry_told import with_carried
from transforms.cut_chains import ChainState, Cut, Obstacle, cut_gated, next_state
from transforms.freeze import freezing
from transforms.hold import hold
from transforms.judge import NEW, SAME
from transforms.queue_refreshes import QUEUE, choose_slice, settle_queue
from transforms.restrict import restrict
from transforms.take_orders import RECEIPTS, settle_receipts
from transforms.total import TOTAL, total_facts

AUDIT, UNITS_PAID, FACTS_HELD = "audit differences", "units paid", "facts held"
Totals = dict[tuple[int, str, str], int]
PERSON_KEY = pl.Schema({"bucket": pl.Int32(), "person": pl.String()})
REJECTED_KEY = pl.Schema({**PERSON_KEY, "drop_benefit": pl.String()})
QUARANTINE_LISTED = 50_000  # of a bite: more would be too much for one value of a pipeline
SLICE = pl.Schema({"bucket": pl.Int32(), "partner": pl.String(), "person": pl.String(), "benefit": pl.String()})


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


@dataclass(frozen=True)
class Part(Description):
    """A partner's records of a bite as Avro blocks. buckets: (bucket, rows, bytes)."""

    partner: str
    path: str
    buckets: tuple[tuple[int, int, int], ...]
    totals: Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Delivered(Description):
    """What a bite came to.

    files: staged, by table; totals: (bucket, benefit, measure) -> count; seconds: by step, from `began` (seconds since 1970) on; quarantine:
    (arrival, benefit, code, drop) of the rejected records that still freeze somebody, and of tonight's that nobody can be read from;
    deviations: (benefit, code) -> records; peak_mib: of the process, at the end of each step; watched: (partner, benefit) of the
    active subscriptions whose benefit is withheld.
    """

    bite: Bite
    parts: tuple[Part, ...]
    files: Mapping[str, TableFile]
    totals: Mapping[tuple[int, str, str], int]
    seconds: Mapping[str, float]
    began: float
    quarantine: tuple[tuple[int, str, str, str], ...] = ()
    deviations: Mapping[tuple[str, str], int] = field(default_factory=dict)
    peak_mib: Mapping[str, int] = field(default_factory=dict)
    watched: frozenset[tuple[str, str]] = frozenset()

    @property
    def amount(self) -> Amount:
        """The facts that were looked at, the records made of them, and what was staged."""
        looked_at = sum(number for (_, _, measure), number in self.totals.items() if measure == FACTS_HELD)
        staged = [file.amount for file in self.files.values()]
        made = [Amount(0, rows, size) for part in self.parts for _, rows, size in part.buckets]
        return sum((*staged, *made), Amount(0, looked_at))


@dataclass(frozen=True)
class Delivery(Description):
    """A partner's delivery, ready to be published. folder: below staging."""

    partner: str
    sequence: int
    digest: str
    folder: str
    records: int
    receipts: int
    totals: Mapping[str, Mapping[str, int]]
    withheld: tuple[str, ...]
    size_bytes: int

    @property
    def amount(self) -> Amount:
        """What is delivered."""
        return Amount(0, self.records + self.receipts, self.size_bytes)


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


def deliver_bite(bite: Bite, verdict: Verdict, plan: Plan) -> Delivered:
    """Compare what is visible with what was told, for the groups of some buckets that may differ; stage records and ledger."""
    clock = Clock()
    linked, intake = verdict.choice.linked, verdict.intake(bite)
    files = dict(intake.files)
    keep_consumed(files, verdict, plan, bite)

    moved = dict(linked.moved)

    def moved_and_new(name: str) -> list[TableFile]:
        return [*moved.get(name, ()), *([files[name]] if name in files else [])]

    decided = recalculate_bite(bite, verdict.withheld, linked.aliases, plan, moved_and_new, files)
    subscriptions = tables.read([intake.subscriptions], SUBSCRIPTIONS, bite.buckets)
    who = pl.read_parquet(intake.concerned.path)["person"] if intake.concerned else None
    touched = touch(bite, plan, subscriptions, moved_and_new)
    current = [benefit for benefit in plan.conf.benefits if benefit not in verdict.withheld]
    sliced = tables.read([verdict.refreshes.chosen] if verdict.refreshes.chosen else [], SLICE, bite.buckets)
    touched = pl.concat([touched, sliced.select(list(TOUCHED))]).unique(maintain_order=True)
    due = restrict(subscriptions.filter(pl.col("benefit").is_in(current)), touched, ("person", "benefit"))
    turn = sliced.select(SUBSCRIPTION_KEY).with_columns(in_slice=pl.lit(True))
    groups = due.join(turn, on=SUBSCRIPTION_KEY, how="left", maintain_order="left").with_columns(pl.col("in_slice").fill_null(False))
    seen = look(bite, plan, groups, moved_and_new, clock)
    result = seen.compared
    parts = encode(result.records, bite, plan)
    clock.lap("encode")
    ledger = result.told
    if carried := moved.pop("told", ()):
        ledger = with_carried(ledger, tables.read(carried, TOLD, bite.buckets), result.records)
    if ledger.height:
        files["told"] = tables.stage(plan.staging / "tables" / f"told-{bite.name}.parquet", ledger)
    stage_changes(bite, plan, subscriptions, result.subscriptions, files, who)
    waiting = touched.join(subscriptions.filter(~pl.col("benefit").is_in(current)), on=["person", "benefit"], how="semi")
    if waiting.height:
        files["touched"] = tables.stage(plan.staging / "tables" / f"touched-{bite.name}.parquet", waiting.sort(list(TOUCHED)))
    clock.lap("ledger")
    kept = count_kept(bite, files, linked.moved.get("facts", ()), intake, decided, bool(verdict.excluded))
    turns = [with_the_others(subscriptions, who, Bite(bucket, bucket), plan) for bucket in audited(bite, plan)]
    in_turn = pl.concat([subscriptions.clear(), *turns])
    found = audit(bite, plan, in_turn.filter(pl.col("benefit").is_in(current)), due, moved_and_new)
    totals = kept | count_delivered(seen.held, result.records) | found
    clock.lap("audit")
    watched = watched_in_vain(bite, subscriptions, who, [benefit for benefit in verdict.withheld if benefit != REGISTER], plan)
    rejected, deviations = open_quarantine(bite, linked, plan, moved_and_new), count_deviations(result.records)
    return Delivered(bite, parts, files, totals, clock.seconds, clock.began, rejected, deviations, clock.peak_mib, watched)


def with_the_others(subscriptions: pl.DataFrame, who: pl.Series | None, bite: Bite, plan: Plan) -> pl.DataFrame:
    """The active subscriptions of some buckets: those taken tonight, and as they stand those of persons whom the night does not concern."""
    taken = subscriptions.filter(pl.col("bucket").is_between(bite.first, bite.last))
    if who is None:
        return taken
    others = standing_subscriptions(plan, bite).select(list(SUBSCRIPTIONS)).filter(~pl.col("person").is_in(who.implode()))
    return pl.concat([taken, others]).sort("bucket", "person", "benefit", "partner")


def watched_in_vain(
    bite: Bite, subscriptions: pl.DataFrame, who: pl.Series | None, withheld: Sequence[str], plan: Plan
) -> frozenset[tuple[str, str]]:
    """(partner, benefit) of the active subscriptions whose benefit is withheld."""
    if not withheld:
        return frozenset()
    found: set[tuple[str, str]] = set()
    for part in split(bite, row_count(plan.files["subscriptions"]) * (bite.last - bite.first + 1) // plan.buckets):
        active = with_the_others(subscriptions, who, part, plan).filter(pl.col("benefit").is_in(list(withheld)))
        found.update(active.select("partner", "benefit").unique().iter_rows())
    return frozenset(found)


def audit(bite: Bite, plan: Plan, subscriptions: pl.DataFrame, due: pl.DataFrame, staged: Callable[[str], list[TableFile]]) -> Totals:
    """Look at all of the buckets whose turn it is: the store, and the groups that nobody touched. Nothing is expected; counts what is found."""
    found: Counter[tuple[int, str, str]] = Counter()
    for bucket in audited(bite, plan):
        found.update((bucket, place["benefit"], AUDIT) for place in lost_in_store(bucket, bucket, plan).iter_rows(named=True))
        quiet = subscriptions.filter(pl.col("bucket") == bucket).join(due, on=SUBSCRIPTION_KEY, how="anti")
        if quiet.height:
            records = look(Bite(bucket, bucket), plan, quiet.with_columns(in_slice=pl.lit(False)), staged, Clock()).compared.records
            found.update({(bucket, benefit, AUDIT): number for benefit, number in records.group_by("benefit").len().iter_rows()})
    return dict(found)


def open_quarantine(
    bite: Bite, linked: Linked, plan: Plan, staged: Callable[[str], list[TableFile]]
) -> tuple[tuple[int, str, str, str], ...]:
    """The rejected records that an operator can still do something about."""
    ceased = linked.read_aliases()["number"]  # what lies under such a key has moved
    rejected = load(plan, "quarantine", QUARANTINE, bite, staged("quarantine"))
    rejected = tables.newest(rejected.filter(~pl.col("person").is_in(ceased.implode()).fill_null(False)), ["arrival"])
    if rejected.is_empty():
        return ()
    held = hold(load(plan, "facts", FACTS, bite, staged("facts"), rejected["person"].unique().sort()))
    nameless = rejected.filter(pl.col("code") == "INVALID_PERSONNUMMER", pl.col("night") == plan.night)
    rows = pl.concat([freezing(rejected, held).select(list(QUARANTINE)), nameless]).sort("arrival")
    return tuple(rows.select("arrival", "drop_benefit", "code", "drop").head(QUARANTINE_LISTED).iter_rows())


def keep_consumed(files: dict[str, TableFile], verdict: Verdict, plan: Plan, bite: Bite) -> None:
    """Leave out what came with drops on which a gate closed: they are not consumed."""
    if not verdict.excluded:
        return
    for name, schema in (("facts", FACTS), ("quarantine", QUARANTINE)):
        if name in files:
            rows = tables.read([files[name]], schema, bite.buckets)
            rows = rows.filter(~ordinal_of(pl.col("arrival")).is_in(list(verdict.excluded)))
            files[name] = tables.stage(plan.staging / "tables" / f"{name}-{bite.name}-consumed.parquet", rows)


def touch(bite: Bite, plan: Plan, subscriptions: pl.DataFrame, staged: Callable[[str], list[TableFile]]) -> pl.DataFrame:
    """The (person, benefit) pairs that must be compared: left from earlier nights, changed tonight, or owed something (frames.TOUCHED)."""
    pairs = subscriptions.select("bucket", "person", "benefit").unique()
    changed_persons = tables.read(staged("persons"), PERSON_KEY, bite.buckets).select("person").unique()
    rejected = tables.read(staged("quarantine"), REJECTED_KEY, bite.buckets)
    changes = [
        tables.read(plan.files["touched"], TOUCHED, bite.buckets).select("person", "benefit"),
        tables.read(staged("facts"), TOUCHED, bite.buckets).select("person", "benefit"),
        rejected.select("person", pl.col("drop_benefit").alias("benefit")),
        tables.read(staged("told"), TOUCHED, bite.buckets).select("person", "benefit"),
        tables.read(staged("touched"), TOUCHED, bite.buckets).select("person", "benefit"),
        taken_back_tonight(bite, plan),
        pairs.join(changed_persons, on="person", how="semi").select("person", "benefit"),
        subscriptions.filter(pl.col("initial_due") | pl.col("heal_due")).select("person", "benefit"),
    ]
    return restrict(pairs, pl.concat(changes), ("person", "benefit"))


def taken_back_tonight(bite: Bite, plan: Plan) -> pl.DataFrame:
    """(person, benefit) of what is retracted or released, in the first night after that was decided."""
    runs = [each.source_run for each in plan.decisions.retractions if each.fresh]
    here, none = pl.col("bucket").is_between(bite.first, bite.last), pl.LazyFrame(schema={"person": pl.String(), "benefit": pl.String()})
    retracted, released = pl.col("source_run").is_in(runs), pl.col("arrival").is_in(list(plan.decisions.released_tonight))
    if not runs and not plan.decisions.released_tonight:
        return none.collect()
    facts = [pl.scan_parquet(file.path).filter(here, retracted).select("person", "benefit") for file in plan.files["facts"] if runs]
    rejected = [
        pl.scan_parquet(file.path).filter(here, retracted | released).select("person", benefit="drop_benefit")
        for file in plan.files["quarantine"]
    ]
    return pl.concat([none, *facts, *rejected]).unique().collect()


def encode(records: pl.DataFrame, bite: Bite, plan: Plan) -> tuple[Part, ...]:
    """Each partner's records as Avro blocks, none crossing a bucket. records: sorted by partner and bucket."""
    parts, start = [], 0
    counts = records.group_by("partner", "bucket", maintain_order=True).len()
    for (name,), places in counts.partition_by("partner", as_dict=True, maintain_order=True).items():
        partner, rows = str(name), int(places["len"].sum())
        own = records.slice(start, rows)
        start += rows
        marker = outbox.marker(plan.run, partner)
        borders = [avro.chunks(number) for number in places["len"]]
        blocks = encode_on_both_cores(own.select(list(DELIVERY_RECORD.frame)), marker, [n for of in borders for n in of])
        path = plan.staging / "parts" / partner / f"{bite.name}.blocks"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(blocks))
        sizes = iter(blocks)
        buckets = [
            (bucket, number, sum(len(next(sizes)) for _ in of))
            for (bucket, number), of in zip(places.select("bucket", "len").iter_rows(), borders, strict=True)
        ]
        counted = own.group_by("benefit", "action").len().sort("benefit", "action")
        totals = {(benefit, action): number for benefit, action, number in counted.iter_rows()}
        parts.append(Part(partner, str(path), tuple(buckets), totals))
    return tuple(parts)


def encode_on_both_cores(records: pl.DataFrame, marker: bytes, rows: Sequence[int]) -> list[bytes]:
    """Records as Avro blocks of given numbers of rows; the codec lets go of the interpreter, so two halves take little more than half the time."""
    half = len(rows) // 2
    cut = sum(rows[:half])
    halves = [(records.slice(0, cut), rows[:half]), (records.slice(cut), rows[half:])]
    with ThreadPoolExecutor(max_workers=2) as pool:
        encoded = pool.map(lambda part: avro.encode_blocks(part[0], DELIVERY_RECORD, marker, part[1]), halves)
        return [block for blocks in encoded for block in blocks]


def stage_changes(
    bite: Bite, plan: Plan, before_state: pl.DataFrame, known: pl.DataFrame, files: dict[str, TableFile], who: pl.Series | None = None
) -> None:
    """Stage the subscriptions that are other than last night, and those that are gone. who: the persons they are of, None for all."""
    after = pl.concat([known, before_state.join(known, on=SUBSCRIPTION_KEY, how="anti")])
    before = standing_subscriptions(plan, bite, who)
    changed = (
        after.join(before.select(list(SUBSCRIPTIONS)), on=list(SUBSCRIPTIONS), how="anti", nulls_equal=True) if before.height else after
    )
    gone = before.join(after, on=SUBSCRIPTION_KEY, how="anti").select(list(SUBSCRIPTIONS))
    night = pl.lit(plan.night, pl.Int32).alias("night")
    rows = pl.concat([changed.with_columns(night, gone=pl.lit(False)), gone.with_columns(night, gone=pl.lit(True))])
    if rows.height:
        rows = rows.select(list(SUBSCRIPTION_ROWS)).sort("bucket", "person", "benefit", "partner")
        files["subscriptions"] = tables.stage(plan.staging / "tables" / f"subscriptions-{bite.name}.parquet", rows)


def count_kept(
    bite: Bite, files: Mapping[str, TableFile], moved: Sequence[TableFile], intake: Intake, decided: pl.DataFrame, excluded: bool
) -> Totals:
    """Facts and span days that tonight adds to the store, read back from what was staged; they must be what was judged to be new, or decided."""
    staged = total_facts(tables.read([files["facts"]] if "facts" in files else [], TOTALLED, bite.buckets))
    if not excluded:
        came = pl.concat([pl.DataFrame(intake.totals, schema=TOTAL, orient="row"), total_facts(decided)])
        must_equal("store", came.group_by("bucket", "benefit").sum().sort("bucket", "benefit"), staged)
    added = pl.concat([staged, total_facts(tables.read(moved, TOTALLED, bite.buckets))]).rename({"facts": FACTS_IN, "days": DAYS_IN})
    return to_totals(added.group_by("bucket", "benefit").sum())


def count_delivered(held: pl.DataFrame, records: pl.DataFrame) -> Totals:
    """Facts looked at, records and units delivered, per bucket and benefit. held: (bucket, benefit, facts)."""
    seen = held.rename({"facts": FACTS_HELD})
    told = records.group_by("bucket", "benefit").agg(
        pl.len().alias("records"),
        pl.col("units").sum().alias("units delivered"),
        pl.col("units").filter(pl.col("kind") == "PAYMENT").sum().alias(UNITS_PAID),
    )
    return to_totals(seen) | to_totals(told)


def count_deviations(records: pl.DataFrame) -> dict[tuple[str, str], int]:
    """Records delivered with a deviation, by (benefit, code)."""
    code = pl.col("deviation").struct.field("code")
    counted = records.filter(code.is_not_null()).group_by("benefit", code).len().sort("benefit", "code")
    return {(benefit, code): number for benefit, code, number in counted.iter_rows()}


def to_totals(counted: pl.DataFrame) -> Totals:
    """Counts by bucket and benefit as (bucket, benefit, measure) -> count."""
    rows = counted.unpivot(index=["bucket", "benefit"]).sort("bucket", "benefit", "variable").iter_rows()
    return {(bucket, benefit, measure): int(number) for bucket, benefit, measure, number in rows if number}


def put_together(partner: str, delivered: Sequence[Delivered], verdict: Verdict, plan: Plan) -> Delivery:
    """Join a partner's parts to files and write its manifest, under staging."""
    folder = plan.staging / "outbox" / partner
    marker = outbox.marker(plan.run, partner)
    parts = [part for each in sorted(delivered, key=lambda each: each.bite.first) for part in each.parts if part.partner == partner]
    head = avro.header(DELIVERY_RECORD, marker)
    files = list(outbox.join(folder, head, [(place(part.path), part.buckets) for part in parts]))
    totals: dict[str, Counter[str]] = {}
    for part in parts:
        for (benefit, action), number in part.totals.items():
            totals.setdefault(benefit, Counter())[action] += number
    receipts = write_receipts(folder, partner, verdict, marker, plan)
    entries = [*files, receipts] if receipts else files
    counted = {benefit: dict(sorted(actions.items())) for benefit, actions in sorted(totals.items())}
    last = plan.deliveries.get(partner)
    withheld = withheld_for(partner, frozenset().union(*(each.watched for each in delivered)), verdict, plan)
    manifest = Manifest(
        partner=partner,
        sequence=plan.sequences[partner],
        previous=Previous(sequence=last.sequence, digest=last.digest) if last else None,
        business_date=plan.business_date,
        previous_business_date=last.date if last else None,
        run=plan.run,
        inputs=inputs_of(partner, verdict, plan),
        files=tuple(entries),
        totals=cast(dict[str, dict[Action, int]], counted),
        withheld=withheld,
        refreshes=verdict.refreshes.slices.get(partner, ()),
    )
    folder.mkdir(parents=True, exist_ok=True)
    durable.write_file(folder / outbox.MANIFEST, manifest.to_json())
    return Delivery(
        partner,
        manifest.sequence,
        manifest.digest(),
        str(folder),
        sum(file.rows for file in files),
        receipts.rows if receipts else 0,
        counted,
        tuple(each.benefit for each in withheld),
        sum(entry.bytes for entry in entries),
    )


def write_receipts(folder: Path, partner: str, verdict: Verdict, marker: bytes, plan: Plan) -> FileEntry | None:
    """receipts.avro, if the partner sent lines: by bucket, then in the order of the lines."""
    matched = pl.DataFrame({"position": sorted(verdict.refreshes.matched)}, schema={"position": pl.Int64()})
    own = [
        tables.read([intake.receipts], RECEIPTS, partner=partner)
        for intake in sorted(verdict.intakes, key=lambda intake: intake.bite.first)
        if intake.receipts
    ]
    if not sum(frame.height for frame in own):
        return None
    blocks = (receipt_blocks(frame, settle_receipts(frame, matched, plan.business_date), marker) for frame in own)
    return outbox.write(folder / "receipts.avro", avro.header(RECEIPT, marker), blocks, sum(frame.height for frame in own))


def receipt_blocks(in_order: pl.DataFrame, settled: pl.DataFrame, marker: bytes) -> bytes:
    """Receipts as Avro blocks, in the order in which they were staged, none crossing a bucket."""
    receipts = in_order.select("position").join(settled, on="position", maintain_order="left")
    counts = receipts.group_by("bucket", maintain_order=True).len()["len"]
    return avro.encode(receipts.select(list(RECEIPT.frame)), RECEIPT, marker, [n for rows in counts for n in avro.chunks(rows)])


def withheld_for(partner: str, watched: frozenset[tuple[str, str]], verdict: Verdict, plan: Plan) -> tuple[Withheld, ...]:
    """R4, R5: the withheld benefits of the partner's active subscriptions, and PERSONS. watched: (partner, benefit) of these, of all partners."""
    subscribed = {benefit for name, benefit in watched if name == partner}
    named = [chain for chain in plan.conf.chains if chain in verdict.withheld and (chain in subscribed or chain == REGISTER)]
    return tuple(
        Withheld(
            benefit=chain,
            code=verdict.withheld[chain].code,
            text=masked(verdict.withheld[chain].text),
            since=verdict.states[chain].since or plan.business_date,
        )
        for chain in named
    )


def inputs_of(partner: str, verdict: Verdict, plan: Plan) -> tuple[Input, ...]:
    """The drops consumed tonight for persons, for what the partner is permitted, and its own orders (contract, section 4)."""
    permitted = plan.conf.partners[partner].permitted | {REGISTER}
    drops = [plan.by_ordinal(c.ordinal) for chain, made in verdict.cuts.items() if chain in permitted for c in made.consumed]
    drops += [drop for drop in map(plan.by_ordinal, verdict.orders) if drop.partner == partner]
    return tuple(Input(drop=drop.name, sha256=drop.sha256) for drop in sorted(drops, key=lambda drop: drop.name))
