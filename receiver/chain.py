"""The chain of deliveries: which were received, and whether the next one follows."""

from dataclasses import dataclass
from datetime import date

import duckdb

from receiver.outbox import MANIFEST, Outbox, place, read_manifest
from schemas.errors import VerificationError
from schemas.manifest import Manifest, Previous


@dataclass(frozen=True)
class Link:
    """A delivery that was received, as the next one must name it."""

    sequence: int
    digest: str
    business_date: date


def taken(connection: duckdb.DuckDBPyConnection) -> list[Link]:
    """The deliveries received so far, in order."""
    return [Link(*row) for row in connection.execute("SELECT sequence, digest, business_date FROM deliveries ORDER BY sequence").fetchall()]


def recheck(connection: duckdb.DuckDBPyConnection, outbox: Outbox) -> None:
    """Check that the picture is that partner's and that no delivery already received has been altered since. Erased ones are no fault.

    Raises VerificationError.
    """
    for (owner,) in connection.execute("SELECT DISTINCT partner FROM deliveries").fetchall():
        if owner != outbox.partner:
            raise VerificationError(f"the picture is that of partner {owner!r}, the outbox that of {outbox.partner!r}")
    for link in taken(connection):
        where = place(outbox.partner, link.sequence, MANIFEST)
        if link.sequence in outbox.unfinished:
            raise VerificationError(f"{where}: was received and is not there any more: the delivery has been altered")
        if link.sequence not in outbox.finished:
            continue
        digest = read_manifest(outbox.delivery(link.sequence), outbox.partner).digest()
        if digest != link.digest:
            raise VerificationError(f"{where}: digest is {digest}, was {link.digest} when it was received: the delivery has been altered")


def verify_chain(manifest: Manifest, last: Link | None) -> None:
    """Check that a delivery follows the last one received, or is the first (contract, section 4). Raises VerificationError."""
    where = place(manifest.partner, manifest.sequence, MANIFEST)
    previous = Previous(sequence=last.sequence, digest=last.digest) if last else None
    if manifest.previous != previous:
        raise VerificationError(f"{where}: previous is {named(manifest.previous)}, the chain has {named(previous)}")
    date_before = last.business_date if last else None
    if manifest.previous_business_date != date_before:
        raise VerificationError(f"{where}: previous_business_date is {manifest.previous_business_date}, the chain has {date_before}")
    if date_before and manifest.business_date <= date_before:
        raise VerificationError(f"{where}: business_date {manifest.business_date} is not after {date_before}, that of the delivery before")


def named(previous: Previous | None) -> str:
    """The delivery before, in words."""
    return f"{previous.sequence:08d} with digest {previous.digest}" if previous else "null"
