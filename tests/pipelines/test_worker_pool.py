"""The pool of Python workers that several workers of an engine share."""

import socket
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from apache_beam.runners.worker import worker_pool_main

from pipelines import worker_pool
from pipelines.worker_pool import Pool


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    """A pool whose processes only sleep."""
    real = subprocess.Popen
    monkeypatch.setattr(worker_pool_main.subprocess, "Popen", lambda *_, **__: real(["sleep", "60"]))
    monkeypatch.setattr(worker_pool, "GRACE_SECONDS", 0)
    made = Pool(use_process=True)
    yield made
    for process in made._worker_processes.values():
        process.kill()
        process.wait()


def wanted(number: str, address: str) -> SimpleNamespace:
    """What an engine's worker asks for."""
    return SimpleNamespace(worker_id=number, control_endpoint=SimpleNamespace(url=address))


def test_of_two_processes_with_one_number_only_the_one_that_nobody_talks_to_is_ended(pool: Pool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as here, socket.create_server(("127.0.0.1", 0)) as there:
        mine, other = (f"127.0.0.1:{each.getsockname()[1]}" for each in (here, there))
        pool.StartWorker(wanted("8-1", mine), None)
        pool.StartWorker(wanted("8-1", other), None)
        here.close()
        pool.end("8-1")
        assert list(pool._worker_processes) == [f"8-1 {other}"]
        assert pool._worker_processes[f"8-1 {other}"].poll() is None


def test_a_process_with_another_number_is_left_alone(pool: Pool) -> None:
    pool.StartWorker(wanted("1-1", "127.0.0.1:9"), None)
    pool.end("2-1")
    assert list(pool._worker_processes) == ["1-1 127.0.0.1:9"]
