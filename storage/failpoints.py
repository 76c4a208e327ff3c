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
inherited: list[tuple[str, Path]] = []  # what another process wants to fail in this one, and where it is marked that it did


class ConflictError(Exception):
    """Another writer has committed to a table at the same time."""


def wanted() -> str:
    """The place and the kind that is wanted of this process."""
    return os.environ.get("LEFI_FAILPOINT", "")


def inherit(text: str, folder: Path) -> None:
    """Fail as another process wants, but once: what is repeated after the failure must not fail again. folder: where that is remembered."""
    inherited[:] = [(text, folder / "failed-as-wanted")] if text else []


def is_first() -> bool:
    """Whether no other process has failed as was wanted; this one is marked then."""
    try:
        for _, mark in inherited:
            mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def reach(place: str, path: Path | None = None) -> None:
    """Say that the run is at a named place. path: of the file that is being written or moved."""
    reached[place] += 1
    asked = WANTED.fullmatch(inherited[0][0] if inherited else wanted())
    if asked and asked["place"] == place and reached[place] == int(asked["count"] or 1) and is_first():
        fail(asked["kind"] or "kill", path)


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
