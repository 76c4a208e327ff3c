"""The partner's side: receive what the outbox holds and keep a current picture of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from receiver.chain import Link, recheck, taken
from receiver.outbox import Outbox, survey
from receiver.picture import opened
from receiver.take import Progress, take
from schemas.errors import VerificationError
from storage.seals import read_keys


@dataclass(frozen=True)
class Received:
    """What a receiver knows when it is done.

    received, records, receipts: what came this time. sequence, business_date, withheld: of the last delivery ever received, None when
    there is none. facts, groups, incomplete: of the picture. unfinished: sequences without a manifest, left alone.
    """

    partner: str
    received: int
    records: int
    receipts: int
    sequence: int | None
    business_date: date | None
    withheld: list[dict[str, Any]]
    facts: int
    groups: int
    incomplete: int
    unfinished: list[int]


def silent(_text: str, _rows: int, _bytes: int) -> None:
    """Report no progress."""


def nobody(_bytes: int) -> None:
    """Tell nobody how much there is."""


def receive(
    outbox: Path, state: Path, progress: Progress = silent, keys: Path | None = None, expect: Callable[[int], None] = nobody
) -> Received:
    """Verify the deliveries in OUTBOX/P that the picture STATE does not have yet, and fold them into it (R50), one transaction each.

    state: a DuckDB file, or a folder that gets a picture.duckdb. progress: told what has been read, with rows and bytes; keys: a key list, with one of
    which each delivery must be signed; expect: told at the beginning how many bytes of parts will be read. A killed receiver goes on where it was.
    Raises VerificationError at the first delivery that does not verify (those before it stay), UsageError when the outbox is no folder,
    RefusedError when another receiver is at work.
    """
    found, known = survey(outbox), read_keys(keys) if keys else None
    with opened(state) as connection:
        recheck(connection, found)
        before = taken(connection)
        last = before[-1] if before else None
        start = last.sequence if last else 0
        expect(bytes_after(found, start))
        for sequence in (sequence for sequence in found.finished if sequence > start):
            last = take(connection, following(found, sequence, last), found.partner, last, progress, known)
        return summarise(connection, found, start, last)


def bytes_after(outbox: Outbox, start: int) -> int:
    """Bytes of the parts of the finished deliveries after a sequence, as they lie there."""
    folders = [outbox.delivery(sequence) for sequence in outbox.finished if sequence > start]
    return sum(part.stat().st_size for folder in folders for part in folder.glob("part-*.avro"))


def following(outbox: Outbox, sequence: int, last: Link | None) -> Path:
    """The folder of a delivery that comes next. Raises VerificationError when another one should."""
    expected = last.sequence + 1 if last else 1
    if sequence != expected and expected in outbox.unfinished:
        raise VerificationError(
            f"delivery {outbox.partner} {expected:08d} has no manifest.json, but {sequence:08d} follows it: a gap in the chain"
        )
    if sequence != expected:
        raise VerificationError(f"delivery {outbox.partner} {expected:08d} is missing, {sequence:08d} is there: a gap in the chain")
    return outbox.delivery(sequence)


def summarise(connection: duckdb.DuckDBPyConnection, outbox: Outbox, start: int, last: Link | None) -> Received:
    """Count what came after the sequence `start`, and what the picture holds."""

    def one(query: str, *values: int) -> tuple[Any, ...]:
        row = connection.execute(query, list(values)).fetchone()
        return row or ()

    received, records, receipts = one(
        "SELECT count(*), coalesce(sum(records), 0)::BIGINT, coalesce(sum(receipts), 0)::BIGINT FROM deliveries WHERE sequence > ?", start
    )
    withheld = one("SELECT withheld FROM deliveries WHERE sequence = ?", last.sequence)[0] if last else "[]"
    groups, incomplete = one("SELECT count(*), count(*) FILTER (NOT complete) FROM groups")
    (facts,) = one("SELECT count(*) FROM facts")
    return Received(
        partner=outbox.partner,
        received=received,
        records=records,
        receipts=receipts,
        sequence=last.sequence if last else None,
        business_date=last.business_date if last else None,
        withheld=json.loads(withheld),
        facts=facts,
        groups=groups,
        incomplete=incomplete,
        unfinished=list(outbox.unfinished),
    )
