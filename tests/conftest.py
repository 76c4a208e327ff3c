"""Fixtures of all tests."""

from pathlib import Path

import pytest

from tests.kit import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty workspace."""
    return World(tmp_path / "ws")
