"""Outboxes for tests: deliveries written as the product writes them, and means to spoil them."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from receiver.outbox import MANIFEST
from schemas.contracts import DELIVERY_RECORD, RECEIPT, Contract
from schemas.manifest import FileEntry, Manifest, Previous, Withheld, digest_of
from storage import avro
from tests.receiver.records import TFP, frame

PARTNER = "FOLKSAM-TEST"
FIRST_NIGHT = date(2024, 5, 1)
MARKER = b"0123456789abcdef"
RECEIPT_LINE = {"order_id": "O1", "line_no": 1, "accepted": True, "code": "ACCEPTED", "text": "", "effective_on": date(2024, 5, 1)}
CLOSED = Withheld(benefit=TFP, code="PLANNED_CLOSURE", text="Stängt", since=date(2024, 5, 2))

Document = dict[str, Any]


def write_file(folder: Path, name: str, rows: pl.DataFrame, contract: Contract) -> FileEntry:
    """Write an Avro file and its entry in the manifest."""
    path = folder / name
    avro.write(path, rows, contract, MARKER)
    return FileEntry(name=name, rows=len(rows), bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def deliver(
    outbox: Path, *parts: list[dict[str, Any]], receipts: list[dict[str, Any]] | None = None, partner: str = PARTNER, **fields: Any
) -> Manifest:
    """Write the next delivery to OUTBOX/P: each part a list of records. fields: of the manifest, in place of the usual."""
    before = sorted(path for path in (outbox / partner).iterdir()) if (outbox / partner).exists() else []
    last = Manifest.from_json((before[-1] / MANIFEST).read_bytes()) if before else None
    sequence = last.sequence + 1 if last else 1
    folder = outbox / partner / f"{sequence:08d}"
    folder.mkdir(parents=True)
    files = [write_file(folder, f"part-{place:04d}.avro", frame(records), DELIVERY_RECORD) for place, records in enumerate(parts, 1)]
    if receipts:
        files.append(write_file(folder, "receipts.avro", pl.DataFrame(receipts, schema=RECEIPT.frame, orient="row"), RECEIPT))
    totals: dict[str, dict[str, int]] = {}
    for (benefit, action), count in Counter((record["benefit"], record["action"]) for records in parts for record in records).items():
        totals.setdefault(benefit, {})[action] = count
    usual: dict[str, Any] = {
        "partner": partner,
        "sequence": sequence,
        "previous": Previous(sequence=last.sequence, digest=last.digest()) if last else None,
        "business_date": FIRST_NIGHT + timedelta(days=sequence - 1),
        "previous_business_date": last.business_date if last else None,
        "run": f"run-{sequence}",
        "inputs": (),
        "files": tuple(files),
        "totals": totals,
        "withheld": (),
        "refreshes": (),
    }
    manifest = Manifest(**usual | fields)
    (folder / MANIFEST).write_bytes(manifest.to_json())
    return manifest


def edit_manifest(folder: Path, change: Callable[[Document], object], *, sealed: bool = True) -> None:
    """Change a manifest; sealed: with a digest that is right for what it says then."""
    document = json.loads((folder / MANIFEST).read_bytes())
    change(document)
    if sealed:
        document["digest"] = digest_of(document)
    (folder / MANIFEST).write_text(json.dumps(document, ensure_ascii=False), "utf-8")


def relist(folder: Path, name: str) -> None:
    """Give a file that was changed the manifest entry that fits its bytes; rows stay."""
    raw = (folder / name).read_bytes()

    def change(document: Document) -> None:
        entry = next(file for file in document["files"] if file["name"] == name)
        entry.update(bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())

    edit_manifest(folder, change)


def flip(path: Path, position: int = -40) -> None:
    """Flip one bit of a file."""
    raw = bytearray(path.read_bytes())
    raw[position] ^= 1
    path.write_bytes(raw)
