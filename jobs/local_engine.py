"""Processes that belong to an engine on this machine: started in order, each once the one before answers; ended all, and none that is another's."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from schemas.config import Cluster
from schemas.errors import LefiError, RefusedError, UsageError
from storage import durable

LIST = "processes.json"
WORKERS = 2
HEAP_MIB = 512
START_SECONDS = 240
STOP_SECONDS = 15
TAIL_LINES = 5
# What Beam, Flink and Spark need of Java 17.
OPENED = ("lang", "lang.invoke", "lang.reflect", "util", "util.concurrent", "util.concurrent.atomic", "nio", "net", "io", "time")
OPENED_OF_SUN = ("nio.ch", "nio.cs", "security.action", "util.calendar")
JAVA_OPTIONS = (
    *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in OPENED),
    *(f"--add-opens=java.base/sun.{name}=ALL-UNNAMED" for name in OPENED_OF_SUN),
    "--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED",
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Part:
    """A process of an engine.

    is_up: tells that it does its work, asked until it says so; ports: host:port that it opens, by what each is; files: texts that it reads, by
    their names in the engine's folder.
    """

    name: str
    command: Sequence[str]
    is_up: Callable[[], bool]
    ports: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Started:
    """A process that was started. began: when, in ticks of the kernel since it booted; with the number it names the process for good."""

    name: str
    pid: int
    began: int


@dataclass(frozen=True)
class Place:
    """Where an engine's jars, logs and list of processes are."""

    root: Path
    engine: str

    @property
    def jars(self) -> Path:
        """What `make engines` fetched."""
        return self.root / self.engine / "jars"

    @property
    def run(self) -> Path:
        """What a running engine writes."""
        return self.root / "run" / self.engine

    @property
    def logs(self) -> Path:
        """A file for each process."""
        return self.run / "logs"

    @property
    def class_path(self) -> str:
        """All jars, as Java wants them."""
        return f"{self.jars}/*"


def place_of(engine: str) -> Place:
    """Beside the checkout's code, or in the folder that LEFI_ENGINES names."""
    return Place(Path(os.environ.get("LEFI_ENGINES") or Path(__file__).absolute().parents[1] / ".engines"), engine)


def java(place: Place, heap_mib: int, main: str, *arguments: str, settings: Sequence[str] = ()) -> list[str]:
    """The command line of a Java program of an engine."""
    return ["java", f"-Xmx{heap_mib}m", *JAVA_OPTIONS, *settings, "-cp", place.class_path, main, *arguments]


def job_server(
    place: Place, conf: Cluster, main: str, *arguments: str, settings: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Part:
    """Beam's job server of an engine, which makes its jobs of our pipelines. arguments: what it is told besides where it answers."""
    host, _, port = conf.endpoint.rpartition(":")
    told = [
        f"--job-host={host}",
        f"--job-port={port}",
        "--artifact-port=0",
        "--expansion-port=0",
        f"--artifacts-dir={place.run / 'artifacts'}",
    ]
    return Part(
        "job-server",
        java(place, HEAP_MIB, main, *told, *arguments, settings=settings),
        lambda: answers(conf.endpoint),
        {"Beam's job server": conf.endpoint},
        environment or {},
    )


def start(place: Place, parts: Sequence[Part], say: Say) -> list[Started]:
    """Start an engine. UsageError when jars or Java are missing, RefusedError when it runs or a port is taken, LefiError when a part does not come up.

    What was started is ended again when something goes wrong.
    """
    if not any(place.jars.glob("*.jar")):
        raise UsageError(f"there are no jars in {place.jars}: `make engines` fetches them")
    if shutil.which("java") is None:
        raise UsageError(f"there is no java on the PATH: {place.engine} needs Java 17")
    if running(place):
        raise RefusedError(f"{place.engine} is running: `lefi engines stop {place.engine}` first, or `lefi engines status {place.engine}`")
    require_free(parts)
    durable.remove(place.run)
    place.logs.mkdir(parents=True)
    started: list[Started] = []
    try:
        for part in parts:
            for name, text in part.files.items():
                (place.run / name).write_text(text, "utf-8")
            started.append(begin(place, part))
            write(place, started)
            wait_for(place, part, started[-1])
            say(f"{part.name} is up{''.join(f', {what} at {address}' for what, address in part.ports.items())}")
    except BaseException:
        end(started)
        write(place, [])
        raise
    say(f"logs are in {place.logs}")
    return started


def require_free(parts: Sequence[Part]) -> None:
    """See that nobody else listens where the parts are to. RefusedError names the port."""
    for part in parts:
        for what, address in part.ports.items():
            if answers(address):
                raise RefusedError(
                    f"port {address.rpartition(':')[2]} is in use by another program, and {what} of {part.name} is to be at {address}: "
                    "end that program, or name another port in engines.yaml and give --conf"
                )


def begin(place: Place, part: Part) -> Started:
    """Start a process as the leader of a group of its own, so that whatever it starts is found and ended with it."""
    with (place.logs / f"{part.name}.log").open("wb") as log:
        child = subprocess.Popen(
            part.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=place.run,
            env=os.environ | dict(part.environment),
            start_new_session=True,
        )
    return Started(part.name, child.pid, began(child.pid) or 0)


def wait_for(place: Place, part: Part, started: Started) -> None:
    """Wait until a part does its work. LefiError when it ends before that, or takes too long, with the last lines of its log."""
    deadline = time.monotonic() + START_SECONDS
    while not part.is_up():
        over = not is_alive(started)
        if over or time.monotonic() > deadline:
            log = place.logs / f"{part.name}.log"
            said = "\n".join(log.read_text("utf-8", "replace").splitlines()[-TAIL_LINES:])
            raise LefiError(f"{part.name} {'has ended' if over else f'is not up after {START_SECONDS} seconds'}, see {log}:\n{said}")
        time.sleep(0.2)


def stop(place: Place) -> list[Started]:
    """End what was started, the last one first, and nothing else. Returns what was running."""
    there = running(place)
    end(there)
    write(place, [])
    return there


def end(started: Sequence[Started]) -> None:
    """End processes with all that they started: first asked, then killed."""
    for each in reversed(started):
        if not belongs_to(each):
            continue
        for kind in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(each.pid, kind)
            deadline = time.monotonic() + STOP_SECONDS
            while members(each) and time.monotonic() < deadline:
                reap(each)
                time.sleep(0.05)
            if not members(each):
                break


def reap(started: Started) -> None:
    """Take note of the end of a child of ours; one of another command is none."""
    with suppress(ChildProcessError):
        os.waitpid(started.pid, os.WNOHANG)


def running(place: Place) -> list[Started]:
    """What was started and is there still, or has left children that are."""
    return [each for each in listed(place) if belongs_to(each)]


def listed(place: Place) -> list[Started]:
    """What was started and not stopped, whether it is alive or not."""
    path = place.run / LIST
    return [Started(**each) for each in json.loads(path.read_text("utf-8"))] if path.exists() else []


def write(place: Place, started: Sequence[Started]) -> None:
    """Say what was started."""
    durable.write_file(place.run / LIST, durable.to_json([asdict(each) for each in started]))


def belongs_to(started: Started) -> bool:
    """Whether a process, or its group when it has ended itself, is the one that was started: a number may be another's by now."""
    return is_alive(started) or (began(started.pid) is None and bool(members(started)))


def is_alive(started: Started) -> bool:
    """Whether a process runs, and is the one that was started."""
    reap(started)
    return began(started.pid) == started.began


def began(pid: int) -> int | None:
    """When a process began, in ticks since the kernel booted; None when there is none, or it has ended and waits to be noticed."""
    fields = stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else None


def members(started: Started) -> list[int]:
    """The processes of a group that have not ended."""
    return [pid for pid, fields in processes() if int(fields[2]) == started.pid and fields[0] != "Z"]


def processes() -> Iterator[tuple[int, list[str]]]:
    """Every process of this machine with its fields."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and (fields := stat(int(path.name))):
            yield int(path.name), fields


def stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the state on (state, parent, group, ...)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None


def answers(address: str) -> bool:
    """Whether somebody listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


def asked(url: str) -> Any:
    """What a page of an engine says as JSON; None when it does not answer."""
    try:
        with urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except (URLError, OSError, ValueError):
        return None
