"""Every place that a command comes to, and every way in which it can fail there: given again, all ends as if nothing had been (docs/faults.md).

The matrix is in points.json; `make faults` makes it anew and runs all its trials in one process. Here some are run in which a process dies.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.frames import TABLES
from tests.faults import stories
from tests.faults.page import PAGE, POINTS, written
from tests.faults.stories import Story
from tests.faults.trial import KINDS, Trial, run_killed, trials
from tests.straight import straight

pytestmark = pytest.mark.slow
ALL = list(trials(json.loads(POINTS.read_text("utf-8"))))
REAL = [trial for trial in ALL if trial.kind == "kill"][::4]


@pytest.fixture(scope="module", autouse=True)
def in_this_thread() -> Iterator[None]:
    """All pipelines run without Beam's machinery."""
    with straight():
        yield


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Story]:
    """The stories, undisturbed."""
    return stories.stories(tmp_path_factory.mktemp("faults"))


def test_the_matrix_has_no_hole(told: dict[str, Story]) -> None:
    points = json.loads(POINTS.read_text("utf-8"))
    assert {command: stories.without_counts(story.reached) for command, story in told.items()} == points, "run `make faults`"


def test_the_matrix_has_both_sides_of_the_commit_of_each_table_and_every_kind() -> None:
    nightly = {trial.place for trial in ALL if trial.command == "nightly"}
    assert nightly >= {f"settle.{table}.{side}" for table in TABLES for side in ("before", "after")}
    assert nightly >= {
        "plan",
        "stage",
        "verify",
        "commit.before",
        "commit.after",
        "publish",
        "recalculate",
        "settle.catalog",
        "settle.report",
    }
    assert {trial.kind for trial in ALL} == set(KINDS)


def test_the_page_is_that_of_the_matrix() -> None:
    if not PAGE.exists():
        pytest.skip("docs/faults.md is not made yet: `make faults` writes it when every trial has held")
    assert PAGE.read_text("utf-8") == written(json.loads(POINTS.read_text("utf-8")))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where a trial lies; removed when it has held, since there are many."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("trial", REAL, ids=str)
def test_some_with_a_process_that_dies(trial: Trial, told: dict[str, Story], folder: Path) -> None:
    run_killed(trial, told[trial.command], folder)
