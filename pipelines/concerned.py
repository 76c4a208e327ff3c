"""Whom a night concerns: the persons whose subscriptions it may change, or of whom it may have something to say. It leaves all others unread."""

import polars as pl

from pipelines.ingest import Choice
from pipelines.plan import Plan
from schemas.frames import DIFFERENCES, MEMBERS, REFRESHES, SUBSCRIPTION_ROWS
from storage import tables
from transforms.judge_lines import PERMISSION

PERSON = pl.Schema({"bucket": pl.Int32(), "person": pl.String()})
WAITING = pl.Schema({**PERSON, "waits": pl.Boolean()})


def concerned(first: int, last: int, choice: Choice, plan: Plan, permissions: pl.DataFrame) -> pl.Series | None:
    """The persons of buckets `first` to `last` whom tonight concerns, sorted, and maybe some more; None: everybody may be.

    Concerned are those with facts, register records or orders tonight, those moved by a merge, what is touched or waits in a refresh, and
    whose subscription owes something or ends. A refresh for no one person, a recalculation, a retraction and a release may concern everybody.
    """
    nobody_subscribes = not any(
        file.rows for file in plan.files["subscriptions"]
    )  # as before a first night: there is nobody to leave unread
    if nobody_subscribes or everybody(choice, plan):
        return None
    decided = plan.decisions
    moves = choice.linked.moves
    came = [file for files in choice.pieces.values() for file in files]
    found = [
        pl.Series([*moves, *moves.values()], dtype=pl.String()),
        tables.read(came, PERSON, (first, last))["person"],
        tables.read(plan.files["touched"], PERSON, (first, last))["person"],
        tables.read(decided.healing, DIFFERENCES, (first, last))["person"],
        owed_refreshes(first, last, plan),
        owed_or_ending(first, last, plan, permissions),
    ]
    return pl.concat([each.alias("person") for each in found]).drop_nulls().unique().sort()


def everybody(choice: Choice, plan: Plan) -> bool:
    """Whether tonight may concern any person at all."""
    decided = plan.decisions
    taken_back = decided.released_tonight or any(each.fresh for each in decided.retractions)
    return bool(choice.broad or taken_back or any(each.due for each in decided.recalculations))


def a_refresh_waits(plan: Plan) -> bool:
    """Whether any group waits for a refresh that was accepted before tonight."""
    return bool((tables.newest(tables.read(plan.files["refreshes"], REFRESHES), ["refresh"])["waiting"] > 0).any())


def owed_refreshes(first: int, last: int, plan: Plan) -> pl.Series:
    """The persons in refreshes that wait, and in those that a command queued since last night."""
    queued = [command.rows for command in plan.decisions.refreshes if command.rows]
    found = [tables.read(queued, MEMBERS, (first, last))["person"]]
    if a_refresh_waits(plan):
        found.append(tables.read(plan.files["members"], WAITING, (first, last)).filter("waits")["person"])
    return pl.concat(found)


def owed_or_ending(first: int, last: int, plan: Plan, permissions: pl.DataFrame) -> pl.Series:
    """The persons with a subscription that owes a delivery, or whose end has come, or that is permitted no more; its older rows count too."""
    here = pl.col("bucket").is_between(first, last)
    files = [file for file in plan.files["subscriptions"] if file.rows and file.first_bucket <= last and first <= file.last_bucket]
    if not files:
        return pl.Series("person", [], pl.String())
    rows = pl.concat([pl.scan_parquet(file.path).select(list(SUBSCRIPTION_ROWS)) for file in files]).filter(here, ~pl.col("gone"))
    paths = [file.path for file in files]
    forbidden = tables.collected(rows.select(PERMISSION).unique(), paths).join(permissions, on=PERMISSION, how="anti")
    ends = pl.col("end_date") <= plan.business_date
    not_permitted = [pl.all_horizontal(pl.col(name) == value for name, value in row.items()) for row in forbidden.iter_rows(named=True)]
    wanted = pl.any_horizontal(pl.col("initial_due"), pl.col("heal_due"), ends.fill_null(False), *not_permitted)
    return tables.collected(rows.filter(wanted).select("person"), paths)["person"]
