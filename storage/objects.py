"""The same promises in an object store: what is put is there for all to see, of two that put at once one wins, and a rename is a copy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError

from schemas.errors import DiskError, storage_reason
from storage.failpoints import label, reach
from storage.place import located

LAST = "manifest.json"  # a delivery is there when its manifest is


@contextmanager
def reaching(path: Path) -> Iterator[None]:
    """Ask the store for something. DiskError names what it does not give, after the library's own retries."""
    try:
        yield
    except BaseError as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise DiskError(f"{path}: {storage_reason(error)}") from error


def write(path: Path, data: bytes) -> None:
    """Put an object in the place of one that may be there."""
    store, key = located(path)
    reach(f"objects.put:{label(path)}", path)
    with reaching(path):
        obstore.put(store, key, data)


def put_if_absent(path: Path, data: bytes) -> bool:
    """Create an object unless it exists; False when it did, with other bytes.

    With the same bytes it is ours: the answer to an earlier attempt was lost, and the library has put it twice.
    """
    store, key = located(path)
    reach(f"objects.create:{label(path)}", path)
    with reaching(path):
        try:
            obstore.put(store, key, data, mode="create")
        except (AlreadyExistsError, PreconditionError):
            return obstore.get(store, key).bytes() == data
    return True


def replace_if(path: Path, data: bytes, tag: str) -> str | None:
    """Put an object in the place of one that still has an ETag. Returns its own; None, and nothing is put, when that one has changed.

    With the same bytes it is ours: the answer to an earlier attempt was lost, and the library has put it twice.
    """
    store, key = located(path)
    with reaching(path):
        try:
            return obstore.put(store, key, data, mode={"e_tag": tag})["e_tag"]
        except NotFoundError:
            return None
        except PreconditionError:
            there = obstore.get(store, key)
            return there.meta["e_tag"] if there.bytes() == data else None


def tag_of(path: Path) -> str | None:
    """The ETag of an object; None when there is none."""
    store, key = located(path)
    with reaching(path):
        try:
            return obstore.head(store, key)["e_tag"]
        except FileNotFoundError:
            return None


def names_below(path: Path) -> list[str]:
    """All below a folder, each as a key relative to it; for an object `[""]`, and nothing where nothing is."""
    store, key = located(path)
    with reaching(path):
        found = [entry["path"].removeprefix(f"{key}/") for batch in obstore.list(store, prefix=f"{key}/") for entry in batch]
    return found or ([""] if tag_of(path) else [])


def move(source: Path, target: Path) -> None:
    """Copy an object, or all below a folder, to another place, and then remove it there; what an earlier attempt did is found done.

    Raises FileNotFoundError when neither source nor target is there.
    """
    if source == target:
        return
    store, key = located(source)
    _, into = located(target)
    names = sorted(names_below(source), key=lambda name: (name.endswith(LAST), name))
    if not names and not names_below(target):
        raise FileNotFoundError(str(source))
    reach(f"objects.move:{label(target)}", target)
    with reaching(target):
        for name in names:
            obstore.copy(store, joined(key, name), joined(into, name))
        if names:
            obstore.delete(store, [joined(key, name) for name in names])


def joined(key: str, name: str) -> str:
    """The key of a name below another."""
    return f"{key}/{name}" if name else key


def remove(folder: Path) -> None:
    """Remove all below a folder."""
    store, key = located(folder)
    names = names_below(folder)
    with reaching(folder):
        if names:
            obstore.delete(store, [joined(key, name) for name in names])
