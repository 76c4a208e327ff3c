"""Durable writes: what returned is on disk. Every file and folder that others rely on is made here."""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from schemas.errors import DiskError, if_storage_lets_us
from storage import objects
from storage.failpoints import label, reach
from storage.place import is_remote

TEMPORARY = ".tmp"
OS_ERROR = re.compile(r"\(os error ([0-9]+)\)")  # how Rust code tells what Python has in errno


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Write to a path. DiskError names it when the disk refuses: an OSError that comes from a write does not."""
    try:
        yield
    except OSError as error:
        number = error.errno or next(map(int, OS_ERROR.findall(str(error))), None)
        if number is None:
            raise
        raise DiskError(f"{os.strerror(number)}: {path}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; in an object store they are."""
    if is_remote(folder):
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Make a file's bytes durable; in an object store they are."""
    if is_remote(path):
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        with writing(path):
            os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, durably; an object store has none."""
    if is_remote(folder):
        return
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def _write_temporary(path: Path, data: bytes, folder: Path | None = None) -> Path:
    make_folder(folder or path.parent)
    temporary = (folder or path.parent) / f".{path.name}{TEMPORARY}"
    with writing(path), temporary.open("wb") as file:
        file.write(data)
        file.flush()
        reach(f"durable.write:{label(path)}", temporary)
        os.fsync(file.fileno())
    return temporary


def write_file(path: Path, data: bytes) -> None:
    """Replace a file as a whole: a reader sees the old bytes or the new ones, also after a crash."""
    if is_remote(path):
        objects.write(path, data)
        return
    temporary = _write_temporary(path, data)
    reach(f"durable.rename:{label(path)}", path)
    temporary.replace(path)
    sync_folder(path.parent)


def try_write(path: Path, data: bytes) -> None:
    """Write a file if the storage lets us: for notes that help, and that nothing depends on."""
    with if_storage_lets_us():
        path.write_bytes(data)


def put_if_absent(path: Path, data: bytes, staging: Path | None = None) -> bool:
    """Create a file as a whole unless it exists; False when it did. Of two writers one wins. staging: where it is written first, if not beside it."""
    if is_remote(path):
        return objects.put_if_absent(path, data)
    temporary = _write_temporary(path, data, staging)
    make_folder(path.parent)
    try:
        reach(f"durable.link:{label(path)}", path)
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    sync_folder(path.parent)
    return True


def move(source: Path, target: Path) -> None:
    """Rename a finished file or folder to its place; a second call after a crash finds it done.

    In an object store files are copied, a manifest after the rest. Raises FileNotFoundError when neither source nor target is there.
    """
    if is_remote(target):
        objects.move(source, target)
        return
    make_folder(target.parent)
    if not source.exists() and target.exists():
        return
    reach(f"durable.move:{label(target)}", target)
    if not source.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(source))
    with writing(target):
        source.rename(target)
    sync_folder(target.parent)
    sync_folder(source.parent)


def sync_tree(folder: Path) -> None:
    """Make all names below a folder durable; the files were synced when they were written."""
    if is_remote(folder):
        return
    for path, _, _ in os.walk(folder):
        sync_folder(Path(path))


def remove(folder: Path) -> None:
    """Remove a folder and all in it, if it is there, durably."""
    if is_remote(folder):
        objects.remove(folder)
    elif folder.exists():
        shutil.rmtree(folder)
        sync_folder(folder.parent)


def to_json(value: Any) -> bytes:
    """JSON for people and programs: sorted, indented, UTF-8, one newline at the end. Dates become ISO texts."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n").encode()
