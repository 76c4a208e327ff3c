"""receipts.avro of a partner is written bite by bite: everybody's receipts at once would be gigabytes in a first night."""

from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from pipelines import bites, put_together
from storage import tables
from tests.kit import World, numbers
from transforms.take_orders import RECEIPTS


def test_the_receipts_of_one_bite_are_written_before_those_of_the_next_are_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.partner("BOLAGET", "FK:SJP")
    persons = numbers(12)
    for place, person in enumerate(persons):
        world.decision(person, "FK:SJP", f"D{place}", "2024-05-01", "2024-05-09")
        world.subscribe("BOLAGET", person, "FK:SJP")
    seen: list[str] = []

    def read(files: Any, schema: pl.Schema, **more: Any) -> pl.DataFrame:
        if schema == RECEIPTS:
            seen.append("read")
        return tables.read(files, schema, **more)

    def blocks(*frames: Any) -> bytes:
        seen.append("written")
        return in_blocks(*frames)

    in_blocks = put_together.receipt_blocks
    monkeypatch.setattr(bites, "BITE_ROWS", 1)
    monkeypatch.setattr(put_together, "tables", SimpleNamespace(read=read))
    monkeypatch.setattr(put_together, "receipt_blocks", blocks)
    world.night("2024-05-20")
    assert len(seen) > 4
    assert seen == ["read", "written"] * (len(seen) // 2)
    assert len(world.receipts("BOLAGET")) == len(persons)
