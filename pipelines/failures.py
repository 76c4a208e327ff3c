"""What went wrong on a worker, brought back as the error that it was: runners give only its text."""

import errno
import functools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from schemas import errors
from schemas.errors import DiskError, LefiError, storage_reason
from storage import durable
from storage.place import is_remote

Result = TypeVar("Result")
FAILURE_FILE = "failure.json"
NOTE_BYTES = 4096


def guarded(step: Callable[..., Result]) -> Callable[..., Result]:
    """A step that leaves a note of its own errors and of the disk's under staging; its last argument is the plan."""

    @functools.wraps(step)
    def run(*arguments: Any) -> Result:
        try:
            return step(*arguments)
        except Exception as error:
            known, staging = isinstance(error, LefiError), arguments[-1].staging
            reason = str(error) if known else storage_reason(error)
            if reason is None:
                raise
            name, text = (type(error).__name__, reason) if known else (DiskError.__name__, f"{step.__name__}: {reason}")
            durable.try_write(staging / FAILURE_FILE, durable.to_json({"error": name, "text": text}))
            raise

    return run


def raise_noted(staging: Path) -> None:
    """Raise the error that a worker noted, if one did. A full disk leaves no room for a note, and is found by that."""
    path = staging / FAILURE_FILE
    if path.exists() and path.stat().st_size:
        note = json.loads(path.read_text("utf-8"))
        raise getattr(errors, note["error"], LefiError)(note["text"])
    if not is_remote(staging) and shutil.disk_usage(staging).free < NOTE_BYTES:
        raise DiskError(f"{os.strerror(errno.ENOSPC)}: {staging}")
