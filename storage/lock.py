"""One writing command at a time.

On a disk the kernel's lock goes with the process. In an object store a lock is an object that its holder puts anew several times in a lease; who
finds one waits for a lease, and takes it when it has not changed meanwhile: no clock of another machine counts, and a killed holder stops nobody.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from schemas.errors import DiskError, RefusedError
from storage import objects
from storage.place import is_remote
from storage.workspace import Workspace

LEASE_SECONDS = 20.0  # of silence, and a holder is taken to be gone
BEATS = 4  # in a lease


@contextmanager
def only_writer(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace for one command. RefusedError while another one runs; a killed one stops nobody.

    UsageError when this is no workspace; none is made.
    """
    workspace.catalog()
    with held(workspace):
        yield


@contextmanager
def held(workspace: Workspace) -> Iterator[None]:
    """The same for a workspace whose catalog may be lost; its folder `store` must be there."""
    with alone(workspace.store / ".lock", f"another command is writing to {workspace.root}"):
        yield


@contextmanager
def only_compaction(workspace: Workspace) -> Iterator[None]:
    """Be the only compaction of a workspace. RefusedError while another one is at work; UsageError when this is no workspace."""
    workspace.catalog()
    with alone(workspace.store / ".compacting", f"another compaction of {workspace.root} is at work"):
        yield


@contextmanager
def alone(path: Path, otherwise: str) -> Iterator[None]:
    """Hold a lock. RefusedError, which says what is `otherwise`, when somebody else does."""
    refused = RefusedError(f"{otherwise}: wait for it, and give this one again")
    with _lease(path, refused) if is_remote(path) else _file(path, refused):
        yield


@contextmanager
def _file(path: Path, refused: RefusedError) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise refused from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _lease(path: Path, refused: RefusedError) -> Iterator[None]:
    holder = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(8)}"
    texts = (f"{holder} {number}".encode() for number in count())
    if not objects.put_if_absent(path, next(texts)):
        found = objects.tag_of(path)
        time.sleep(LEASE_SECONDS)
        if not (objects.replace_if(path, next(texts), found) if found else objects.put_if_absent(path, next(texts))):
            raise refused
    tag, over = objects.tag_of(path), threading.Event()

    def beat() -> None:
        nonlocal tag
        while tag and not over.wait(LEASE_SECONDS / BEATS):
            with suppress(DiskError):  # the next beat may come through; if none does, another command takes the lock
                tag = objects.replace_if(path, next(texts), tag)

    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()
        if tag:
            objects.remove(path)
