"""Verify a delivery before any of it is believed: its manifest and its files."""

import hashlib
from pathlib import Path

from receiver.outbox import MANIFEST, place
from schemas.contracts import DELIVERY_RECORD, RECEIPT, Contract
from schemas.errors import BrokenFileError, VerificationError
from schemas.manifest import FileEntry, Manifest
from storage import avro

RECEIPTS = "receipts.avro"


def contract_of(file: FileEntry) -> Contract:
    """The record type of a file of the delivery."""
    return RECEIPT if file.name == RECEIPTS else DELIVERY_RECORD


def verify_withheld(manifest: Manifest) -> None:
    """Check that nothing of a withheld benefit was delivered (R4). Raises VerificationError."""
    delivered = sorted(
        {entry.benefit for entry in manifest.withheld} & {benefit for benefit, counts in manifest.totals.items() if any(counts.values())}
    )
    if delivered:
        raise VerificationError(f"{place(manifest.partner, manifest.sequence, MANIFEST)}: R4: {delivered[0]} is withheld and has records")


def verify_files(manifest: Manifest, folder: Path) -> None:
    """Check that the folder holds exactly the listed files, each with its size, digest, rows, schema, codec. Raises VerificationError."""
    names = [file.name for file in manifest.files]
    present = {path.name: path for path in folder.iterdir()}
    if names and not set(names) & set(present):
        raise VerificationError(
            f"{place(manifest.partner, manifest.sequence, MANIFEST)}: none of its files is there: lost on the way, or erased after their time: "
            "go on with the picture that has this delivery, or ask the operator for its files"
        )
    for name in names:
        if names.count(name) > 1:
            raise VerificationError(f"{place(manifest.partner, manifest.sequence, name)}: is listed twice")
        if name not in present:
            raise VerificationError(f"{place(manifest.partner, manifest.sequence, name)}: is listed and not there")
    for name, path in sorted(present.items()):
        where = place(manifest.partner, manifest.sequence, name)
        if name not in {*names, MANIFEST}:
            raise VerificationError(f"{where}: is there and not listed")
        if path.is_symlink() or not path.is_file():
            raise VerificationError(f"{where}: is no regular file")
    for file in manifest.files:
        verify_file(file, folder / file.name, place(manifest.partner, manifest.sequence, file.name))


def verify_file(file: FileEntry, path: Path, where: str) -> None:
    """Check one file against its entry in the manifest. Raises VerificationError."""
    size = path.stat().st_size
    if size != file.bytes:
        raise VerificationError(f"{where}: has {size:,} bytes, the manifest says {file.bytes:,}")
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != file.sha256:
        raise VerificationError(f"{where}: sha256 is {digest}, the manifest says {file.sha256}")
    try:
        found = avro.inspect(path, contract_of(file))
    except BrokenFileError as error:
        raise VerificationError(f"{where}: {error}") from error
    if found.codec != "snappy":
        raise VerificationError(f"{where}: codec is {found.codec}, the contract says snappy")
    if found.rows != file.rows:
        raise VerificationError(f"{where}: has {found.rows:,} rows, the manifest says {file.rows:,}")
    if file.name == RECEIPTS and not file.rows:
        raise VerificationError(f"{where}: has no rows; it exists only when there are receipts")
