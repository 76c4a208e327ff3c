"""`lefi engines`: what it answers before anything is started, and how processes are started and ended."""

import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from jobs import local_engine
from jobs.engines import engines
from jobs.local_engine import Part, Place, Started
from schemas.errors import LefiError, RefusedError, UsageError

SLEEP = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); import time; time.sleep(60)"


def silent(_text: str) -> None:
    """Say nothing."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An engine whose jars are there."""
    made = Place(tmp_path, "flink")
    made.jars.mkdir(parents=True)
    (made.jars / "some.jar").touch()
    return made


def part(name: str, code: str, up: bool = True, ports: dict[str, str] | None = None) -> Part:
    """A process that runs some Python."""
    return Part(name, [sys.executable, "-c", code], lambda: up, ports or {})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("begin", "flink"), "engines begin: there is start, stop, status"),
        (("start", "storm"), "engines start storm: there is flink, spark"),
    ],
)
def test_words_that_are_not_known_are_wrong_usage(words: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        engines(*words, None, silent)


def test_without_jars_it_says_what_fetches_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEFI_ENGINES", str(tmp_path))
    with pytest.raises(UsageError, match=f"there are no jars in {tmp_path}/flink/jars: `make engines` fetches them"):
        engines("start", "flink", None, silent)
    looked = engines("status", "flink", None, silent)
    assert (looked["processes"], looked["gone"], looked["answers"]) == ({}, [], {})


def test_workers_that_are_not_a_pool_are_not_for_this_machine(tmp_path: Path) -> None:
    packaged = (Path(__file__).parents[2] / "conf" / "engines.yaml").read_text("utf-8")
    (tmp_path / "engines.yaml").write_text(packaged.replace("environment: EXTERNAL ", "environment: DOCKER ", 1), "utf-8")
    with pytest.raises(UsageError, match=r"flink\.environment is DOCKER"):
        engines("start", "flink", tmp_path, silent)


def test_a_port_in_use_is_named_and_nothing_is_started(place: Place) -> None:
    with socket.create_server(("localhost", 0)) as taken:
        address = f"localhost:{taken.getsockname()[1]}"
        with pytest.raises(
            RefusedError, match=f"port {address[10:]} is in use by another program, and its page of manager is to be at {address}"
        ):
            local_engine.start(place, [part("manager", SLEEP, ports={"its page": address})], silent)
    assert not local_engine.running(place)


def test_what_does_not_come_up_is_told_with_its_log_and_all_is_ended(place: Place) -> None:
    parts = [part("first", SLEEP), part("second", "print('no room here'); raise SystemExit(1)", up=False)]
    with pytest.raises(LefiError, match=r"(?s)second has ended, see .*second\.log:\nno room here"):
        local_engine.start(place, parts, silent)
    assert not local_engine.running(place)
    assert not local_engine.listed(place)


def test_what_was_started_is_ended_with_its_children_and_not_twice(place: Place) -> None:
    said: list[str] = []
    (first,) = local_engine.start(place, [part("first", SLEEP)], said.append)
    assert said == ["first is up", f"logs are in {place.logs}"]
    with pytest.raises(RefusedError, match="flink is running: `lefi engines stop flink` first"):
        local_engine.start(place, [part("first", SLEEP)], silent)
    while len(local_engine.members(first)) < 2:
        pass
    assert local_engine.stop(place) == [first]
    assert not local_engine.members(first)
    assert local_engine.stop(place) == []


def test_children_of_what_was_killed_are_ended(place: Place) -> None:
    (first,) = local_engine.start(place, [part("first", SLEEP)], silent)
    while len(local_engine.members(first)) < 2:
        pass
    os.kill(first.pid, signal.SIGKILL)
    assert local_engine.stop(place) == [first]
    assert not local_engine.members(first)


def test_a_process_that_has_the_number_of_another_one_is_left_alone(place: Place) -> None:
    (first,) = local_engine.start(place, [part("first", SLEEP)], silent)
    local_engine.write(place, [Started("first", first.pid, first.began - 1)])
    assert local_engine.stop(place) == []
    assert local_engine.is_alive(first)
    local_engine.end([first])
    assert not local_engine.is_alive(first)


def test_what_is_known_of_processes_is_a_file_that_anybody_can_read(place: Place) -> None:
    (first,) = local_engine.start(place, [part("first", SLEEP)], silent)
    assert json.loads((place.run / "processes.json").read_text("utf-8")) == [{"name": "first", "pid": first.pid, "began": first.began}]
    local_engine.stop(place)
