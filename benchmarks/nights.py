"""Many nights in a row, with and without compaction: does the hundredth cost what the tenth did?

    python -m benchmarks.nights FOLDER --persons 100000 --nights 100

Makes two workspaces with the same drops in FOLDER, runs each night in both, and prints the middle of ten nights around the marks: seconds of the
clock, and of the processors, which other work on the machine disturbs less. Both must deliver the same bytes.
"""

import argparse
import hashlib
import os
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from jobs.generate import FIRST_DATE, generate
from pipelines.compact import compact
from pipelines.run import run_night
from schemas.frames import TABLES
from storage import tables
from storage.agreement import table_folder
from storage.workspace import Workspace, init

SEED = 1
AROUND = 5


def quiet(_: str) -> None:
    """Say nothing."""


def outbox_digest(workspace: Workspace) -> str:
    """One digest over all that was delivered."""
    digest = hashlib.sha256()
    for path in sorted(path for path in workspace.outbox.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(workspace.root)).encode() + path.read_bytes())
    return digest.hexdigest()


def seconds_of(workspace: Workspace, night: int, fold: bool) -> tuple[float, float, float]:
    """Run a night; seconds until it is settled, by the clock and of the processors, and of the folding in its shadow."""
    begun, used = perf_counter(), process_time()
    run_night(workspace, FIRST_DATE + timedelta(days=night), "embedded", quiet)
    settled, used = perf_counter(), process_time() - used
    if fold:
        compact(workspace, quiet)
    return settled - begun, used, perf_counter() - settled


def mark(seconds: Sequence[tuple[float, float, float]], night: int) -> tuple[float, float, float]:
    """The middle of the nights around one, and the mean of what folding took."""
    near = seconds[max(1, night - AROUND) : night + AROUND]
    return median(each for each, _, _ in near), median(each for _, each, _ in near), sum(each for _, _, each in near) / len(near)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--nights", type=int, default=100)
    given = parser.parse_args()
    spaces = {name: init(given.folder / name, 64) for name in ("folded", "plain")}
    generate(spaces["folded"].root, given.persons, given.nights, SEED)
    for name in ("inbox", "conf"):
        shutil.copytree(spaces["folded"].root / name, spaces["plain"].root / name, copy_function=os.link, dirs_exist_ok=True)
    seconds: dict[str, list[tuple[float, float, float]]] = {name: [] for name in spaces}
    for night in range(given.nights):
        for name, workspace in spaces.items():
            seconds[name].append(seconds_of(workspace, night, name == "folded"))
        print(
            f"night {night + 1}: " + ", ".join(f"{name} {of[-1][0]:.2f} s + {of[-1][1]:.2f} s" for name, of in seconds.items()), flush=True
        )
    same = len({outbox_digest(workspace) for workspace in spaces.values()}) == 1
    print(f"{given.persons} persons, {given.nights} nights; the deliveries are {'the same bytes' if same else 'NOT THE SAME'}")
    for name, workspace in spaces.items():
        files = sum(len(tables.files(table_folder(workspace, table))) for table in TABLES)
        tenth, last = mark(seconds[name], 10), mark(seconds[name], given.nights)
        print(
            f"{name}: night 10 {tenth[0]:.2f} s, {tenth[1]:.2f} s of processors; night {given.nights} {last[0]:.2f} s ({last[0] / tenth[0]:.2f} x), "
            f"{last[1]:.2f} s ({last[1] / tenth[1]:.2f} x); folding {last[2]:.2f} s; {files} files"
        )
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
