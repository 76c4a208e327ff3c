"""The manifest: canonical digest, bytes, and what is refused."""

import hashlib
import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import VerificationError
from schemas.manifest import FileEntry, Input, Manifest, Previous, RefreshSlice, Withheld, digest_of

FULL = Manifest(
    partner="FOLKSAM-TEST",
    sequence=2,
    previous=Previous(sequence=1, digest="0" * 64),
    business_date=date(2024, 5, 2),
    previous_business_date=date(2024, 5, 1),
    run="r2",
    inputs=(Input(drop="sjp-2024-05-02", sha256="1" * 64),),
    files=(FileEntry(name="part-0001.avro", rows=3, bytes=900, sha256="2" * 64),),
    totals={"FK:SJP": {"NEW": 2, "EMPTY": 1}},
    withheld=(Withheld(benefit="FK:FP", code="PLANNED_CLOSURE", text='Stängt på grund av "byte"', since=date(2024, 5, 1)),),
    refreshes=(RefreshSlice(order_id="O1", line_no=1, slice=1, of=4),),
)
FIRST = FULL.model_copy(update={"sequence": 1, "previous": None, "previous_business_date": None, "withheld": ()})
CANONICAL = (
    '{"business_date":"2024-05-02","files":[{"bytes":900,"name":"part-0001.avro","rows":3,"sha256":"' + "2" * 64 + '"}],'
    '"inputs":[{"drop":"sjp-2024-05-02","sha256":"' + "1" * 64 + '"}],"partner":"FOLKSAM-TEST",'
    '"previous":{"digest":"' + "0" * 64 + '","sequence":1},"previous_business_date":"2024-05-01",'
    '"refreshes":[{"line_no":1,"of":4,"order_id":"O1","slice":1}],"run":"r2","sequence":2,"totals":{"FK:SJP":{"EMPTY":1,"NEW":2}},'
    '"withheld":[{"benefit":"FK:FP","code":"PLANNED_CLOSURE","since":"2024-05-01","text":"Stängt på grund av \\"byte\\""}]}'
)


def changed(**values: Any) -> bytes:
    """The full manifest's JSON with other values, sealed again."""
    document = json.loads(FULL.to_json()) | values
    return json.dumps(document | {"digest": digest_of(document)}).encode()


def test_the_digest_is_that_of_the_canonical_json() -> None:
    assert FULL.digest() == hashlib.sha256(CANONICAL.encode()).hexdigest()


def test_digest_and_signature_are_not_in_the_digest() -> None:
    document = json.loads(FULL.to_json())
    assert digest_of(document | {"digest": "x", "signature": "y"}) == FULL.digest()


def test_the_bytes_have_the_keys_of_the_contract_and_end_with_a_newline() -> None:
    raw = FULL.to_json()
    assert list(json.loads(raw)) == [
        *("partner", "sequence", "previous", "business_date", "previous_business_date", "run"),
        *("inputs", "files", "totals", "withheld", "refreshes", "digest"),
    ]
    assert raw.endswith(b"}\n")
    assert "Stängt".encode() in raw


@pytest.mark.parametrize("manifest", [FULL, FIRST])
def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest


@given(partner=st.text(st.characters(codec="utf-8"), min_size=1), run=st.text(st.characters(codec="utf-8"), min_size=1))
def test_any_text_survives(partner: str, run: str) -> None:
    manifest = FULL.model_copy(update={"partner": partner, "run": run})
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_layout_and_order_of_keys_do_not_matter() -> None:
    document = json.loads(FULL.to_json())
    assert Manifest.from_json(json.dumps(dict(reversed(document.items())), indent=7).encode()) == FULL


REFUSED = {
    "no JSON": (b"{", "manifest.json is not JSON in UTF-8: Expecting property name"),
    "nothing": (b"", "manifest.json is not JSON in UTF-8: Expecting value"),
    "no object": (b"[]", "manifest.json is not a JSON object"),
    "no UTF-8": (b'{"partner": "\xff"}', "manifest.json is not JSON in UTF-8: 'utf-8' codec can't decode"),
    "another encoding": (FULL.to_json().decode().encode("utf-16"), "manifest.json is not JSON in UTF-8: "),
    "too deep": (b"[" * 100_000, "manifest.json is not JSON in UTF-8: "),
    "a key twice": (b'{"run": "a", "run": "b"}', "manifest.json is not JSON in UTF-8: a key stands twice in one object"),
    "half a character": (b'{"partner": "\\ud800"}', "manifest.json is not JSON in UTF-8: "),
    "another digest": (FULL.to_json().replace(b'"r2"', b'"r3"'), "manifest.json: digest is stated as '"),
    "an upper-case digest": (
        FULL.to_json().replace(FULL.digest().encode(), FULL.digest().upper().encode()),
        "manifest.json: digest is stated as '",
    ),
    "a signature": (changed(signature="x"), "manifest.json: signature: Input should be an object"),
    "a float": (changed(sequence=2.0), "manifest.json: sequence: Input should be a valid integer"),
    "a boolean": (changed(sequence=True), "manifest.json: sequence: Input should be a valid integer"),
    "sequence 0": (changed(sequence=0), "manifest.json: sequence: Input should be greater than or equal to 1"),
    "a date and time": (changed(business_date="2024-05-02T00:00:00"), "manifest.json: business_date: Input should be a valid date"),
    "a date as seconds": (changed(business_date="1714521600"), "manifest.json: a date is not written as YYYY-MM-DD"),
    "another action": (changed(totals={"FK:SJP": {"MOVED": 1}}), "manifest.json: totals.FK:SJP.MOVED.[key]: Input should be 'NEW', "),
    "a negative total": (
        changed(totals={"FK:SJP": {"NEW": -1}}),
        "manifest.json: totals.FK:SJP.NEW: Input should be greater than or equal to 0",
    ),
    "a file elsewhere": (
        changed(files=[{"name": "../part-1.avro", "rows": 0, "bytes": 0, "sha256": "0" * 64}]),
        "manifest.json: files.0.name: String should match pattern",
    ),
}


@pytest.mark.parametrize(("raw", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_manifest_is_refused_by_its_place(raw: bytes, message: str) -> None:
    with pytest.raises(VerificationError) as refused:
        Manifest.from_json(raw)
    assert str(refused.value).startswith(message)
