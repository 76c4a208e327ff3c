"""What comes in for a bite: judge the facts, keep the register records, take the orders."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pipelines.bites import Bite, load, portions_of, standing_subscriptions
from pipelines.commanded import commanded
from pipelines.concerned import a_refresh_waits, concerned
from pipelines.ingest import LINES, WAITING_FACTS, Choice, is_broad
from pipelines.plan import Plan, permission_frame
from pipelines.side_by_side import Description
from pipelines.totals import must_equal
from schemas.buckets import ordinal_of
from schemas.frames import DIFFERENCES, FACTS, MEMBER_KEY, MEMBERS, PERSONS, QUARANTINE, SUBSCRIPTION_KEY, SUBSCRIPTION_ROWS, SUBSCRIPTIONS
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
from transforms.take_orders import RECEIPTS, REFRESHES, Taken, end_subscriptions, take_orders
from transforms.total import TOTAL, total_facts

KNOWN = pl.Schema({name: FACTS[name] for name in ("bucket", *SAME_VERSION, "source_run", "arrival")})


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
    over = choice.linked.read_ended()
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
