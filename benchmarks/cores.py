"""Both cores: the first night with one thread, with two threads in one process (as it ships), and with two worker processes of Beam's.

    python -m benchmarks.cores FOLDER --persons 200000 --rounds 3

The ways take turns; each is a process of its own on a fresh workspace with the same drops. All must deliver the same bytes. Prints seconds of the stage, by
the clock, and the ratio to one thread; only on a machine that does nothing else are these worth anything.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from benchmarks.measure import ROOT
from benchmarks.nights import outbox_digest, quiet
from jobs.generate import FIRST_DATE, generate
from pipelines import engines, side_by_side
from pipelines.run import run_night
from storage.workspace import Workspace, init

SEED = 1
ONE, THREADS, PROCESSES = "one thread", "two threads", "two processes"
PROCESS_ARGUMENTS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
PER_BATCH = 4  # bites that a worker process is given at a time


def child(root: Path, way: str) -> None:
    """Run the night in this process; print seconds of the stage, and of all."""
    if way != THREADS:
        side_by_side.THREADS = 1
    if way == PROCESSES:
        engines.embedded = lambda _: engines.Engine("embedded", FnApiRunner, PER_BATCH, PROCESS_ARGUMENTS)  # type: ignore[assignment]
    report = run_night(Workspace(root), FIRST_DATE, "embedded", quiet)
    print(json.dumps({"stage": report["steps"]["stage"]["seconds"], "deliver": sum(report["seconds"].values())}), flush=True)


def run(inputs: Path, root: Path, way: str) -> tuple[float, float, str]:
    """A way in a process of its own: seconds of the stage, seconds in which a bite was compared, and a digest of what was delivered."""
    shutil.rmtree(root, ignore_errors=True)
    init(root, 64)
    for name in ("inbox", "conf"):
        shutil.copytree(inputs / name, root / name, copy_function=os.link, dirs_exist_ok=True)
    environment = os.environ | ({"POLARS_MAX_THREADS": "1"} if way != THREADS else {})
    line = [sys.executable, "-m", "benchmarks.cores", "--child", str(root), way]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return said["stage"], said["deliver"], outbox_digest(Workspace(root))


def main() -> None:
    """Run and print."""
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--persons", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    inputs = given.folder / f"inputs-{given.persons}"
    if not (inputs / "made").exists():
        shutil.rmtree(inputs, ignore_errors=True)
        generate(init(inputs, 64).root, given.persons, 1, SEED)
        (inputs / "made").touch()
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in (ONE, THREADS, PROCESSES)}
    digests: set[str] = set()
    for number in range(given.rounds):
        for way, of in seconds.items():
            stage, deliver, digest = run(inputs, given.folder / "cores", way)
            digests.add(digest)
            of.append((stage, deliver))
            print(f"round {number + 1}, {way}: stage {stage:.1f} s, of it bites compared in {deliver:.1f} s", flush=True)
    shutil.rmtree(given.folder / "cores")
    middle = {way: [median(each[place] for each in of) for place in (0, 1)] for way, of in seconds.items()}
    print(
        f"\n{given.persons:,} persons, middle of {given.rounds}\n\n| way | stage, s | against one thread | compare and deliver, s | against one thread |"
    )
    print("|---|--:|--:|--:|--:|")
    for way, (stage, deliver) in middle.items():
        print(f"| {way} | {stage:.1f} | {middle[ONE][0] / stage:.2f} x | {deliver:.1f} | {middle[ONE][1] / deliver:.2f} x |")
    if len(digests) != 1:
        raise SystemExit("the deliveries are NOT THE SAME")


if __name__ == "__main__":
    main()
