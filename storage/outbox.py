"""Deliveries on disk: parts joined to files, finished folders moved into the outbox (contract, section 1; R27, R28)."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from schemas.errors import RefusedError, VerificationError
from schemas.manifest import FileEntry, Manifest
from storage import durable
from storage.failpoints import reach

FILE_ROWS = 1_000_000
COPY_BYTES = 1 << 20
MANIFEST = "manifest.json"


def marker(run: str, partner: str) -> bytes:
    """The Avro sync marker of a partner's files of a run; random by default, which would break R28."""
    return hashlib.sha256(f"{run}|{partner}".encode()).digest()[:16]


def folder_name(sequence: int) -> str:
    """The folder of a delivery."""
    return f"{sequence:08d}"


def files_of(folder: Path) -> list[Path]:
    """What lies in a published delivery beside its manifest; nothing once it was erased."""
    return sorted(path for path in folder.iterdir() if path.name != MANIFEST)


def manifest_of(folder: Path) -> Manifest:
    """The manifest of a published delivery. RefusedError, which names it, when it is damaged."""
    try:
        return Manifest.from_json((folder / MANIFEST).read_bytes())
    except VerificationError as error:
        where = "/".join(folder.parts[-3:])
        raise RefusedError(f"{where}: {error}: bring the delivery back as it was published: its partner can read it no more") from error


def is_erased(folder: Path) -> bool:
    """Whether of a delivery that had files only the manifest is left, as retention wants it."""
    return not files_of(folder) and bool(manifest_of(folder).files)


def erase(folder: Path) -> int:
    """Erase all files of a delivery but its manifest, so that the chain still verifies. Returns the bytes that are gone."""
    gone = 0
    for path in files_of(folder):
        gone += path.stat().st_size
        path.unlink()
        reach("erase.delivery", path)
    durable.sync_folder(folder)
    return gone


def is_whole(folder: Path) -> bool:
    """Whether every file that the manifest names lies in a delivery."""
    return all((folder / entry.name).exists() for entry in manifest_of(folder).files)


def write(path: Path, head: bytes, chunks: Iterable[bytes], rows: int) -> FileEntry:
    """Write a file of a delivery and say what is in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with durable.writing(path), path.open("wb") as file:
        for chunk in chain([head], chunks):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        file.flush()
        reach(f"outbox.write:{path.name}", path)
    durable.sync_file(path)
    return FileEntry(name=path.name, rows=rows, bytes=size, sha256=digest.hexdigest())


def join(folder: Path, head: bytes, parts: Sequence[tuple[Path, Sequence[tuple[int, int, int]]]]) -> Iterator[FileEntry]:
    """Join parts, in order, to files of at least FILE_ROWS rows (the last one may be smaller), never cutting a bucket.

    parts: (path, (bucket, rows, bytes) of each bucket in it). The borders follow from the rows by bucket alone.
    """
    chosen: list[tuple[Path, int, int]] = []
    rows = number = 0
    for path, buckets in parts:
        start = 0
        for _, count, size in buckets:
            chosen.append((path, start, size))
            start, rows = start + size, rows + count
            if rows >= FILE_ROWS:
                number += 1
                yield write(folder / f"part-{number:05d}.avro", head, read_ranges(chosen), rows)
                chosen, rows = [], 0
    if rows:
        yield write(folder / f"part-{number + 1:05d}.avro", head, read_ranges(chosen), rows)


def read_ranges(ranges: Sequence[tuple[Path, int, int]]) -> Iterator[bytes]:
    """The bytes of (path, start, size), in pieces."""
    for path, start, size in ranges:
        with path.open("rb") as file:
            file.seek(start)
            for done in range(0, size, COPY_BYTES):
                yield file.read(min(COPY_BYTES, size - done))
