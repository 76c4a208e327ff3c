"""What comes in for a bite: judge the facts, keep the register records, take the orders. A *bite* is a run of buckets of a size that fits memory."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from pipelines.commanded import commanded
from pipelines.concerned import a_refresh_waits, concerned, everybody
from pipelines.ingest import LINES, WAITING_FACTS, Choice, in_buckets, is_broad, standing_of
from pipelines.plan import Plan, permission_frame
from pipelines.room import portions
from pipelines.side_by_side import Description
from pipelines.totals import must_equal
from schemas.buckets import ordinal_of
from schemas.frames import DIFFERENCES, FACTS, MEMBERS, PERSONS, QUARANTINE, SUBSCRIPTION_KEY, SUBSCRIPTION_ROWS, SUBSCRIPTIONS
from storage import tables
from storage.pace import Amount
from storage.tables import TableFile
from transforms.compare import with_trigger
from transforms.freeze import freeze
from transforms.hold import hold
from transforms.judge import KEY as SAME_VERSION
from transforms.judge import NEW, SAME, judge
from transforms.merge_subscriptions import merge_subscriptions
from transforms.name_persons import name_persons
from transforms.premature import premature
from transforms.queue_refreshes import QUEUE
from transforms.retract import retractions_frame, without_retracted
from transforms.take_orders import RECEIPTS, REFRESHES, Taken, end_subscriptions, take_orders
from transforms.total import TOTAL, total_facts

BITE_ROWS = 150_000
AUDIT_TURNS = 64  # nights until every bucket was audited
KNOWN = pl.Schema({name: FACTS[name] for name in ("bucket", *SAME_VERSION, "source_run", "arrival")})
MEMBER_KEY = ("refresh", "partner", "person", "benefit")


@dataclass(frozen=True)
class Bite(Description):
    """Buckets `first` to `last`, both included. facts: about so many will be looked at; two bites of the same buckets are the same."""

    first: int
    last: int
    facts: int = field(default=0, compare=False, repr=False)

    @property
    def buckets(self) -> tuple[int, int]:
        """The first and the last one."""
        return self.first, self.last

    @property
    def name(self) -> str:
        """As it stands in names of staged files."""
        return f"{self.first:05d}-{self.last:05d}"

    @property
    def words(self) -> str:
        """As a sentence about it begins."""
        return f"bucket {self.first} has" if self.first == self.last else f"one of the buckets {self.first} to {self.last} has"

    @property
    def units(self) -> int:
        """Its buckets."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Intake(Description):
    """What came in for a bite.

    files: staged, by table; counted: (ordinal, outcome) -> facts; totals: of the new ones; subscriptions: those active, of the persons whom the
    night concerns, with what their partners knew last night; concerned: these persons, None for all; receipts: of the bite's own lines; queue:
    QUEUE of the refreshes that wait; asked: (line, drop ordinal, line_no, partner, order_id) of the refresh lines that match here.
    """

    bite: Bite
    files: Mapping[str, TableFile]
    counted: Mapping[tuple[int, str], int]
    totals: tuple[tuple[int, str, int, int], ...]
    subscriptions: TableFile
    concerned: TableFile | None
    receipts: TableFile | None
    queue: TableFile | None
    asked: tuple[tuple[int, int, int, str, str], ...]

    @property
    def amount(self) -> Amount:
        """What was staged."""
        staged = [*self.files.values(), self.subscriptions, *filter(None, (self.concerned, self.receipts, self.queue))]
        return sum((file.amount for file in staged), Amount())


def bites(choice: Choice, plan: Plan) -> list[Bite]:
    """Cut the buckets into bites of about BITE_ROWS facts that the night will look at, or fewer where the memory is small."""
    ahead = rows_ahead(choice, plan)
    if plan.room.memory_bytes is None:
        return split_buckets(plan.buckets, ahead)
    came = by_bucket(choice.pieces["facts"], plan.buckets)
    return weighed(spread(ahead - sum(came), stored_by_bucket(plan), came), plan)


def everybodys_bites(plan: Plan, rows: int) -> list[Bite]:
    """The same for who looks at everybody. rows: about how many, all buckets together."""
    if plan.room.memory_bytes is None:
        return split_buckets(plan.buckets, rows)
    return weighed(spread(rows, stored_by_bucket(plan), [0] * plan.buckets), plan)


def stored_by_bucket(plan: Plan) -> list[int]:
    """The facts that the store has, by bucket."""
    return by_bucket(plan.files["facts"], plan.buckets)


def by_bucket(files: Iterable[TableFile], buckets: int) -> list[int]:
    """The rows of some files, by bucket."""
    found = [0] * buckets
    for file in files:
        if file.rows:
            for bucket, rows in pl.scan_parquet(file.path).select("bucket").group_by("bucket").len().collect().iter_rows():
                found[bucket] += rows
    return found


def spread(rows: int, by: Sequence[int], more: Sequence[int]) -> list[int]:
    """So many rows, spread as others are, and more to each."""
    total = sum(by) or 1
    return [rows * each // total + also for each, also in zip(by, more, strict=True)]


def weighed(facts: Sequence[int], plan: Plan) -> list[Bite]:
    """Bites of as many buckets as hold no more facts than there is room for at a time; a bucket that holds more is one. facts: by bucket."""
    limit = plan.room.bite_rows(BITE_ROWS)
    found: list[Bite] = []
    first = total = 0
    for bucket, rows in enumerate(facts):
        if bucket > first and total + rows > limit:
            found.append(Bite(first, bucket - 1, total))
            first, total = bucket, 0
        total += rows
    return [*found, Bite(first, len(facts) - 1, total)]


def portions_of(files: Sequence[TableFile], bite: Bite, persons: pl.Series | None, plan: Plan) -> list[pl.Series | None]:
    """The persons of a bite in portions that there is room for, by their facts in some files; [persons] where all can be taken at once.

    persons: those that are wanted, None for all. UsageError when one of them has more facts than there is room for.
    """
    rows = sum(file.rows for file in files)
    limit = plan.room.bite_rows(rows)
    if rows <= limit:
        return [persons]
    here = pl.col("bucket").is_between(bite.first, bite.last)
    wanted = here if persons is None else here & pl.col("person").is_in(persons.implode())
    paths = [file.path for file in files if file.rows and file.first_bucket <= bite.last and bite.first <= file.last_bucket]
    if not paths:
        return [persons]
    counted = [pl.scan_parquet(path).filter(wanted).group_by("person").agg(pl.len().cast(pl.Int64()).alias("facts")) for path in paths]
    found = pl.concat(counted).group_by("person").agg(pl.sum("facts")).collect()
    if found["facts"].sum() <= limit:
        return [persons]
    if persons is not None:
        found = persons.alias("person").to_frame().join(found, on="person", how="left").with_columns(pl.col("facts").fill_null(0))
    most = max(found["facts"].to_list())
    plan.room.require(most, f"{bite.words} a person with {most:,} facts")
    return list(portions(found.sort("person"), limit))


def rows_ahead(choice: Choice, plan: Plan) -> int:
    """About how many facts the night will hold, all buckets together: those that came, those in the store of persons whom it concerns, and the audit's.

    A subscription counts for a quarter: where a benefit was withheld, those that wait for it are looked at.
    """
    stored, came = row_count(plan.files["facts"]), row_count(choice.pieces["facts"])
    if everybody(choice, plan):
        return stored + came
    persons = sum(map(row_count, choice.pieces.values())) + row_count(plan.files["touched"])
    if a_refresh_waits(plan):
        persons += row_count(plan.files["members"])
    waiting = row_count(plan.files["subscriptions"]) // 4 if any(state.since for state in plan.states.values()) else 0
    facts_each = stored / max(1, row_count(plan.files["persons"]))
    return came + min(stored, int(persons * facts_each)) + stored // AUDIT_TURNS + waiting


def row_count(files: Iterable[TableFile]) -> int:
    """Rows of some files."""
    return sum(file.rows for file in files)


def split_buckets(buckets: int, rows: int) -> list[Bite]:
    """Bites of equally many buckets, about BITE_ROWS facts each; buckets are alike, as persons are hashed into them."""
    return split(Bite(0, buckets - 1), rows)


def split(bite: Bite, rows: int) -> list[Bite]:
    """A run of buckets, a power of two, with so many rows as runs of about BITE_ROWS."""
    buckets, count = bite.last - bite.first + 1, 1
    while count < buckets and rows / count > BITE_ROWS:
        count *= 2
    size = buckets // count
    return [Bite(first, first + size - 1) for first in range(bite.first, bite.last + 1, size)]


def load(
    plan: Plan, name: str, schema: pl.Schema, bite: Bite, extra: Iterable[TableFile] = (), persons: pl.Series | None = None
) -> pl.DataFrame:
    """A bite of a table: what is settled and what is staged, without what was retracted or released."""
    rows = tables.read([*plan.files[name], *extra], schema, bite.buckets, persons)
    if name in ("facts", "quarantine"):
        rows = without_retracted(rows, retractions(plan))
    if name == "quarantine" and plan.decisions.released:
        rows = rows.filter(~pl.col("arrival").is_in(list(plan.decisions.released)))
    return rows


def retractions(plan: Plan) -> pl.DataFrame:
    """The retractions that hold tonight."""
    return retractions_frame([(each.source_run, each.before, each.reason) for each in plan.decisions.retractions])


def take_bite(bite: Bite, choice: Choice, plan: Plan) -> Intake:
    """Judge, keep and take what came in for some buckets; stage it, with the subscriptions of those whom the night concerns."""
    return take_for(bite, concerned(bite.first, bite.last, choice, plan, permission_frame(plan.conf)), choice, plan)


def take_for(bite: Bite, who: pl.Series | None, choice: Choice, plan: Plan) -> Intake:
    """The same; who: the persons whose subscriptions are looked at, everybody when None."""
    files: dict[str, TableFile] = {}
    persons = tables.read(choice.pieces["persons"], PERSONS, bite.buckets).sort("bucket", "person", "arrival")
    if persons.height:
        files["persons"] = tables.stage(plan.staging / "tables" / f"persons-{bite.name}.parquet", persons)
    counted, totals = take_facts(bite, choice, plan, files)
    taken, lines = take_lines(bite, who, choice, plan, files)
    queue = queue_up(bite, choice, plan, files, taken)
    receipts = taken.receipts.filter(pl.col("bucket").is_between(bite.first, bite.last))
    folder = plan.staging
    return Intake(
        bite,
        files,
        counted,
        totals,
        tables.scratch(folder / "subscriptions" / f"{bite.name}.parquet", taken.subscriptions),
        None if who is None else tables.scratch(folder / "concerned" / f"{bite.name}.parquet", who.to_frame()),
        tables.scratch(folder / "receipts" / f"{bite.name}.parquet", receipts) if receipts.height else None,
        tables.scratch(folder / "queue" / f"{bite.name}.parquet", queue.sort("bucket")) if queue.height else None,
        tuple(lines.join(taken.refreshes.select(pl.col("position").alias("line")).unique(), on="line", how="semi").iter_rows()),
    )


def take_lines(bite: Bite, who: pl.Series | None, choice: Choice, plan: Plan, files: Mapping[str, TableFile]) -> tuple[Taken, pl.DataFrame]:
    """Take the order lines of a bite. `position` of receipts and refreshes is the line's number in the night.

    The second result is (line, ordinal, line_no, partner, order_id) of the refresh lines.
    """
    moved = choice.linked.moved
    permissions = permission_frame(plan.conf)
    told_of = [
        standing_subscriptions(plan, bite, who),
        tables.read(moved.get("subscriptions", ()), SUBSCRIPTION_ROWS, bite.buckets),
    ]
    rows = pl.concat(told_of).filter(~pl.col("person").is_in(list(choice.linked.moves))).select(list(SUBSCRIPTIONS))
    standing = merge_subscriptions(end_subscriptions(rows, permissions, plan.business_date), choice.linked.moves)
    standing = heal(standing, choice, plan, bite).sort("bucket", "person", "benefit", "partner")
    own = tables.read(choice.pieces["orders"], LINES, bite.buckets).filter(~is_broad())
    broad = tables.read(choice.broad, LINES).filter(is_broad())
    lines = pl.concat([own, broad]).with_columns(ordinal_of(pl.col("line")).alias("ordinal")).sort("ordinal", "line_no", "line")
    asking = lines.filter(pl.col("action") == "REFRESH").select("line", "ordinal", "line_no", "partner", "order_id")
    if lines.is_empty():
        return Taken(standing, pl.DataFrame(schema=RECEIPTS), pl.DataFrame(schema=REFRESHES)), asking
    named = lines["person"] if asking.is_empty() else pl.concat([lines["person"], standing["person"]])
    persons = [*moved.get("persons", ()), *pick(files, "persons")]
    registered = name_persons(load(plan, "persons", PERSONS, bite, persons, named.drop_nulls().unique().sort()))
    taken = take_orders(
        lines.with_columns(pl.int_range(pl.len(), dtype=pl.Int64()).alias("position")),
        standing,
        registered.select("person", "birth_date"),
        permissions,
        list(plan.conf.benefits),
        plan.business_date,
        plan.night,
    )
    number = pl.col("position").replace_strict(pl.int_range(lines.height, eager=True), lines["line"], return_dtype=pl.Int64())
    receipts = taken.receipts.sort("bucket", "position").with_columns(number)
    return Taken(taken.subscriptions, receipts, taken.refreshes.with_columns(number)), asking


def standing_subscriptions(plan: Plan, bite: Bite, who: pl.Series | None = None) -> pl.DataFrame:
    """The subscriptions of a bite as last night left them, of some persons or of all: frames.SUBSCRIPTION_ROWS."""
    return tables.newest(load(plan, "subscriptions", SUBSCRIPTION_ROWS, bite, persons=who), SUBSCRIPTION_KEY).filter(~pl.col("gone"))


def heal(standing: pl.DataFrame, choice: Choice, plan: Plan, bite: Bite) -> pl.DataFrame:
    """Mark the groups that `reconcile --heal` found other than they should be."""
    if not plan.decisions.healing:
        return standing
    found = commanded(plan.decisions.healing, DIFFERENCES, bite.first, bite.last, choice.linked.read_aliases(), plan.buckets)
    groups = found.select(SUBSCRIPTION_KEY).unique()
    marked = standing.join(groups.with_columns(healing=pl.lit(True)), on=SUBSCRIPTION_KEY, how="left", maintain_order="left")
    return marked.with_columns(pl.col("heal_due") | pl.col("healing").fill_null(False)).drop("healing")


def queue_up(bite: Bite, choice: Choice, plan: Plan, files: Mapping[str, TableFile], taken: Taken) -> pl.DataFrame:
    """The members of refreshes that wait, old and new ones, and whether they are ready tonight (R17): transforms.queue_refreshes.QUEUE.

    A refresh that came tonight has a provisional number: the line's, or minus the command's.
    """
    moved = choice.linked.moved
    columns = ["bucket", *MEMBER_KEY]
    owing = [*plan.files["members"], *moved.get("members", ())] if a_refresh_waits(plan) else []
    waiting = tables.newest(tables.read(owing, MEMBERS, bite.buckets), MEMBER_KEY).filter("waits")
    over = ended_beside_another(choice, plan)
    own = waiting.filter(pl.col("night") < plan.night).join(over, on=SUBSCRIPTION_KEY, how="semi")
    given = [(command.number, command.rows) for command in plan.decisions.refreshes if command.rows]
    queued = [
        commanded([rows], MEMBERS, bite.first, bite.last, choice.linked.read_aliases(), plan.buckets, over).with_columns(
            pl.lit(-number, pl.Int64()).alias("refresh")
        )
        for number, rows in given
    ]
    ordered = taken.refreshes.rename({"position": "refresh"}).select(columns)
    members = pl.concat([waiting.select(columns), *(rows.select(columns) for rows in queued), ordered])
    if members.is_empty():
        return pl.DataFrame(schema=QUEUE)
    groups = taken.subscriptions.join(members, on=SUBSCRIPTION_KEY, how="semi", maintain_order="left")
    persons = groups["person"].unique().sort()
    named = name_persons(load(plan, "persons", PERSONS, bite, [*moved.get("persons", ()), *pick(files, "persons")], persons))
    rejected = load(plan, "quarantine", QUARANTINE, bite, [*moved.get("quarantine", ()), *pick(files, "quarantine")], persons)
    suspects = rejected["person"].unique().sort()
    held = hold(load(plan, "facts", FACTS, bite, [*moved.get("facts", ()), *pick(files, "facts")], suspects))
    groups = groups.join(freeze(tables.newest(rejected, ["arrival"]), held), on=["person", "benefit"], how="left", maintain_order="left")
    groups = groups.join(named.select("person", "personnummer", pl.col("protected").alias("flag")), on="person", maintain_order="left")
    due = with_trigger(groups.with_columns(in_slice=pl.lit(False))).select(
        *SUBSCRIPTION_KEY,
        pl.when(pl.col("snapshot").is_null(), pl.col("frozen").is_null()).then(pl.lit("READY")).otherwise(pl.lit("PASSED")).alias("state"),
    )
    return (
        members.join(due, on=SUBSCRIPTION_KEY, how="left")
        .join(own.select(MEMBER_KEY).with_columns(ended=pl.lit(True)), on=MEMBER_KEY, how="left")
        .select(
            *columns, pl.when("ended").then(pl.lit("GONE")).otherwise(pl.col("state").fill_null("GONE")).alias("state").cast(QUEUE["state"])
        )
        .select(list(QUEUE))
    )


def ended_beside_another(choice: Choice, plan: Plan) -> pl.DataFrame:
    """SUBSCRIPTION_KEY of the subscriptions that end tonight, of persons who become one with another tonight: a refresh of theirs is not the other's."""
    moves = choice.linked.moves
    if not moves:
        return pl.DataFrame(schema={name: SUBSCRIPTIONS[name] for name in SUBSCRIPTION_KEY})
    standing, active = standing_of(in_buckets({*moves, *moves.values()}, plan), plan)
    return standing.select(SUBSCRIPTION_KEY).join(active, on=SUBSCRIPTION_KEY, how="anti")


def take_facts(
    bite: Bite, choice: Choice, plan: Plan, files: dict[str, TableFile]
) -> tuple[dict[tuple[int, str], int], tuple[tuple[int, str, int, int], ...]]:
    """Judge the waiting facts of a bite against what is held; stage the sound ones and the rejected ones.

    Counts all by (ordinal, outcome), and the sound ones as transforms.total.TOTAL. VerificationError when a fact or a span got lost.
    """
    parts = portions_of(choice.pieces["facts"], bite, None, plan)
    if len(parts) == 1:
        return take_portion(bite, None, bite.name, choice, plan, files)
    counted: Counter[tuple[int, str]] = Counter()
    totals: list[pl.DataFrame] = []
    staged: dict[str, list[TableFile]] = {}
    for number, persons in enumerate(parts):
        of_part: dict[str, TableFile] = {}
        outcomes, sums = take_portion(bite, persons, f"{bite.name}-{number:05d}", choice, plan, of_part)
        counted.update(outcomes)
        totals.append(pl.DataFrame(sums, schema=TOTAL, orient="row"))
        for name, file in of_part.items():
            staged.setdefault(name, []).append(file)
    for name, portion_files in staged.items():
        files[name] = tables.stage_joined(plan.staging / "tables" / f"{name}-{bite.name}.parquet", portion_files)
    together = pl.concat(totals).group_by("bucket", "benefit").sum().sort("bucket", "benefit")
    return dict(counted), tuple(together.select(list(TOTAL)).iter_rows())


def take_portion(
    bite: Bite, persons: pl.Series | None, name: str, choice: Choice, plan: Plan, files: dict[str, TableFile]
) -> tuple[dict[tuple[int, str], int], tuple[tuple[int, str, int, int], ...]]:
    """The same for some persons, None for all. name: of the files that are staged."""
    waiting = tables.read(choice.pieces["facts"], WAITING_FACTS, bite.buckets, persons)
    if waiting.is_empty():
        return {}, ()
    stored = known_again(waiting, bite, choice.linked.moved.get("facts", ()), plan)
    overlapping = [benefit for benefit, unit in plan.units.items() if unit == "WORKING_TIME"]
    dates = {each.ordinal: each.drop.business_date for each in plan.waiting}
    business_date = ordinal_of(pl.col("arrival")).replace_strict(dates, return_dtype=pl.Date())
    early = premature(plan.conf.rules.certificates, business_date)
    judged = judge(waiting, stored, overlapping, early).with_columns(ordinal_of(pl.col("arrival")).alias("ordinal"))
    must_equal("judge (R35)", total_facts(waiting), total_facts(judged))
    sound = judged.filter(pl.col("code").is_null()).select(list(FACTS))
    if sound.height:
        files["facts"] = tables.stage(plan.staging / "tables" / f"facts-{name}.parquet", sound)
    rejected = judged.filter(pl.col("code").is_not_null(), pl.col("code") != SAME)
    if rejected.height:
        names = {waiting.ordinal: waiting.drop.name for waiting in plan.waiting}
        rows = rejected.with_columns(
            pl.col("ordinal").replace_strict(names, return_dtype=pl.String()).alias("drop"),
            pl.lit(plan.night, pl.Int32()).alias("night"),
        ).select(list(QUARANTINE))
        files["quarantine"] = tables.stage(plan.staging / "tables" / f"quarantine-{name}.parquet", rows)
    outcome = judged.group_by("ordinal", pl.col("code").fill_null(NEW)).len()
    return {(ordinal, code): count for ordinal, code, count in outcome.iter_rows()}, tuple(total_facts(sound).iter_rows())


def known_again(waiting: pl.DataFrame, bite: Bite, moved: Sequence[TableFile], plan: Plan) -> pl.DataFrame:
    """The facts in the store of persons of whom a waiting fact is there already, in its version: frames.FACTS. Most nights have none, and read few columns."""
    known = load(plan, "facts", KNOWN, bite, moved, waiting["person"].unique().sort())
    again = waiting.join(known, on=list(SAME_VERSION), how="semi")["person"].unique().sort()
    return load(plan, "facts", FACTS, bite, moved, again) if again.len() else pl.DataFrame(schema=FACTS)


def pick(files: Mapping[str, TableFile], name: str) -> Sequence[TableFile]:
    """The staged file of a table, if there is one."""
    return [files[name]] if name in files else []
