"""What went wrong on a worker, brought back as the error that it was: runners give only its text."""

import errno
import functools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from schemas import errors
from schemas.errors import BugError, DiskError, LefiError, RefusedError, if_storage_lets_us, is_failure, place_of, storage_reason
from storage import durable, failpoints
from storage.place import is_remote

Result = TypeVar("Result")
FAILURE_FILE = "failure.json"
NOTE_BYTES = 4096


class Noting:
    """Note what a step fails with: `folder` is that of the call, and the note lies in the one above it; the last note stays.

    Of an error of ours its text, of the disk's what and where. Of a bug only its place in the code: its text may hold a person's data.
    """

    def __init__(self, step: str, folder: Path) -> None:
        self.step, self.folder = step, folder

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        """Write the note; the error goes on its way."""
        if isinstance(error, LefiError):
            self.write(type(error), str(error))
        elif error is not None and (reason := storage_reason(error)) is not None:
            self.write(DiskError, f"{self.step}: {reason}")
        elif error is not None and is_failure(error):
            self.write(BugError, f"{type(error).__name__} {place_of(error)}")

    def write(self, kind: type[LefiError], text: str) -> None:
        """Write it aside and rename it, as another attempt may be writing one too. A disk that is full has no room for a note."""
        note, place = durable.to_json({"error": kind.__name__, "text": text}), self.folder.parent / FAILURE_FILE
        if is_remote(place):
            durable.try_write(place, note)
            return
        aside = self.folder / FAILURE_FILE
        with if_storage_lets_us():
            self.folder.mkdir(exist_ok=True)
            aside.write_bytes(note)
            aside.replace(place)


def guarded(step: Callable[..., Result]) -> Callable[..., Result]:
    """A step as it runs on a worker; its last argument is the plan. It writes in a folder of this call alone, and notes what it fails with.

    Engines repeat a step whose worker is lost, while the lost one may still be at it, and a job may outlive the command that started it.
    """
    wanted, home = failpoints.wanted(), os.getpid()

    @functools.wraps(step)
    def run(*arguments: Any) -> Result:
        *given, plan = arguments
        if not plan.is_going_on:
            raise RefusedError(f"{plan.staging} was cleared: this job was given up, and what it makes is not wanted any more")
        if os.getpid() != home:
            failpoints.inherit(wanted, plan.staging)
        own = plan.for_a_call()
        with Noting(step.__name__, own.staging):
            return step(*given, own)

    return run


def raise_noted(staging: Path) -> None:
    """Raise the error that a worker noted, if one did. A full disk leaves no room for a note, and is found by that."""
    path = staging / FAILURE_FILE
    if path.exists() and path.stat().st_size:
        note = json.loads(path.read_text("utf-8"))
        raise getattr(errors, note["error"], LefiError)(note["text"])
    if not is_remote(staging) and shutil.disk_usage(staging).free < NOTE_BYTES:
        raise DiskError(f"{os.strerror(errno.ENOSPC)}: {staging}")
