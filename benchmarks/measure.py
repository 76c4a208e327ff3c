"""Run a program and see what it takes: time, processor time, and the memory of it and all that it starts."""

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

POLL_SECONDS = 0.05
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Measured:
    """said: the JSON object that the program ended with; wall_seconds: of the whole process, its start included; cpu_seconds: user and system."""

    said: dict[str, Any]
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


class FailedProgramError(Exception):
    """A program that is measured did not end well."""


def run(arguments: Sequence[str]) -> Measured:
    """Run a program to its end. The last line of its stdout may be a JSON object."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = perf_counter()
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peaks = [0]
    watcher = threading.Thread(target=watch, args=(process, peaks))
    watcher.start()
    said, complained = process.communicate()
    seconds = perf_counter() - began
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise FailedProgramError(f"{' '.join(arguments)} ended with {process.returncode}\n{complained[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    last = said.strip().rpartition("\n")[2]
    return Measured(json.loads(last) if last.startswith("{") else {}, seconds, cpu, peaks[0])


def python(module: str, *arguments: object) -> Measured:
    """Run one of our modules."""
    return run([sys.executable, "-m", module, *map(str, arguments)])


def watch(process: subprocess.Popen[str], peaks: list[int]) -> None:
    """Keep the highest sum of resident memory of a process and its descendants."""
    while process.poll() is None:
        peaks[0] = max(peaks[0], sum(map(resident_bytes, descendants(process.pid))))
        threading.Event().wait(POLL_SECONDS)


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0
