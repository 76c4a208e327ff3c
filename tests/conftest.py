"""Fixtures of all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import World
from tests.straight import straight


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty workspace."""
    return World(tmp_path / "ws")


@pytest.fixture(autouse=True)
def without_beam(request: pytest.FixtureRequest) -> Iterator[None]:
    """Stories of nights run without Beam's machinery, which takes longer than they do; what is about Beam, restarts and engines has it (tests/jobs)."""
    if request.path.parent.name in ("pipelines", "scenarios"):
        with straight():
            yield
    else:
        yield
