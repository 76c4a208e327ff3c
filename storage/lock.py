"""One writing command at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from schemas.errors import RefusedError
from storage.workspace import Workspace


@contextmanager
def only_writer(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace for one command. RefusedError while another one runs; a killed one leaves nothing behind (the kernel's lock goes with it).

    UsageError when this is no workspace; none is made.
    """
    workspace.catalog()
    with held(workspace):
        yield


@contextmanager
def held(workspace: Workspace) -> Iterator[None]:
    """The same for a workspace whose catalog may be lost; its folder `store` must be there."""
    lock = FileLock(workspace.store / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RefusedError(f"another command is writing to {workspace.root}: wait for it, and give this one again") from error
    try:
        yield
    finally:
        lock.release()
