"""The manifest of a delivery (contract, section 4): its keys, its canonical digest, its bytes."""

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import VerificationError

Action = Literal["NEW", "CORRECTED", "ANNULLED", "SNAPSHOT", "EMPTY", "DEVIATION"]
Text = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Ordinal = Annotated[int, Field(ge=1, lt=2**31)]


class Part(BaseModel):
    """What all parts of a manifest have in common: frozen, no other keys, no conversion of types."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Previous(Part):
    """The delivery before, by sequence and digest."""

    sequence: Ordinal
    digest: Sha256


class Input(Part):
    """A drop that was consumed. sha256: of its `_drop.json`."""

    drop: Text
    sha256: Sha256


class FileEntry(Part):
    """A file of the delivery: rows, size in bytes, sha256 of the whole file."""

    name: Annotated[str, Field(pattern=r"^(part-[0-9A-Za-z_-]+|receipts)\.avro$")]
    rows: Count
    bytes: Count
    sha256: Sha256


class Withheld(Part):
    """A benefit (or PERSONS) of which nothing could be delivered tonight (R4). since: first night of the present row."""

    benefit: Text
    code: Text
    text: str
    since: date


class RefreshSlice(Part):
    """A refresh that was worked on tonight (R17). slice: from 1; of: this one and those still needed at tonight's throttle."""

    order_id: str
    line_no: Annotated[int, Field(ge=-(2**31), lt=2**31)]
    slice: Ordinal
    of: Ordinal


class Signature(Part):
    """The seal of a delivery: who signed its digest, by the id of the key, and the signature in base64."""

    algorithm: Literal["Ed25519"]
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    value: Annotated[str, Field(pattern=r"^[0-9A-Za-z+/]{86}==$")]


class Manifest(Part):
    """What a delivery says of itself. totals: benefit -> action -> records; signature: beside the digest, and not covered by it."""

    partner: Text
    sequence: Ordinal
    previous: Previous | None
    business_date: date
    previous_business_date: date | None
    run: Text
    inputs: tuple[Input, ...]
    files: tuple[FileEntry, ...]
    totals: dict[str, dict[Action, Count]]
    withheld: tuple[Withheld, ...]
    refreshes: tuple[RefreshSlice, ...]
    signature: Signature | None = None

    def bare(self) -> dict[str, Any]:
        """What the digest covers."""
        return self.model_dump(mode="json", exclude={"signature"})

    def digest(self) -> str:
        """Lower-case hex sha256 of the canonical JSON (contract, section 4)."""
        return digest_of(self.bare())

    def to_json(self) -> bytes:
        """The bytes of manifest.json: indented, keys in the contract's order, then `digest`, then `signature` if there is one, a newline at the end."""
        document = self.bare() | {"digest": self.digest()}
        if self.signature:
            document["signature"] = self.signature.model_dump(mode="json")
        return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """Read manifest.json. Raises VerificationError unless it has exactly the contract's keys and its digest is right."""
        try:
            document = json.loads(raw.decode(), object_pairs_hook=without_repeats)
            if not isinstance(document, dict):
                raise VerificationError("manifest.json is not a JSON object")
            actual, stated = digest_of(document), document.pop("digest", None)
            manifest = cls.model_validate_json(json.dumps(document))
        except ValidationError as error:
            raise VerificationError(f"manifest.json: {explain(error)}") from error
        except (ValueError, RecursionError) as error:
            raise VerificationError(f"manifest.json is not JSON in UTF-8: {error}") from error
        if stated != actual:
            raise VerificationError(f"manifest.json: digest is stated as {stated!r}, its content has {actual}")
        if document.pop("signature", ...) is None:
            raise VerificationError("manifest.json: signature is null: it is there or not, but never null")
        if manifest.bare() != document:
            raise VerificationError("manifest.json: a date is not written as YYYY-MM-DD")
        return manifest


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of manifest.json."""
    schema = Manifest.model_json_schema()
    schema["properties"] |= {"digest": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "see the contract, section 4"}}
    schema["properties"]["signature"] = {"$ref": "#/$defs/Signature"}  # there or not, but never null
    schema["required"].append("digest")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def digest_of(document: Mapping[str, Any]) -> str:
    """Digest of a manifest as parsed JSON, less `digest` and `signature`: keys sorted, no spaces, UTF-8 without escapes."""
    sealed = {key: value for key, value in document.items() if key not in {"digest", "signature"}}
    return hashlib.sha256(json.dumps(sealed, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are all different. Raises ValueError."""
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return dict(pairs)


def explain(error: ValidationError) -> str:
    """The first thing that is wrong, by its path: `files.0.rows: Input should be a valid integer`."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the document'}: {first['msg']}"
