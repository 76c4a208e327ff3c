"""The buckets of a night in *bites*: runs of buckets of a size that fits memory, and what the tables hold of one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl

from pipelines.concerned import a_refresh_waits, everybody
from pipelines.ingest import Choice
from pipelines.plan import Plan
from pipelines.room import portions
from pipelines.side_by_side import Description
from schemas.frames import SUBSCRIPTION_KEY, SUBSCRIPTION_ROWS
from storage import tables
from storage.tables import TableFile
from transforms.retract import retractions_frame, without_retracted

BITE_ROWS = 150_000
AUDIT_TURNS = 64  # nights until every bucket was audited


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


def bites(choice: Choice, plan: Plan) -> list[Bite]:
    """Cut the buckets into bites of about BITE_ROWS facts that the night will look at, or fewer where the memory is small."""
    ahead = rows_ahead(choice, plan)
    if plan.room.memory_bytes is None:
        return split_buckets(plan.buckets, ahead)
    came = by_bucket(choice.pieces["facts"], plan.buckets)
    return weighed(spread(ahead - sum(came), stored_by_bucket(plan), came), plan.room.bite_rows(BITE_ROWS))


def everybodys_bites(plan: Plan, rows: int) -> list[Bite]:
    """The same for who looks at everybody. rows: about how many, all buckets together."""
    if plan.room.memory_bytes is None:
        return split_buckets(plan.buckets, rows)
    return weighed(spread(rows, stored_by_bucket(plan), [0] * plan.buckets), plan.room.bite_rows(BITE_ROWS))


def stored_by_bucket(plan: Plan) -> list[int]:
    """The facts that the store has, by bucket."""
    return by_bucket(plan.files["facts"], plan.buckets)


def by_bucket(files: Iterable[TableFile], buckets: int) -> list[int]:
    """The rows of some files, by bucket."""
    found = [0] * buckets
    for file in files:
        if file.rows:
            counted = tables.collected(pl.scan_parquet(file.path).select("bucket").group_by("bucket").len(), [file.path])
            for bucket, rows in counted.iter_rows():
                found[bucket] += rows
    return found


def spread(rows: int, by: Sequence[int], more: Sequence[int]) -> list[int]:
    """So many rows, spread as others are, and more to each."""
    total = sum(by) or 1
    return [rows * each // total + also for each, also in zip(by, more, strict=True)]


def weighed(facts: Sequence[int], limit: int) -> list[Bite]:
    """Bites of as many buckets as hold at most so many facts; a bucket that holds more is one. facts: by bucket."""
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
    found = tables.collected(pl.concat(counted).group_by("person").agg(pl.sum("facts")), paths)
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


def standing_subscriptions(plan: Plan, bite: Bite, who: pl.Series | None = None) -> pl.DataFrame:
    """The subscriptions of a bite as last night left them, of some persons or of all: frames.SUBSCRIPTION_ROWS."""
    return tables.newest(load(plan, "subscriptions", SUBSCRIPTION_ROWS, bite, persons=who), SUBSCRIPTION_KEY).filter(~pl.col("gone"))
