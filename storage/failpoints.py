"""Named places where a test can make the run fail, to show that nothing is lost and nothing comes twice.

`LEFI_FAILPOINT=place` kills the process (SIGKILL) the first time it comes there, `place:3` the third time. `place=kind` fails otherwise:

* kill: the process dies here
* error, full: the disk refuses (EIO, ENOSPC)
* torn: the file being written is cut in half, and the process dies
* lost-rename: the rename that would come next does not reach the disk, and the process dies
* conflict: another writer got ahead in this Delta table
"""

import errno
import os
import re
import signal
from collections import Counter
from pathlib import Path

WANTED = re.compile(r"(?P<place>.+?)(?::(?P<count>\d+))?(?:=(?P<kind>[a-z-]+))?")
ERRORS = {"error": errno.EIO, "full": errno.ENOSPC}
reached: Counter[str] = Counter()


class ConflictError(Exception):
    """Another writer has committed to a table at the same time."""


def reach(place: str, path: Path | None = None) -> None:
    """Say that the run is at a named place. path: of the file that is being written or moved."""
    reached[place] += 1
    wanted = WANTED.fullmatch(os.environ.get("LEFI_FAILPOINT", ""))
    if wanted and wanted["place"] == place and reached[place] == int(wanted["count"] or 1):
        fail(wanted["kind"] or "kill", path)


def fail(kind: str, path: Path | None) -> None:
    """Fail in one of the ways above."""
    if kind in ERRORS:
        raise OSError(ERRORS[kind], os.strerror(ERRORS[kind]), str(path or ""))
    if kind == "conflict":
        raise ConflictError
    if kind == "torn" and path:
        os.truncate(path, path.stat().st_size // 2)
    die()


def die() -> None:
    """End at once, as when the power fails."""
    os.kill(os.getpid(), signal.SIGKILL)


def label(path: Path) -> str:
    """How a place names a file: by its name, or by its folder's where the name only counts."""
    return path.parent.name if path.stem.isdigit() or path.stem.startswith(("night-", "fold-")) else path.name
