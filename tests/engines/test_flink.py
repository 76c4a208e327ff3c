"""Nights on a real Flink cluster: the same bytes, also when parts of it are killed (R28)."""

from collections.abc import Iterator

import pytest

from jobs.local_engine import asked, place_of
from tests.engines.conftest import Told
from tests.engines.story import (
    NIGHTS,
    after,
    children,
    command,
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
PAGE = "http://localhost:8081"


@pytest.fixture(autouse=True)
def flink() -> Iterator[None]:
    """A cluster of two workers."""
    with up("flink"):
        yield


def jobs() -> list[dict[str, object]]:
    """The jobs that Flink has seen."""
    return list(asked(f"{PAGE}/jobs/overview")["jobs"])


def log_of_manager() -> str:
    """What the job manager wrote."""
    return (place_of("flink").logs / "job-manager.log").read_text("utf-8", "replace")


def test_five_nights_have_the_same_bytes_and_no_task_fails(told: Told) -> None:
    world = told.before.twin("flink")
    assert five_nights(world, "flink") == told.nights
    same_rows(world, told.embedded)
    assert rehearsed(world, "flink") == told.rehearsal
    assert {job["state"] for job in jobs()} == {"FINISHED"}
    assert [job["tasks"]["failed"] for job in jobs()] == [0] * len(jobs())  # type: ignore[index]
    assert len(jobs()) == len(NIGHTS) + 3  # reconcile; a rehearsal is a night and a comparison


def test_a_task_manager_that_is_killed_is_made_up_for(told: Told) -> None:
    world = told.before.twin("flink-task-manager")
    lost = process_of("flink", "task-manager-2")
    with_a_loss(world, NIGHTS[0], "flink", lambda: kill(lost))
    assert after(world) == told.nights[0]
    assert "tasks will be restarted" in log_of_manager()
    assert "task-manager-2   has ended, and nobody has stopped it" in command("status", "flink").stdout


def test_a_python_worker_that_is_killed_is_made_up_for(told: Told) -> None:
    world = told.before.twin("flink-worker")
    pool = process_of("flink", "worker-pool")
    with_a_loss(world, NIGHTS[0], "flink", lambda: kill(*children(pool)))
    assert after(world) == told.nights[0]
    assert "tasks will be restarted" in log_of_manager()


def test_a_python_worker_that_dies_while_it_writes_a_delivery_leaves_nothing_in_the_outbox(told: Told) -> None:
    world = told.before.twin("flink-torn")
    assert night(world, NIGHTS[0], "flink", failpoint="outbox.write:part-00001.avro=torn") == told.nights[0]
    assert "tasks will be restarted" in log_of_manager()


def test_a_job_server_that_is_killed_ends_the_command_and_the_next_one_completes(told: Told) -> None:
    world = told.before.twin("flink-job-server")
    loses_its_job_server(world, "flink")
    assert (
        "Beam's job server does not answer at localhost:8099"
        in world.process("nightly", "--business-date", NIGHTS[0], "--runner", "flink", code=1).err
    )
    start_anew("flink")
    assert night(world, NIGHTS[0], "flink") == told.nights[0]


def test_a_disk_that_is_full_once_is_made_up_for(told: Told) -> None:
    world = told.before.twin("flink-full")
    assert night(world, NIGHTS[0], "flink", failpoint="tables.stage:tables=full") == told.nights[0]
