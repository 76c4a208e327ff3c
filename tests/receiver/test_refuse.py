"""`lefi receive`: every way in which a delivery is refused, with its message."""

import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest

from jobs.receive import receive
from receiver.outbox import MANIFEST
from schemas.contracts import DELIVERY_RECORD
from schemas.errors import VerificationError
from tests.receiver.outboxes import deliver, edit_manifest, flip, relist
from tests.receiver.records import ANNA, BERIT, CARL, FIRST_BUCKET, SJP, record


def second(change: Callable[[dict[str, Any]], object], *, sealed: bool = True) -> Callable[[Path], None]:
    return lambda outbox: edit_manifest(outbox / "00000002", change, sealed=sealed)


def rewritten(*records: dict[str, Any]) -> Callable[[Path], None]:
    """The second delivery with other records, as if the product had made it so."""

    def spoil(outbox: Path) -> None:
        shutil.rmtree(outbox / "00000003")
        shutil.rmtree(outbox / "00000002")
        deliver(outbox.parent, list(records))

    return spoil


def cut(outbox: Path) -> None:
    part = outbox / "00000002" / "part-0001.avro"
    part.write_bytes(part.read_bytes()[:-20])


def cut_and_relist(outbox: Path) -> None:
    cut(outbox)
    relist(outbox / "00000002", "part-0001.avro")


def flip_and_relist(outbox: Path) -> None:
    flip(outbox / "00000002" / "part-0001.avro")
    relist(outbox / "00000002", "part-0001.avro")


def swap_parts(outbox: Path) -> None:
    edit_manifest(outbox / "00000001", lambda document: document["files"].insert(0, document["files"].pop(1)))


def other_partner(outbox: Path) -> None:
    deliver(outbox.parent, partner="OTHER")
    deliver(outbox.parent, partner="OTHER")
    shutil.rmtree(outbox / "00000002")
    shutil.move(outbox.parent / "OTHER" / "00000002", outbox / "00000002")


def linked(outbox: Path) -> None:
    part = outbox / "00000002" / "part-0001.avro"
    part.rename(outbox.parent / "elsewhere.avro")
    part.symlink_to(outbox.parent / "elsewhere.avro")


def manifest_in_a_folder(outbox: Path) -> None:
    manifest = outbox / "00000002" / "manifest.json"
    text = manifest.read_bytes()
    manifest.unlink()
    manifest.mkdir()
    (manifest / "manifest.json").write_bytes(text)


def uncompressed(outbox: Path) -> None:
    part = outbox / "00000002" / "part-0001.avro"
    with part.open("rb") as stream:
        records = list(fastavro.reader(stream))
    with part.open("wb") as stream:
        fastavro.writer(stream, dict(DELIVERY_RECORD.schema), records, codec="null")
    relist(outbox / "00000002", "part-0001.avro")


def receipts_as_part(outbox: Path) -> None:
    part = outbox / "00000002" / "part-0001.avro"
    shutil.copy(outbox / "00000001" / "receipts.avro", part)
    relist(outbox / "00000002", "part-0001.avro")


FIRST = "delivery FOLKSAM-TEST 00000001, "
SECOND = "delivery FOLKSAM-TEST 00000002, "
PART = SECOND + "part-0001.avro: "
ONLY_MANIFEST = SECOND + "manifest.json: "
ALTERATIONS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte of a part": (lambda outbox: flip(outbox / "00000002" / "part-0001.avro"), PART + "sha256 is "),
    "a cut part": (cut, PART + "has "),
    "a cut part, listed so": (cut_and_relist, PART),
    "a byte of a part, listed so": (flip_and_relist, PART),
    "a lost part": (
        lambda outbox: (outbox / "00000002" / "part-0001.avro").unlink(),
        SECOND + "manifest.json: none of its files is there: lost on the way",
    ),
    "lost receipts": (lambda outbox: (outbox / "00000001" / "receipts.avro").unlink(), FIRST + "receipts.avro: is listed and not there"),
    "one file more": (lambda outbox: (outbox / "00000002" / "part-0002.avro").touch(), SECOND + "part-0002.avro: is there and not listed"),
    "a hidden file": (lambda outbox: (outbox / "00000002" / ".part").touch(), SECOND + ".part: is there and not listed"),
    "a folder": (lambda outbox: (outbox / "00000002" / "more").mkdir(), SECOND + "more: is there and not listed"),
    "a link in place of a part": (linked, PART + "is no regular file"),
    "a manifest edited": (second(lambda document: document.update(run="x"), sealed=False), ONLY_MANIFEST + "digest is stated as "),
    "a manifest without digest": (
        second(lambda document: document.pop("digest"), sealed=False),
        ONLY_MANIFEST + "digest is stated as None",
    ),
    "a manifest of no JSON": (
        lambda outbox: (outbox / "00000002" / MANIFEST).write_text("{"),
        SECOND + "manifest.json is not JSON in UTF-8: ",
    ),
    "a key more": (second(lambda document: document.update(more=1)), ONLY_MANIFEST + "more: Extra inputs are not permitted"),
    "a key less": (second(lambda document: document.pop("withheld")), ONLY_MANIFEST + "withheld: Field required"),
    "a number as text": (
        second(lambda document: document.update(sequence="2")),
        ONLY_MANIFEST + "sequence: Input should be a valid integer",
    ),
    "a file name that leads elsewhere": (
        second(lambda document: document["files"][0].update(name="../part-1.avro")),
        ONLY_MANIFEST + "files.0.name: String should match pattern",
    ),
    "a file listed twice": (second(lambda document: document["files"].append(document["files"][0])), PART + "is listed twice"),
    "a partner edited": (
        second(lambda document: document.update(partner="OTHER")),
        ONLY_MANIFEST + "partner is 'OTHER', the folder is that of 'FOLKSAM-TEST'",
    ),
    "another partner's delivery": (other_partner, ONLY_MANIFEST + "partner is 'OTHER', the folder is that of 'FOLKSAM-TEST'"),
    "another sequence": (second(lambda document: document.update(sequence=3)), ONLY_MANIFEST + "sequence is 3, the folder is that of 2"),
    "another delivery before": (
        second(lambda document: document["previous"].update(digest="0" * 64)),
        ONLY_MANIFEST + f"previous is 00000001 with digest {'0' * 64}, the chain has 00000001 with digest ",
    ),
    "no delivery before": (
        second(lambda document: document.update(previous=None)),
        ONLY_MANIFEST + "previous is null, the chain has 00000001 with digest ",
    ),
    "another date before": (
        second(lambda document: document.update(previous_business_date="2024-04-01")),
        ONLY_MANIFEST + "previous_business_date is 2024-04-01, the chain has 2024-05-01",
    ),
    "a date that does not rise": (
        second(lambda document: document.update(business_date="2024-05-01")),
        ONLY_MANIFEST + "business_date 2024-05-01 is not after 2024-05-01",
    ),
    "another codec": (uncompressed, PART + "codec is null, the contract says snappy"),
    "another schema": (receipts_as_part, PART),
    "rows": (second(lambda document: document["files"][0].update(rows=5)), PART + "has 4 rows, the manifest says 5"),
    "bytes": (second(lambda document: document["files"][0].update(bytes=5)), PART + "has "),
    "totals": (
        second(lambda document: document["totals"][SJP].update(NEW=2)),
        ONLY_MANIFEST + "totals of FK:SJP NEW are 2, the files have 1",
    ),
    "totals of another benefit": (
        second(lambda document: document["totals"].update({"FK:FP": {"NEW": 1}})),
        ONLY_MANIFEST + "totals of FK:FP NEW are 1, the files have 0",
    ),
    "records of a withheld benefit": (
        second(lambda document: document["withheld"][0].update(benefit=SJP)),
        ONLY_MANIFEST + "R4: FK:SJP is withheld and has records",
    ),
    "the order of the parts": (swap_parts, FIRST + "part-0001.avro: record_no 1,000,000,000: R27: record_no rises"),
    "a delivery lost": (
        lambda outbox: shutil.rmtree(outbox / "00000002"),
        "delivery FOLKSAM-TEST 00000002 is missing, 00000003 is there: a gap in the chain",
    ),
    "the first delivery lost": (
        lambda outbox: shutil.rmtree(outbox / "00000001"),
        "delivery FOLKSAM-TEST 00000001 is missing, 00000002 is there: a gap in the chain",
    ),
    "a manifest lost": (
        lambda outbox: (outbox / "00000002" / MANIFEST).unlink(),
        "delivery FOLKSAM-TEST 00000002 has no manifest.json, but 00000003 follows it: a gap in the chain",
    ),
    "something else in the outbox": (
        lambda outbox: (outbox / ".tmp").mkdir(),
        "partner FOLKSAM-TEST: the outbox holds '.tmp', which is no delivery (contract, section 1)",
    ),
    "record_no twice": (
        rewritten(record("NEW", "x", record_no=1), record("NEW", "y", record_no=1)),
        PART + "record_no 1: R27: record_no rises",
    ),
    "order in a bucket": (
        rewritten(record("NEW", "y", record_no=1), record("NEW", "x", record_no=2)),
        PART + "record_no 2: R27: the records of a bucket are in order of personnummer, benefit, period_from, fact_id",
    ),
    "supersedes with new": (
        rewritten(record("NEW", "x", record_no=1, supersedes=(1, 1))),
        PART + "record_no 1: R24: supersedes stands exactly with CORRECTED and ANNULLED",
    ),
    "no supersedes with corrected": (
        rewritten(record("CORRECTED", "a", record_no=1)),
        PART + "record_no 1: R24: supersedes stands exactly with CORRECTED and ANNULLED",
    ),
    "a fact without fact_id": (
        rewritten(record("NEW", None, record_no=1)),
        PART + "record_no 1: R25: case_id, fact_id, version and kind stand with a fact",
    ),
    "an annulment with an amount": (
        rewritten(record("ANNULLED", "a", record_no=1, supersedes=(1, FIRST_BUCKET), amount=Decimal(1))),
        PART + "record_no 1: R25: ANNULLED, EMPTY and DEVIATION carry no content",
    ),
    "a deviation without code": (rewritten(record("DEVIATION", record_no=1)), PART + "record_no 1: R37: a DEVIATION says what it is"),
    "a former number with new": (
        rewritten(record("NEW", "x", record_no=1, former_personnummer=BERIT)),
        PART + "record_no 1: R23: former_personnummer is another number and stands with SNAPSHOT and EMPTY only",
    ),
    "annulled and not there": (
        rewritten(record("ANNULLED", "x", record_no=1, supersedes=(1, 7))),
        PART + "record_no 1: R50: ANNULLED of a fact that is not there",
    ),
    "manifest in a folder": (manifest_in_a_folder, "delivery FOLKSAM-TEST 00000002, manifest.json: is no regular file"),
    "no signature said": (
        second(lambda document: document.update(signature=None)),
        "delivery FOLKSAM-TEST 00000002, manifest.json: signature is null",
    ),
    "corrected and not there": (
        rewritten(record("CORRECTED", "c", record_no=1, supersedes=(1, 7))),
        PART + "record_no 1: R50: CORRECTED of a fact that is not there",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), ALTERATIONS.values(), ids=ALTERATIONS.keys())
def test_an_alteration_is_refused_by_delivery_and_file(outbox: Path, state: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(outbox)
    with pytest.raises(VerificationError) as refused:
        receive(outbox, state)
    assert str(refused.value).startswith(message)
    assert not any(number in str(refused.value) for number in (ANNA, BERIT, CARL))
