"""What is visible against what was told, for some groups of a bite: the one comparison that the night, the audit and reconcile share."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, time

import polars as pl

from pipelines.bites import AUDIT_TURNS, Bite, load, portions_of, retractions
from pipelines.commanded import heals
from pipelines.plan import Plan
from pipelines.side_by_side import Description
from pipelines.totals import must_equal
from schemas.contracts import DELIVERY_RECORD
from schemas.frames import FACTS, PERSONS, QUARANTINE, TOLD, TOTALS
from storage import pace, tables
from storage.pace import Amount
from storage.tables import TableFile
from transforms.compare import Compared, compare, join
from transforms.compensate import compensate
from transforms.digest import with_digest
from transforms.freeze import freeze
from transforms.hold import hold
from transforms.name_persons import name_persons
from transforms.restrict import restrict
from transforms.retract import gone_reasons, without_retracted
from transforms.total import TOTAL, total_decided, total_facts, total_windows, unequal

LEDGER = "LEDGER"
FACTS_IN, DAYS_IN = "facts in", "span days in"
TOTALLED = pl.Schema({name: FACTS[name] for name in ("bucket", "benefit", "spans")})
TOLD_KEY = ("partner", "person", "benefit", "fact_id")
Staged = Callable[[str], list[TableFile]]


class Clock:
    """Seconds by step, when the first began (seconds since 1970), and the process's peak memory in MiB at the end of each."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.began = time()
        self.peak_mib: dict[str, int] = {}
        self._last = perf_counter()

    def lap(self, step: str) -> None:
        """End a step."""
        now = perf_counter()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._last
        self.peak_mib[step] = peak_mib()
        self._last = now


def peak_mib() -> int:
    """The most memory that this process has had so far, in MiB."""
    return pace.peak_bytes() >> 20


@dataclass(frozen=True)
class View:
    """held: the facts that hold, of the groups' persons and benefits; contents: those not withdrawn, with windows and digest; compared: what is to be told."""

    held: pl.DataFrame
    contents: pl.DataFrame
    compared: Compared


@dataclass(frozen=True)
class LookedAt(Description):
    """What a comparison came to that stages nothing, or little. rows: of facts and ledger that it looked at."""

    rows: int

    @property
    def amount(self) -> Amount:
        """Those."""
        return Amount(0, self.rows)


def nothing_staged(_name: str) -> list[TableFile]:
    """What is staged when nothing is."""
    return []


def view(bite: Bite, plan: Plan, groups: pl.DataFrame, staged: Staged, clock: Clock) -> View:
    """Compare for some groups of a bite. groups: frames.SUBSCRIPTIONS and `in_slice`; staged: a table's files of tonight."""
    persons = groups["person"].unique().sort()
    clock.lap("plan")
    named = name_persons(load(plan, "persons", PERSONS, bite, staged("persons"), persons))
    stored = tables.read([*plan.files["facts"], *staged("facts")], FACTS, bite.buckets, persons)
    clock.lap("decode")
    stored = restrict(stored, groups, ("person", "benefit"))
    held = hold(without_retracted(stored, retractions(plan)))
    clock.lap("co-group")
    unit = pl.col("benefit").replace_strict(plan.units, return_dtype=DELIVERY_RECORD.frame["unit"])
    measured = held.with_columns(unit.alias("unit"))
    compensated = compensate(measured)
    must_equal("windows (R30)", total_decided(measured), total_windows(compensated))
    clock.lap("windows")
    contents = with_digest(compensated)
    clock.lap("digest")
    rejected = tables.newest(load(plan, "quarantine", QUARANTINE, bite, staged("quarantine"), persons), ["arrival"])
    told = tables.newest(load(plan, "told", TOLD, bite, staged("told"), persons), TOLD_KEY)
    found = heals(plan, groups, bite.first, bite.last, staged("identities"))
    told = as_delivered(told, found.filter(pl.col("what") == LEDGER, pl.col("of_ledger")))
    frozen = groups.join(freeze(rejected, held), on=["person", "benefit"], how="left", maintain_order="left")
    gone = gone_reasons(stored, retractions(plan))
    compared = compare(frozen, named, contents, held, told, gone, found.select(TOLD_KEY).unique(), plan.units, plan.sequences, plan.night)
    clock.lap("compare")
    return View(held, contents, compared)


@dataclass(frozen=True)
class Seen:
    """A comparison, portion by portion. held: (bucket, benefit, facts) of the facts that hold; compared: of all portions together."""

    held: pl.DataFrame
    compared: Compared

    @property
    def facts(self) -> int:
        """How many facts hold."""
        return int(self.held["facts"].sum())


def look(bite: Bite, plan: Plan, groups: pl.DataFrame, staged: Staged, clock: Clock) -> Seen:
    """`view`, in portions of the bite's persons where there is not room for all of them at once; with the same result."""
    files = [*plan.files["facts"], *staged("facts")]
    persons = groups["person"].unique().sort()
    held, compared = [], []
    for portion in portions_of(files, bite, persons, plan):
        mine = groups if portion is None or portion is persons else groups.filter(pl.col("person").is_in(portion.implode()))
        seen = view(bite, plan, mine, staged, clock)
        held.append(seen.held.group_by("bucket", "benefit").agg(pl.len().cast(pl.Int64()).alias("facts")))
        compared.append(seen.compared)
    return Seen(pl.concat(held).group_by("bucket", "benefit").sum(), join(compared))


def as_delivered(told: pl.DataFrame, wrong: pl.DataFrame) -> pl.DataFrame:
    """The ledger as the delivered files have it, where these are wrong in what is being healed. wrong: HEALS."""
    if wrong.is_empty():
        return told
    right = wrong.unique(TOLD_KEY, keep="last").select(*TOLD_KEY, pl.col("digest").alias("delivered"), wrong=pl.lit(True))
    corrected = pl.when("wrong").then("delivered").otherwise("digest")
    return (
        told.join(right, on=TOLD_KEY, how="left", maintain_order="left").with_columns(corrected.alias("digest")).drop("delivered", "wrong")
    )


def lost_in_store(first: int, last: int, plan: Plan) -> pl.DataFrame:
    """Where the store has other facts or span days in some buckets than all nights together put there: transforms.total.unequal."""
    put = pl.col("count").filter
    sums = tables.read(plan.files["totals"], TOTALS, (first, last)).group_by("bucket", "benefit")
    expected = sums.agg(put(pl.col("measure") == FACTS_IN).sum().alias("facts"), put(pl.col("measure") == DAYS_IN).sum().alias("days"))
    return unequal(
        expected.filter(pl.col("facts") > 0).select(list(TOTAL)), total_facts(tables.read(plan.files["facts"], TOTALLED, (first, last)))
    )


def audited(bite: Bite, plan: Plan) -> list[int]:
    """The buckets of a bite whose turn it is to be audited: each once in 64 nights."""
    turns = min(AUDIT_TURNS, plan.buckets)
    return [bucket for bucket in range(bite.first, bite.last + 1) if bucket % turns == plan.night % turns]
