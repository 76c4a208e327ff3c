"""Take one delivery: verify it, fold it, remember it; all of it or nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import duckdb

from receiver import fold
from receiver.chain import Link, verify_chain
from receiver.check import check_receipts, check_records
from receiver.outbox import MANIFEST, place, read_manifest
from receiver.picture import transaction
from receiver.verify import RECEIPTS, verify_files, verify_withheld
from schemas.contracts import DELIVERY_RECORD, RECEIPT
from schemas.errors import BrokenFileError, VerificationError
from schemas.manifest import Manifest
from storage import avro, seals
from storage.seals import KeyList

BATCH_ROWS = 100_000
SLICES_BEFORE = """SELECT count(*) FILTER (slice = $3 - 1), count(*) FILTER (slice = $3)
FROM refreshes WHERE order_id = $1 AND line_no = $2"""

Progress = Callable[[str, int, int], None]


def take(
    connection: duckdb.DuckDBPyConnection, folder: Path, partner: str, last: Link | None, progress: Progress, keys: KeyList | None = None
) -> Link:
    """Verify the delivery in a folder and fold it into the picture, in one transaction.

    last: the delivery before it; progress: told of every batch, with its rows and bytes; keys: with one of which it must be signed.
    Raises VerificationError, and nothing has changed.
    """
    manifest = read_manifest(folder, partner)
    if keys is not None:
        seals.verify(manifest, keys, place(partner, manifest.sequence, MANIFEST))
    verify_chain(manifest, last)
    verify_withheld(manifest)
    verify_files(manifest, folder)
    with transaction(connection):
        fold.begin(connection)
        records = load_records(connection, manifest, folder, progress)
        verify_totals(connection, manifest)
        fold.fold(connection, partner, manifest.sequence)
        receipts = keep_receipts(connection, manifest, folder)
        keep_refreshes(connection, manifest)
        connection.execute(
            "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                partner,
                manifest.sequence,
                manifest.digest(),
                manifest.business_date,
                manifest.run,
                records,
                receipts,
                json.dumps([entry.model_dump(mode="json") for entry in manifest.withheld], ensure_ascii=False),
            ],
        )
    return Link(manifest.sequence, manifest.digest(), manifest.business_date)


def load_records(connection: duckdb.DuckDBPyConnection, manifest: Manifest, folder: Path, progress: Progress) -> int:
    """Check and load the parts of a delivery, in the manifest's order. Returns the number of records."""
    above = DELIVERY_RECORD.frame.to_frame()
    loaded = 0
    for file in manifest.files:
        if file.name == RECEIPTS:
            continue
        where = place(manifest.partner, manifest.sequence, file.name)
        try:
            for records in avro.batches(folder / file.name, DELIVERY_RECORD, BATCH_ROWS):
                check_records(records, above, where)
                fold.load(connection, records, file.name)
                above = records.tail(1) if len(records) else above
                loaded += len(records)
                progress(f"{where}: {loaded:,} records", len(records), file.bytes * len(records) // file.rows)
        except BrokenFileError as error:
            raise VerificationError(f"{where}: {error}") from error
    return loaded


def verify_totals(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> None:
    """Check the manifest's totals against the records loaded. Raises VerificationError."""
    stated: dict[tuple[str, str], int] = {
        (benefit, action): records for benefit, counts in manifest.totals.items() for action, records in counts.items()
    }
    found = fold.totals(connection)
    for benefit, action in sorted({*stated, *found}):
        said, counted = stated.get((benefit, action), 0), found.get((benefit, action), 0)
        if said != counted:
            where = place(manifest.partner, manifest.sequence, MANIFEST)
            raise VerificationError(f"{where}: totals of {benefit} {action} are {said}, the files have {counted}")


def keep_receipts(connection: duckdb.DuckDBPyConnection, manifest: Manifest, folder: Path) -> int:
    """Keep the receipts of a delivery. Returns their number."""
    if not any(file.name == RECEIPTS for file in manifest.files):
        return 0
    where = place(manifest.partner, manifest.sequence, RECEIPTS)
    try:
        receipts = avro.read(folder / RECEIPTS, RECEIPT)
    except BrokenFileError as error:
        raise VerificationError(f"{where}: {error}") from error
    check_receipts(receipts, where)
    connection.register("batch", receipts)
    connection.execute("INSERT INTO receipts SELECT ?, * FROM batch", [manifest.sequence])
    connection.unregister("batch")
    return len(receipts)


def keep_refreshes(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> None:
    """Keep the slices of refreshes. Raises VerificationError for a slice without the one before it (R17).

    Orders may share an id: then each slice stands as often as orders got that far.
    """
    where = place(manifest.partner, manifest.sequence, MANIFEST)
    for refresh in manifest.refreshes:
        row = [refresh.order_id, refresh.line_no, refresh.slice]
        before = connection.execute(SLICES_BEFORE, row).fetchone()
        if refresh.slice > 1 and before and before[0] <= before[1]:
            what = f"refresh {refresh.order_id!r} line {refresh.line_no}"
            raise VerificationError(f"{where}: R17: {what}: slice {refresh.slice} without slice {refresh.slice - 1} before it")
        connection.execute("INSERT INTO refreshes VALUES (?, ?, ?, ?, ?)", [manifest.sequence, *row, refresh.of])
