"""What lies in a partner's outbox: which deliveries are finished, which are still being written."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import UsageError, VerificationError
from schemas.manifest import Manifest
from storage.place import is_remote

SEQUENCE = re.compile(r"[0-9]{8}")
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Outbox:
    """The deliveries in a partner's folder, by sequence. finished: with a manifest; unfinished: without, which come after all the finished ones
    unless the chain has a gap."""

    folder: Path
    finished: tuple[int, ...]
    unfinished: tuple[int, ...]

    @property
    def partner(self) -> str:
        """The partner whose folder it is."""
        return self.folder.name

    def delivery(self, sequence: int) -> Path:
        """The folder of a delivery."""
        return self.folder / f"{sequence:08d}"


def survey(folder: Path) -> Outbox:
    """Look through OUTBOX/P.

    Raises UsageError when it is no folder, VerificationError when something else than deliveries lies in it.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    folder = folder if is_remote(folder) else Path(os.path.abspath(folder))
    entries = {path.name: path for path in folder.iterdir()}
    strange = [
        name for name, path in entries.items() if not SEQUENCE.fullmatch(name) or path.is_symlink() or not path.is_dir() or not int(name)
    ]
    if strange:
        raise VerificationError(f"partner {folder.name}: the outbox holds {min(strange)!r}, which is no delivery (contract, section 1)")
    finished = sorted(int(name) for name, path in entries.items() if (path / MANIFEST).exists())
    unfinished = sorted({int(name) for name in entries} - set(finished))
    return Outbox(folder, tuple(finished), tuple(unfinished))


def place(partner: str, sequence: int, file: str) -> str:
    """How an error names a file of a delivery."""
    return f"delivery {partner} {sequence:08d}, {file}"


def read_manifest(folder: Path, partner: str) -> Manifest:
    """Read the manifest of the delivery in OUTBOX/P/<sequence>. Raises VerificationError unless it is one of that partner and sequence."""
    sequence = int(folder.name)
    where = place(partner, sequence, MANIFEST)
    if not (folder / MANIFEST).is_file():
        raise VerificationError(f"{where}: is no regular file")
    try:
        manifest = Manifest.from_json((folder / MANIFEST).read_bytes())
    except VerificationError as error:
        raise VerificationError(f"delivery {partner} {sequence:08d}, {error}") from error
    for key, stated, actual in (("partner", manifest.partner, partner), ("sequence", manifest.sequence, sequence)):
        if stated != actual:
            raise VerificationError(f"{where}: {key} is {stated!r}, the folder is that of {actual!r}")
    return manifest
