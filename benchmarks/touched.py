"""A night that touches half a percent against a full view of the same workspace: time, processor time and bytes read.

    python -m benchmarks.touched FOLDER --persons 1000000

Makes a workspace in FOLDER, runs its first night, a full view (`lefi reconcile`) and the second night, whose drops touch half a percent of the persons.
Each is a process of its own. Bytes read are those that it asked the kernel for (rchar in /proc/self/io), from the disk or its cache.
What each took is kept beside the workspace at once: given again, the command goes on after the last step that ended, so that a large one can be run in
pieces (`--until drops` only makes the drops). Of a night that was cut off, only what the second try took is counted.
"""

import argparse
import json
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.measure import python
from jobs.generate import FIRST_DATE, generate
from jobs.lefi import main as lefi
from storage.workspace import init

SEED = 1
AIMS = {"seconds": 0.25, "cpu": 0.25, "read": 0.3}
MIB = 1 << 20
DROPS, FIRST, VIEW, NIGHT = "drops", "first night of everybody", "full view", "night of one day's changes"


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds of the clock and of the processors, bytes read, peak memory."""

    seconds: float
    cpu: float
    read: int
    peak_bytes: int


def child(arguments: list[str]) -> None:
    """Run a command in this process; the last line printed is what it took."""
    began = perf_counter()
    lefi(arguments)
    seconds = perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    said = dict(line.split(": ") for line in Path("/proc/self/io").read_text("utf-8").splitlines())
    print(json.dumps({"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "read": int(said["rchar"])}), flush=True)


def cost_of(*arguments: Any) -> Cost:
    """Run a command as a process of its own."""
    done = python("benchmarks.touched", "--child", *arguments)
    return Cost(**done.said, peak_bytes=done.peak_bytes)


def steps(root: Path, persons: int, buckets: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each step in its turn, and what it took; those that an earlier run of the same command ended are not done again."""
    path = root.with_suffix(".json")
    done: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    commands: dict[str, tuple[Any, ...]] = {
        FIRST: ("nightly", root, "--business-date", FIRST_DATE),
        VIEW: ("reconcile", root),
        NIGHT: ("nightly", root, "--business-date", FIRST_DATE + timedelta(days=1)),
    }
    for name in (DROPS, *commands):
        if name not in done:
            if name == DROPS:
                shutil.rmtree(root, ignore_errors=True)
                init(root, buckets)
                done[name] = generate(root, persons, 2, SEED)["rows"]
            else:
                done[name] = asdict(cost_of(*commands[name]))
            path.write_text(json.dumps(done, indent=1) + "\n", "utf-8")
        yield name, done[name]


def main() -> None:
    """Run and print."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--buckets", type=int, default=64, help="512 for a whole country")
    parser.add_argument("--until", choices=(DROPS, FIRST, VIEW, NIGHT), default=NIGHT, help="the last step of this run")
    given = parser.parse_args()
    root = given.folder / f"touched-{given.persons}"
    root.parent.mkdir(parents=True, exist_ok=True)
    costs: dict[str, Cost] = {}
    for name, took in steps(root, given.persons, given.buckets):
        if name == DROPS:
            print(f"{given.persons:,} persons; both days together: {', '.join(f'{count:,} {of}' for of, count in took.items())}\n")
            print("| what | seconds | CPU s | MiB read | peak MiB |\n|---|--:|--:|--:|--:|", flush=True)
        else:
            cost = costs[name] = Cost(**took)
            print(f"| {name} | {cost.seconds:.1f} | {cost.cpu:.1f} | {cost.read / MIB:,.0f} | {cost.peak_bytes / MIB:,.0f} |", flush=True)
        if name == given.until:
            break
    if given.until == NIGHT:
        for measure, aim in AIMS.items():
            ratio = getattr(costs[NIGHT], measure) / getattr(costs[VIEW], measure)
            print(f"{measure}: {ratio:.2f} x of the full view (aim {aim} x: {'met' if ratio <= aim else 'missed'})")
        shutil.rmtree(root)
        root.with_suffix(".json").unlink()


if __name__ == "__main__":
    main()
