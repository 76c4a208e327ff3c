"""(a) The night, as its user runs it: `lefi nightly` on a workspace of its own, whose inbox is the generated one by hard links."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.measure import Measured, run

LEFI = Path(sys.executable).with_name("lefi")


@dataclass(frozen=True)
class Night:
    """steps: seconds of compare-and-deliver, as the run reports them; outbox: what was published."""

    measured: Measured
    steps: dict[str, float]
    records: int
    outbox: Path

    @property
    def stage_seconds(self) -> float:
        """From bucket store to staged parts and ledger."""
        return sum(self.steps.values())


def lefi(*arguments: object) -> Measured:
    """A command of the product."""
    return run([str(LEFI), *map(str, arguments)])


def prepare(inputs: Path, workspace: Path) -> None:
    """A fresh workspace with the inputs of another."""
    shutil.rmtree(workspace, ignore_errors=True)
    lefi("init", workspace)
    for name in ("inbox", "conf"):
        shutil.copytree(inputs / name, workspace / name, copy_function=os.link, dirs_exist_ok=True)


def first_night(inputs: Path, workspace: Path, day: date, options: Sequence[str] = ()) -> Night:
    """Run the first night of everybody."""
    prepare(inputs, workspace)
    measured = lefi("nightly", workspace, "--business-date", day, "--json", *options)
    report = json.loads((workspace / "runs" / measured.said["run"] / "report.json").read_bytes())
    records = sum(delivery["records"] for delivery in report["deliveries"].values())
    return Night(measured, report["seconds"], records, workspace / "outbox")
