"""What operators' commands name by person, under the keys that the persons have tonight: since a command was given, a merge may have moved them (R11)."""

from collections.abc import Sequence

import polars as pl

from pipelines.plan import Plan
from schemas.buckets import bucket_of
from schemas.frames import DIFFERENCES, IDENTITIES, SUBSCRIPTION_KEY
from storage import tables
from storage.tables import TableFile
from transforms.link_persons import ALIASES

HEALS = pl.Schema({**DIFFERENCES, "of_ledger": pl.Boolean()})


def commanded(
    files: Sequence[TableFile],
    schema: pl.Schema,
    first: int,
    last: int,
    aliases: pl.DataFrame,
    buckets: int,
    over: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The rows of buckets `first` to `last` that commands have written. aliases: transforms.link_persons.ALIASES of tonight; over: SUBSCRIPTION_KEY of
    subscriptions that end in the night in which their person becomes one with another: what names them is not about the other's."""
    here = tables.read(files, schema, (first, last))
    here = here if over is None else here.join(over, on=SUBSCRIPTION_KEY, how="anti", maintain_order="left")
    if not files or aliases.is_empty():
        return here
    ceased = aliases.select(pl.col("number").alias("person"), pl.col("person").alias("stays"))
    came = tables.read(files, schema, persons=ceased["person"].sort()).join(ceased, on="person")
    came = came if over is None else came.join(over, on=SUBSCRIPTION_KEY, how="anti")
    came = came.with_columns(pl.col("stays").alias("person"), bucket_of(pl.col("stays"), buckets).alias("bucket"))
    stayed = here.join(ceased, on="person", how="anti", maintain_order="left")
    return pl.concat([stayed, came.filter(pl.col("bucket").is_between(first, last)).select(list(schema))]).unique(maintain_order=True)


def heals(plan: Plan, groups: pl.DataFrame, first: int, last: int, identities: Sequence[TableFile]) -> pl.DataFrame:
    """Of the groups that are to be healed what the last `reconcile --heal` that named each of them found: HEALS. An earlier one is done, or it
    would have been left to that.

    groups: frames.SUBSCRIPTIONS of buckets `first` to `last`; identities: what tonight adds to that table.
    """
    due = groups.filter("heal_due").select(SUBSCRIPTION_KEY)
    if due.is_empty() or not plan.decisions.heals:
        return pl.DataFrame(schema=HEALS)
    aliases = tables.newest(tables.read([*plan.files["identities"], *identities], IDENTITIES), ["number"]).select(list(ALIASES))
    found = [
        commanded([heal.rows], DIFFERENCES, first, last, aliases, plan.buckets).with_columns(
            pl.lit(heal.night).alias("night"), pl.lit(heal.of_ledger).alias("of_ledger")
        )
        for heal in plan.decisions.heals
    ]
    rows = pl.concat(found).join(due, on=SUBSCRIPTION_KEY, how="semi")
    return rows.filter(pl.col("night") == pl.col("night").max().over(SUBSCRIPTION_KEY)).select(list(HEALS))
