"""The story once on the embedded engine; the others must end the same."""

from dataclasses import dataclass

import pytest

from tests.engines.story import After, five_nights, rehearsed, written
from tests.kit import World


@dataclass(frozen=True)
class Told:
    """before: the workspace before its first night; embedded: after five; nights: what was there after each."""

    before: World
    embedded: World
    nights: list[After]
    rehearsal: dict[str, object]


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The story on the embedded engine."""
    before = written(tmp_path_factory.mktemp("engines") / "ws")
    embedded = before.twin("embedded")
    nights = five_nights(embedded, "embedded")
    return Told(before, embedded, nights, rehearsed(embedded, "embedded"))
