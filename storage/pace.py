"""How far the work is. Whatever process has worked on a piece leaves an empty file under staging, whose name has the numbers; any other counts them.

Nothing depends on these files: where the storage refuses one, it is missing.
"""

import json
import re
import resource
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import if_storage_lets_us

FOLDER = "pace"
EXPECTED = "expected.json"
NAME = re.compile(r"(?P<step>\w+)-(?P<piece>[0-9a-f]+)-(?P<units>\d+)-(?P<rows>\d+)-(?P<bytes>\d+)")


@dataclass(frozen=True)
class Amount:
    """What was gone through. units: of the step's own, such as buckets; bytes: as they lie on disk."""

    units: int = 0
    rows: int = 0
    bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        """Both together."""
        return Amount(self.units + other.units, self.rows + other.rows, self.bytes + other.bytes)


def expect(staging: Path, units: Mapping[str, int]) -> None:
    """Say what is to be done under staging: the units of each step."""
    with if_storage_lets_us():
        (staging / FOLDER).mkdir(parents=True, exist_ok=True)
        (staging / FOLDER / EXPECTED).write_text(json.dumps(dict(units)), "utf-8")


def note(staging: Path, step: str, piece: str, amount: Amount) -> None:
    """Say that a step is done with a piece. piece: hexadecimal; said once more of the same, it counts once."""
    with if_storage_lets_us():
        (staging / FOLDER).mkdir(exist_ok=True)
        (staging / FOLDER / f"{step}-{piece}-{amount.units}-{amount.rows}-{amount.bytes}").touch()


def done(folders: Iterable[Path]) -> dict[str, Amount]:
    """What is done under some staging folders, by step."""
    found: dict[str, Amount] = {}
    for folder in folders:
        with if_storage_lets_us():
            for name in [path.name for path in (folder / FOLDER).iterdir()]:
                if noted := NAME.fullmatch(name):
                    amount = Amount(int(noted["units"]), int(noted["rows"]), int(noted["bytes"]))
                    found[noted["step"]] = found.get(noted["step"], Amount()) + amount
    return found


def expected(folders: Iterable[Path]) -> dict[str, int]:
    """What is to be done under some staging folders: units by step."""
    found: dict[str, int] = {}
    for folder in folders:
        with if_storage_lets_us(), suppress(ValueError):
            for step, units in json.loads((folder / FOLDER / EXPECTED).read_text("utf-8")).items():
                found[step] = found.get(step, 0) + units
    return found


def peak_bytes() -> int:
    """The most resident memory that this process has had. Not getrusage: what that says of a new process is its parent's."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def total(*folders: Path) -> Amount:
    """What is done under some staging folders, all steps together: a row that three steps went through counts three times."""
    return sum(done(folders).values(), Amount())


def share(steps: Mapping[str, Amount], of: Mapping[str, int]) -> float:
    """How much of what is to be done is done, from 0 to 1; each step counts the same."""
    parts = [min(1.0, steps.get(step, Amount()).units / units) for step, units in of.items() if units]
    return sum(parts) / len(parts) if parts else 0.0
