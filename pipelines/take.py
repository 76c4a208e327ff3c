"""What comes in for a bite: judge the facts, keep the register records, take the orders. A *bite* is a run of buckets of a size that fits memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from pipelines.ingest import LINES, SUBSCRIPTION_KEY, WAITING_FACTS, Choice
from pipelines.plan import Plan
from schemas.buckets import ordinal_of
from schemas.frames import FACTS, PERSONS, QUARANTINE, SUBSCRIPTION_ROWS, SUBSCRIPTIONS
from storage import tables
from storage.tables import TableFile
from transforms.judge import SAME, judge
from transforms.merge_subscriptions import merge_subscriptions
from transforms.name_persons import name_persons
from transforms.take_orders import end_subscriptions, take_orders

BITE_ROWS = 300_000


@dataclass(frozen=True)
class Bite:
    """Buckets `first` to `last`, both included."""

    first: int
    last: int

    @property
    def name(self) -> str:
        """As it stands in names of staged files."""
        return f"{self.first:05d}-{self.last:05d}"


@dataclass(frozen=True)
class Intake:
    """What came in for a bite. files: staged, by table; counted: (ordinal, outcome) -> records; lines, receipts: of orders."""

    bite: Bite
    files: Mapping[str, TableFile] = field(default_factory=dict)
    counted: Mapping[tuple[int, str], int] = field(default_factory=dict)
    subscriptions: TableFile | None = None
    receipts: TableFile | None = None
    lines: int = 0


def bites(choice: Choice, plan: Plan) -> list[Bite]:
    """Cut the buckets into bites of about BITE_ROWS facts each."""
    rows = sum(file.rows for file in (*plan.files["facts"], *choice.pieces.get("facts", ())))
    count = 1
    while count < plan.buckets and rows / count > BITE_ROWS:
        count *= 2
    size = plan.buckets // count
    return [Bite(first, first + size - 1) for first in range(0, plan.buckets, size)]


def load(
    plan: Plan, name: str, schema: pl.Schema, bite: Bite, extra: Iterable[TableFile] = (), persons: pl.Series | None = None
) -> pl.DataFrame:
    """A bite of a table: what is settled and what is staged."""
    return tables.read([*plan.files[name], *extra], schema, bite.first, bite.last, persons)


def take_bite(bite: Bite, choice: Choice, plan: Plan) -> Intake:
    """Judge, keep and take what came in for some buckets; stage it."""
    assert choice.linked is not None
    moved = choice.linked.moved
    files: dict[str, TableFile] = {}
    persons = tables.read(choice.pieces["persons"], PERSONS, bite.first, bite.last).sort("bucket", "person", "arrival")
    if persons.height:
        files["persons"] = tables.stage(plan.staging / "tables" / f"persons-{bite.name}.parquet", persons)
    counted = take_facts(bite, choice, plan, files)
    lines = tables.read(choice.pieces["orders"], LINES, bite.first, bite.last)
    permissions = permission_frame(plan)
    told_of = [standing_subscriptions(plan, bite), tables.read(moved.get("subscriptions", ()), SUBSCRIPTION_ROWS, bite.first, bite.last)]
    rows = pl.concat(told_of).filter(~pl.col("person").is_in(list(choice.linked.moves))).select(list(SUBSCRIPTIONS))
    standing = merge_subscriptions(end_subscriptions(rows, permissions, plan.business_date), choice.linked.moves)
    if lines.is_empty():
        after, receipts = standing, None
    else:
        registered = name_persons(load(plan, "persons", PERSONS, bite, [*moved.get("persons", ()), *pick(files, "persons")], known(lines)))
        ordered = lines.sort((pl.col("line").pipe(ordinal_of)), "line_no", "line").with_row_index("position")
        taken = take_orders(
            ordered.with_columns(pl.col("position").cast(pl.Int64)),
            standing,
            registered.select("person", "birth_date"),
            permissions,
            list(plan.conf.benefits),
            plan.business_date,
            plan.night,
        )
        after = taken.subscriptions
        receipts = tables.stage(plan.staging / "receipts" / f"{bite.name}.parquet", taken.receipts.sort("bucket", "position"))
    subscriptions = tables.stage(
        plan.staging / "subscriptions" / f"{bite.name}.parquet", after.sort("bucket", "person", "benefit", "partner")
    )
    return Intake(bite, files, counted, subscriptions, receipts, lines.height)


def standing_subscriptions(plan: Plan, bite: Bite) -> pl.DataFrame:
    """The subscriptions of a bite as last night left them: frames.SUBSCRIPTION_ROWS."""
    return tables.newest(load(plan, "subscriptions", SUBSCRIPTION_ROWS, bite), SUBSCRIPTION_KEY).filter(~pl.col("gone"))


def take_facts(bite: Bite, choice: Choice, plan: Plan, files: dict[str, TableFile]) -> dict[tuple[int, str], int]:
    """Judge the waiting facts of a bite against what is held; stage the sound ones and the rejected ones, count all."""
    assert choice.linked is not None
    waiting = tables.read(choice.pieces["facts"], WAITING_FACTS, bite.first, bite.last)
    if waiting.is_empty():
        return {}
    stored = load(plan, "facts", FACTS, bite, choice.linked.moved.get("facts", ()), waiting["person"].unique().sort())
    overlapping = [benefit for benefit, unit in plan.units.items() if unit == "WORKING_TIME"]
    judged = judge(waiting, stored, overlapping).with_columns(ordinal_of(pl.col("arrival")).alias("ordinal"))
    sound = judged.filter(pl.col("code").is_null()).select(list(FACTS))
    if sound.height:
        files["facts"] = tables.stage(plan.staging / "tables" / f"facts-{bite.name}.parquet", sound)
    rejected = judged.filter(pl.col("code").is_not_null(), pl.col("code") != SAME)
    if rejected.height:
        names = {waiting.ordinal: waiting.drop.name for waiting in plan.waiting}
        rows = rejected.with_columns(
            pl.col("ordinal").replace_strict(names, return_dtype=pl.String).alias("drop"),
            pl.lit(plan.night, pl.Int32).alias("night"),
            pl.lit(False).alias("released"),
            pl.lit(None, pl.String).alias("release_reason"),
        ).select(list(QUARANTINE))
        files["quarantine"] = tables.stage(plan.staging / "tables" / f"quarantine-{bite.name}.parquet", rows)
    outcome = judged.group_by("ordinal", pl.col("code").fill_null("NEW")).len()
    return {(ordinal, code): count for ordinal, code, count in outcome.iter_rows()}


def known(lines: pl.DataFrame) -> pl.Series:
    """The persons whom order lines name."""
    return lines["person"].drop_nulls().unique().sort()


def permission_frame(plan: Plan) -> pl.DataFrame:
    """(partner, purpose, benefit) of conf."""
    rows = [
        (name, permission.purpose, benefit)
        for name, partner in plan.conf.partners.items()
        for permission in partner.permissions
        for benefit in permission.benefits
    ]
    return pl.DataFrame(rows, schema={"partner": pl.String, "purpose": pl.String, "benefit": pl.String}, orient="row").unique()


def pick(files: Mapping[str, TableFile], name: str) -> Sequence[TableFile]:
    """The staged file of a table, if there is one."""
    return [files[name]] if name in files else []
