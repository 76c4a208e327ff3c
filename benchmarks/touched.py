"""A night that touches half a percent against a full view of the same workspace: time, processor time and bytes read.

    python -m benchmarks.touched FOLDER --persons 1000000

Makes a workspace in FOLDER, runs its first night, a full view (`lefi reconcile`) and the second night, whose drops touch half a percent of the persons.
Each is a process of its own. Bytes read are those that it asked the kernel for (rchar in /proc/self/io), from the disk or its cache.
"""

import argparse
import json
import resource
import shutil
import sys
from dataclasses import dataclass
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


def main() -> None:
    """Run and print."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--buckets", type=int, default=64, help="512 for a whole country")
    given = parser.parse_args()
    root = given.folder / f"touched-{given.persons}"
    shutil.rmtree(root, ignore_errors=True)
    init(root, given.buckets)
    rows = generate(root, given.persons, 2, SEED)["rows"]
    costs = {
        "first night of everybody": cost_of("nightly", root, "--business-date", FIRST_DATE),
        "full view": cost_of("reconcile", root),
        "night of one day's changes": cost_of("nightly", root, "--business-date", FIRST_DATE + timedelta(days=1)),
    }
    print(f"{given.persons:,} persons; both days together: {', '.join(f'{count:,} {name}' for name, count in rows.items())}\n")
    print("| what | seconds | CPU s | MiB read | peak MiB |\n|---|--:|--:|--:|--:|")
    for name, cost in costs.items():
        print(f"| {name} | {cost.seconds:.1f} | {cost.cpu:.1f} | {cost.read / MIB:,.0f} | {cost.peak_bytes / MIB:,.0f} |")
    view, night = costs["full view"], costs["night of one day's changes"]
    for measure, aim in AIMS.items():
        ratio = getattr(night, measure) / getattr(view, measure)
        print(f"{measure}: {ratio:.2f} x of the full view (aim {aim} x: {'met' if ratio <= aim else 'missed'})")
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
