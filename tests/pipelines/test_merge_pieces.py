"""The pieces of a large intake are merged before the bites look for their rows: the same rows in the same order, in fewer files."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from pipelines import merge_pieces
from pipelines.ingest import LINES, Choice, Linked
from pipelines.merge_pieces import MANY, TOGETHER, Group, Merged, groups, with_merged
from pipelines.room import Room
from schemas.buckets import bucket_of
from storage import failpoints, tables
from storage.tables import TableFile
from tests.kit import World, numbers, small_story
from transforms.cut_chains import Cut

BUCKETS = 16
ROWS = 1_000  # of a piece
NIGHTS = ("2024-05-20", "2024-05-21")


def pieces_of(folder: Path, count: int, persons: int = 500) -> tuple[TableFile, ...]:
    """Pieces of order lines, each sorted by bucket; `line` numbers all rows as they came."""
    found = []
    for number in range(count):
        rows = pl.DataFrame({"line": range(number * ROWS, (number + 1) * ROWS)}, schema={"line": pl.Int64()})
        rows = rows.with_columns((pl.col("line") * 7_919 % persons).cast(pl.String()).alias("person"))
        rows = rows.with_columns(bucket_of(pl.col("person"), BUCKETS).alias("bucket"))
        rows = rows.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in LINES.items() if name not in rows.columns)
        found.append(tables.scratch(folder / f"piece-{number:03d}.parquet", rows.select(list(LINES)).sort("bucket", maintain_order=True)))
    return tuple(found)


def plan_of(folder: Path) -> Any:
    """As much of a plan as merging asks for."""
    return SimpleNamespace(buckets=BUCKETS, staging=folder / "staging", room=Room())


def choice_of(**pieces: tuple[TableFile, ...]) -> Choice:
    """A choice with these pieces, by data set."""
    none: Any = SimpleNamespace()
    cuts: dict[str, Cut] = {}
    linked: Linked = none
    return Choice(cuts, (), {}, pieces, (), linked)


def opened_for(files: tuple[TableFile, ...], bucket: int) -> int:
    """How many files a bite of a bucket has to open."""
    return sum(file.first_bucket <= bucket <= file.last_bucket for file in files)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a merged file hold about as many rows as a piece of these tests."""
    monkeypatch.setattr(merge_pieces, "PIECE_ROWS", ROWS)


@pytest.mark.usefixtures("small_pieces")
def test_merged_each_bucket_has_its_rows_in_their_order_in_one_file_of_a_group(tmp_path: Path) -> None:
    pieces = pieces_of(tmp_path, 8)
    merged = merge_pieces.merge_pieces(Group("orders", 0, pieces), plan_of(tmp_path))
    for bucket in range(BUCKETS):
        assert tables.read(merged.files, LINES, (bucket, bucket)).equals(tables.read(pieces, LINES, (bucket, bucket)))
        assert (opened_for(pieces, bucket), opened_for(merged.files, bucket)) == (8, 1)
    assert sum(file.rows for file in merged.files) == 8 * ROWS
    assert max(file.rows for file in merged.files) <= ROWS


@pytest.mark.usefixtures("small_pieces")
def test_a_bucket_with_more_rows_than_a_piece_is_never_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = pieces_of(tmp_path, 8, persons=1)
    heights: list[int] = []

    def read(*asked: Any) -> pl.DataFrame:
        rows = tables.read(*asked)
        heights.append(rows.height)
        return rows

    monkeypatch.setattr(merge_pieces, "tables", SimpleNamespace(read=read, scratch=tables.scratch, stored=tables.stored))
    merged = merge_pieces.merge_pieces(Group("orders", 0, pieces), plan_of(tmp_path))
    assert max(heights) == ROWS
    assert tables.read(merged.files, LINES).equals(tables.read(pieces, LINES))


def test_only_a_data_set_of_many_pieces_is_merged_and_what_it_was_is_not_read_any_more(tmp_path: Path) -> None:
    few = tuple(TableFile(f"few-{number}", 1, 0, 0) for number in range(MANY))
    many = tuple(TableFile(f"many-{number}", 1, 0, 0) for number in range(MANY + 1))
    choice = choice_of(persons=few, facts=many, orders=())
    grouped = list(groups(choice))
    assert [(group.dataset, group.number, len(group.pieces)) for group in grouped] == [
        ("facts", 0, TOGETHER),
        ("facts", 1, TOGETHER),
        ("facts", 2, 1),
    ]
    assert tuple(piece for group in grouped for piece in group.pieces) == many
    merged = [Merged(each.dataset, each.number, (TableFile(f"merged-{each.number}", 1, 0, 0),)) for each in reversed(grouped)]
    after = with_merged(choice, merged).pieces
    assert [file.path for file in after["facts"]] == ["merged-0", "merged-1", "merged-2"]
    assert (after["persons"], after["orders"]) == (few, ())
    assert with_merged(choice, []).pieces == choice.pieces


@pytest.fixture
def waiting(tmp_path: Path) -> World:
    """A workspace with two days' drops, and the night that takes them as one not run yet."""
    world = World(tmp_path / "ws")
    small_story(world, NIGHTS[0])
    for person in numbers(24):
        world.person(person, protected=person in numbers(3))
        world.decision(person, "FK:SJP", "E", "2024-06-01", "2024-06-09")
        world.subscribe("BOLAGET", person, "FK:SJP")
    world.drops(NIGHTS[1])
    return world


@pytest.fixture
def merging(waiting: World, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str], list[str]]:
    """Have all data sets with more than one piece merged. The outbox of a night without it, and the data sets that were merged, as it happens."""
    twin = waiting.twin()
    twin.lefi("nightly", "--business-date", NIGHTS[1])
    really, merged = merge_pieces.merge_pieces, list[str]()

    def merge(group: Group, plan: Any) -> Merged:
        merged.append(group.dataset)
        return really(group, plan)

    merge.__name__ = really.__name__
    monkeypatch.setattr("pipelines.nightly.merge_pieces", merge)
    monkeypatch.setattr(merge_pieces, "MANY", 1)
    monkeypatch.setattr(merge_pieces, "TOGETHER", 2)
    monkeypatch.setattr(merge_pieces, "PIECE_ROWS", 3)
    return twin.outbox(), merged


def test_a_night_delivers_the_same_bytes_with_merged_pieces(waiting: World, merging: tuple[dict[str, str], list[str]]) -> None:
    expected, merged = merging
    waiting.lefi("nightly", "--business-date", NIGHTS[1])
    assert set(merged) == {"facts", "orders", "persons"}
    assert waiting.outbox() == expected


@pytest.mark.parametrize("kind", ["error", "full"])
def test_a_disk_that_fails_while_pieces_are_merged_is_said_and_the_night_given_again_has_the_same_bytes(
    waiting: World, merging: tuple[dict[str, str], list[str]], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failpoints.reached.clear()
    with monkeypatch.context() as patch:
        patch.setenv("LEFI_FAILPOINT", f"tables.stage:merged:3={kind}")
        said = waiting.lefi("nightly", "--business-date", NIGHTS[1], code=1).err
    assert "give the command again" in said
    assert not waiting.outbox()
    waiting.lefi("nightly", "--business-date", NIGHTS[1])
    assert waiting.outbox() == merging[0]
