"""Merge the pieces of a large intake. Each bite opens every piece that may hold its buckets: with many of both that is most of a night's work, as it
grows with their product (docs/scaling.md, "What breaks first"). Merged, the rows of a bucket lie in a thirty-second as many files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pipelines.bites import by_bucket, weighed
from pipelines.ingest import LINES, PIECE_ROWS, WAITING_FACTS, Choice, group_rows
from pipelines.plan import Plan
from pipelines.side_by_side import Description, in_batches
from schemas.frames import PERSONS
from storage import tables
from storage.pace import Amount
from storage.tables import TableFile

TOGETHER = 32  # pieces that are merged to about as many files, each of a run of buckets
MANY = 64  # with fewer pieces of a data set it costs less to open them than to merge them (docs/benchmarks.md)
OF_DATASET = {"facts": WAITING_FACTS, "persons": PERSONS, "orders": LINES}


@dataclass(frozen=True)
class Group(Description):
    """Pieces of a data set that follow each other. number: of the group, in the order of the pieces."""

    dataset: str
    number: int
    pieces: tuple[TableFile, ...]


@dataclass(frozen=True)
class Merged(Description):
    """The files that stand for a group: those that hold rows of one bucket have them in the order of the pieces."""

    dataset: str
    number: int
    files: tuple[TableFile, ...]

    @property
    def amount(self) -> Amount:
        """That of its files."""
        return sum((file.amount for file in self.files), Amount())


def groups(choice: Choice) -> Iterator[Group]:
    """The pieces of the drops that are judged tonight, of data sets that have many, in groups."""
    for dataset, pieces in choice.pieces.items():
        if len(pieces) > MANY:
            for number, together in enumerate(in_batches(pieces, TOGETHER)):
                yield Group(dataset, number, together)


def rows_of_group(group: Group) -> int:
    """How much work a group is."""
    return sum(piece.rows for piece in group.pieces)


def merge_pieces(group: Group, plan: Plan) -> Merged:
    """Write a group as files of runs of buckets, about as many rows each as a piece has. A bucket with more is written piece by piece: there is
    no room for it at once."""
    schema, limit = tables.stored(OF_DATASET[group.dataset]), plan.room.piece_rows(PIECE_ROWS)
    files: list[TableFile] = []
    for run in weighed(by_bucket(group.pieces, plan.buckets), limit):
        sources = [group.pieces] if run.facts <= limit else [(piece,) for piece in group.pieces]
        for part, pieces in enumerate(sources):
            rows = tables.read(pieces, schema, run.buckets).sort("bucket", maintain_order=True)
            if rows.height:
                path = plan.staging / "merged" / f"{group.dataset}-{group.number:05d}-{run.name}-{part:02d}.parquet"
                files.append(tables.scratch(path, rows, group_rows(plan.buckets)))
    return Merged(group.dataset, group.number, tuple(files))


def with_merged(choice: Choice, merged: Sequence[Merged]) -> Choice:
    """What was chosen, with the merged files in the place of their pieces."""
    in_order = sorted(merged, key=lambda each: each.number)
    instead = {each.dataset: tuple(file for other in in_order if other.dataset == each.dataset for file in other.files) for each in merged}
    return replace(choice, pieces={**choice.pieces, **instead})
