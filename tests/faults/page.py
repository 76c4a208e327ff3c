"""`make faults`: find every place that the commands come to, run the whole matrix, and write it down in docs/faults.md."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.faults.stories import COMMANDS, Story, stories, without_counts
from tests.faults.trial import KINDS, Trial, run, trials
from tests.kit import ROOT
from tests.straight import straight

POINTS = Path(__file__).parent / "points.json"
PAGE = ROOT / "docs" / "faults.md"
FOUND = ROOT / "build" / "faults.json"
SHARES = os.cpu_count() or 1
Points = dict[str, dict[str, str]]
HEAD = """# Faults

Made by `make faults`. What happens when a command fails, at every place in `storage/` and `pipelines/` where it can.

Each line is a place, each column a command that comes there, in a workspace in which it has much to do. At each place the command fails in
every way that fits the place, the first time that it comes there, and for places that it comes to often also in the middle and the last time.
Then the same command is given again, and the night is run. **In every case the outbox has the same bytes as that of an undisturbed twin, all
tables have the same rows, nothing is left over**, and before that nothing was published that the twin does not have.

All trials run in one process; the workspace is taken as it lies at the moment of the fault. A part of them is repeated with a process of its
own and SIGKILL.

Places of their own tests are not repeated here: those of `lefi erase` (`tests/jobs/test_erase.py`), of the first command after an upgrade
(`tests/golden/test_formats.py`), of the merging of many pieces (`tests/pipelines/test_merge_pieces.py`), and of an object store (`tests/objects/`).

| sign | the fault |
|---|---|
"""


def signs() -> dict[str, str]:
    """Kind -> the letter that stands for it."""
    return {kind: kind[0].upper() for kind in KINDS}


def written(points: Points) -> str:
    """The page."""
    every = list(trials(points))
    of_place: dict[tuple[str, str], list[str]] = {}
    for trial in every:
        of_place.setdefault((trial.place, trial.command), []).append(signs()[trial.kind])
    lines = [f"| {sign} | {KINDS[kind]} |" for kind, sign in signs().items()]
    counted = Counter(trial.command for trial in every)
    lines += ["", f"{len(every)} trials: {', '.join(f'{counted[command]} of `{command}`' for command in COMMANDS)}.", ""]
    lines += [f"| place | {' | '.join(f'`{command}`' for command in COMMANDS)} |", "|---" * (len(COMMANDS) + 1) + "|"]
    for place in sorted({place for place, _ in of_place}):
        cells = (shortened(of_place.get((place, command), [])) for command in COMMANDS)
        lines.append(f"| `{place}` | {' | '.join(cells)} |")
    return HEAD + "\n".join(lines) + "\n"


def shortened(kinds: list[str]) -> str:
    """The letters of some kinds, each with how often it was tried where that is more than once."""
    return " ".join(kind if count == 1 else f"{kind}{count}" for kind, count in Counter(kinds).items())


def held(trial: Trial, told: dict[str, Story], folder: Path) -> str:
    """Run a trial; what was not as it should be, or nothing."""
    folder.mkdir()
    try:
        run(trial, told[trial.command], folder)
    except AssertionError as error:
        return f"{traceback.extract_tb(error.__traceback__)[-1].line} {error}".strip()
    shutil.rmtree(folder)
    return ""


def try_share(wanted: str, share: int) -> int:
    """Run each SHARES-th of the trials whose names hold a word; name those that have not held. Returns how many, and writes the points of all."""
    began, failed = time.monotonic(), 0
    with straight(), tempfile.TemporaryDirectory() as scratch:
        told = stories(Path(scratch))
        points = {command: without_counts(story.reached) for command, story in told.items()}
        if share == 0 and not wanted:
            FOUND.parent.mkdir(parents=True, exist_ok=True)
            FOUND.write_text(json.dumps(points, indent=1) + "\n", "utf-8")
        chosen = [trial for trial in trials(points) if wanted in str(trial)][share::SHARES]
        for number, trial in enumerate(chosen):
            fault = held(trial, told, Path(scratch) / f"{number:05d}")
            failed += bool(fault)
            if fault or number % 50 == 0:
                print(f"{number} of {len(chosen)}, {time.monotonic() - began:.0f} s: {trial} {fault}", file=sys.stderr, flush=True)
    return failed


def main() -> None:
    """Run all trials, on as many processes as there are cores; write points.json and the page when each has held, else name those that have not.

    With an argument only the trials are run whose names hold it, and nothing is written.
    """
    wanted, share = ([*sys.argv[1:], "", ""])[:2]
    if share:
        sys.exit(int(try_share(wanted, int(share)) > 0))
    command = [sys.executable, "-m", "tests.faults.page", wanted]
    children = [subprocess.Popen([*command, str(number)]) for number in range(SHARES)]
    if sum(child.wait() for child in children):
        sys.exit("not all trials held")
    if not wanted:
        points = json.loads(FOUND.read_text("utf-8"))
        POINTS.write_text(json.dumps(points, indent=1) + "\n", "utf-8")
        PAGE.write_text(written(points), "utf-8")


if __name__ == "__main__":
    main()
