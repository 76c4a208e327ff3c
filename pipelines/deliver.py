"""From what is held to what is delivered, bite by bite: compare, encode, write down what was told and what it adds up to."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import polars as pl

from pipelines.bites import Bite, load, row_count, split, standing_subscriptions
from pipelines.decide import Verdict
from pipelines.ingest import Linked
from pipelines.plan import Plan
from pipelines.recalculation import recalculate_bite
from pipelines.side_by_side import Description
from pipelines.take import Intake
from pipelines.totals import must_equal
from pipelines.view import DAYS_IN, FACTS_IN, TOTALLED, Clock, audited, look, lost_in_store
from schemas.buckets import ordinal_of
from schemas.config import REGISTER
from schemas.contracts import DELIVERY_RECORD
from schemas.frames import (
    FACTS,
    QUARANTINE,
    SUBSCRIPTION_KEY,
    SUBSCRIPTION_ROWS,
    SUBSCRIPTIONS,
    TOLD,
    TOUCHED,
)
from storage import avro, outbox, tables
from storage.pace import Amount
from storage.tables import TableFile
from transforms.carry_told import with_carried
from transforms.freeze import freezing
from transforms.hold import hold
from transforms.restrict import restrict
from transforms.total import TOTAL, total_facts

AUDIT, UNITS_PAID, FACTS_HELD = "audit differences", "units paid", "facts held"
Totals = dict[tuple[int, str, str], int]
PERSON_KEY = pl.Schema({"bucket": pl.Int32(), "person": pl.String()})
REJECTED_KEY = pl.Schema({**PERSON_KEY, "drop_benefit": pl.String()})
QUARANTINE_LISTED = 50_000  # of a bite: more would be too much for one value of a pipeline
SLICE = pl.Schema({"bucket": pl.Int32(), "partner": pl.String(), "person": pl.String(), "benefit": pl.String()})


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
    if carried := moved.pop("told", ()):  # from here on it counts as the night's own ledger, also for the audit
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
    return tables.collected(
        pl.concat([none, *facts, *rejected]).unique(), [file.path for name in ("facts", "quarantine") for file in plan.files[name]]
    )


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
