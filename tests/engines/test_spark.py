"""Nights on a real Spark cluster: the same bytes, no task that fails, and executors that are killed (R28)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.local_engine import place_of
from tests.engines.conftest import Told
from tests.engines.story import (
    NIGHTS,
    after,
    children,
    five_nights,
    kill,
    loses_its_job_server,
    night,
    process_of,
    rehearsed,
    same_rows,
    start_anew,
    up,
    with_a_loss,
)

pytestmark = pytest.mark.slow
FAILED = re.compile(r"Lost task|Exception in task|TaskSetManager: .*fail", re.IGNORECASE)


@pytest.fixture(autouse=True)
def spark() -> Iterator[None]:
    """A cluster of two workers."""
    with up("spark"):
        yield


def logs() -> list[Path]:
    """What the driver and the executors wrote."""
    return [place_of("spark").logs / "job-server.log", *place_of("spark").logs.glob("app-*/*/stderr")]


def failures() -> list[str]:
    """The lines of the logs that tell of a task that failed."""
    return [line for log in logs() for line in log.read_text("utf-8", "replace").splitlines() if FAILED.search(line)]


def test_five_nights_have_the_same_bytes_and_no_task_fails(told: Told) -> None:
    world = told.before.twin("spark")
    assert five_nights(world, "spark") == told.nights
    same_rows(world, told.embedded)
    assert rehearsed(world, "spark") == told.rehearsal
    assert not failures(), "with an old Guava in front the first attempt of each task fails"
    finished = sum(log.read_text("utf-8", "replace").count("Finished task") for log in logs()[1:])
    assert finished > 8 * len(NIGHTS)


def test_an_executor_that_is_killed_is_made_up_for(told: Told) -> None:
    world = told.before.twin("spark-executor")
    worker = process_of("spark", "worker-1")
    with_a_loss(world, NIGHTS[0], "spark", lambda: kill(*children(worker)))
    assert after(world) == told.nights[0]


def test_a_python_worker_that_dies_while_it_stages_is_made_up_for(told: Told) -> None:
    world = told.before.twin("spark-worker")
    assert night(world, NIGHTS[0], "spark", failpoint="tables.stage:tables=torn") == told.nights[0]
    assert failures(), "no worker was lost"


def test_a_job_server_that_is_killed_ends_the_command_and_the_next_one_completes(told: Told) -> None:
    world = told.before.twin("spark-job-server")
    loses_its_job_server(world, "spark")
    start_anew("spark")
    assert night(world, NIGHTS[0], "spark") == told.nights[0]
