"""Seals: an Ed25519 signature over a manifest's digest, so that a partner knows who made a delivery.

A *signing key* is a file in PEM (PKCS #8), readable by its owner alone. Its public half stands in a *key list*, which the partners have:
JSON, `{"keys": [{"id", "algorithm", "public", "valid_from", "valid_until"}]}`, public in base64, dates inclusive or null. Ed25519 needs no chance,
so the same key and digest give the same bytes (R28).
"""

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import RefusedError, UsageError, VerificationError
from schemas.manifest import Manifest, Signature
from storage import durable

PREFIX = "lefi.v1 manifest "  # so that a signature made for something else is none for a manifest
PEM = "-----BEGIN"


class PublicKey(BaseModel):
    """A key that deliveries of some business dates may be signed with; both dates included, null: no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    algorithm: Literal["Ed25519"]
    public: str
    valid_from: date | None = None
    valid_until: date | None = None

    def loaded(self) -> Ed25519PublicKey:
        """The key itself. ValueError when it is none, or has another id."""
        raw = base64.b64decode(self.public, validate=True)
        if id_of(raw) != self.id:
            raise ValueError(f"key {self.id}: its id is not that of its bytes")
        return Ed25519PublicKey.from_public_bytes(raw)


class KeyList(BaseModel):
    """The keys that a partner takes deliveries of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[PublicKey, ...]


@dataclass(frozen=True)
class Signer:
    """A signing key."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """Its public half, 32 bytes."""
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sealed(self, manifest: Manifest) -> Manifest:
        """A manifest with this key's signature."""
        value = base64.b64encode(self.private.sign(message(manifest))).decode()
        return manifest.model_copy(update={"signature": Signature(algorithm="Ed25519", key=id_of(self.public), value=value)})

    def entry(self, valid_from: date | None) -> PublicKey:
        """Its public half, for a key list."""
        public = base64.b64encode(self.public).decode()
        return PublicKey(id=id_of(self.public), algorithm="Ed25519", public=public, valid_from=valid_from)


def message(manifest: Manifest) -> bytes:
    """What is signed: partner, sequence and files are all in the digest."""
    return f"{PREFIX}{manifest.digest()}".encode()


def id_of(public: bytes) -> str:
    """The id of a key: the first 16 digits of the sha256 of its public half."""
    return hashlib.sha256(public).hexdigest()[:16]


def signer_from(place: str | None) -> Signer | None:
    """The signing key that a setting names: a file, or the PEM text itself; None when it is not set. UsageError when it is none, without its text."""
    if not place:
        return None
    if place.lstrip().startswith(PEM):
        return read_private(place.encode(), "the signing key")
    path = Path(place)
    try:
        data, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise UsageError(f"signing key {place}: {error.strerror}") from error
    if mode & 0o077:
        raise UsageError(f"signing key {place}: others than its owner may read it: chmod 600 {place}")
    return read_private(data, f"signing key {place}")


def read_private(data: bytes, where: str) -> Signer:
    """A private key from PEM. UsageError says where it stood, never what."""
    try:
        private = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{where}: not a private key in PEM without a pass phrase: make one with `lefi key FILE`") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError(f"{where}: another kind of key than Ed25519: make one with `lefi key FILE`")
    return Signer(private)


def make(path: Path) -> Signer:
    """Write a new signing key to a file that only its owner may read. RefusedError when there is a file."""
    private = Ed25519PrivateKey.generate()
    data = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise RefusedError(f"{path} is there already") from error
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    durable.sync_folder(path.parent)
    return Signer(private)


def read_keys(path: Path) -> KeyList:
    """A key list. UsageError when it is none."""
    try:
        found = KeyList.model_validate_json(path.read_bytes())
        for key in found.keys:
            key.loaded()
    except OSError as error:
        raise UsageError(f"key list {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise UsageError(f"key list {path}: {'.'.join(map(str, first['loc'])) or 'the whole file'}: {first['msg']}") from error
    except ValueError as error:
        raise UsageError(f"key list {path}: {error}") from error
    return found


def publish(path: Path, entry: PublicKey, overlap_days: int) -> KeyList:
    """Put a key into a key list; those before it end `overlap_days` after it begins, if they do not end before. The file is made when it is not there.

    A key that is in the list stays where it is, and ends as it does. UsageError for an overlap beyond the calendar.
    """
    known: Sequence[PublicKey] = read_keys(path).keys if path.exists() else ()
    listed = next((key for key in known if key.id == entry.id), entry)
    begins = entry.valid_from or listed.valid_from
    entry = entry.model_copy(update={"valid_from": begins, "valid_until": listed.valid_until})
    keys = [entry if key.id == entry.id else key for key in known] + ([] if listed in known else [entry])
    if begins:
        try:
            end = begins + timedelta(days=overlap_days - 1)
        except OverflowError as error:
            raise UsageError(f"--overlap-days {overlap_days}: {begins} and so many days are beyond the year 9999") from error
        keys = [
            key.model_copy(update={"valid_until": min(key.valid_until or end, end)}) if (key.valid_from or date.min) < begins else key
            for key in keys
        ]
    made = KeyList(keys=tuple(keys))
    durable.write_file(path, (json.dumps(made.model_dump(mode="json"), indent=1) + "\n").encode())
    return made


def verify(manifest: Manifest, keys: KeyList, where: str) -> None:
    """Check that a delivery is signed with one of the keys, on a date on which that is valid. VerificationError says what is wrong."""
    seal = manifest.signature
    if seal is None:
        raise VerificationError(f"{where}: is not signed")
    key = next((key for key in keys.keys if key.id == seal.key), None)
    if key is None:
        raise VerificationError(f"{where}: is signed with key {seal.key}, which is not in the key list")
    if not (key.valid_from or date.min) <= manifest.business_date <= (key.valid_until or date.max):
        raise VerificationError(
            f"{where}: is signed with key {seal.key}, valid from {key.valid_from or 'the beginning'} until {key.valid_until or 'further notice'}, "
            f"and dated {manifest.business_date}"
        )
    try:
        key.loaded().verify(base64.b64decode(seal.value), message(manifest))
    except InvalidSignature as error:
        raise VerificationError(
            f"{where}: the signature is not that of key {seal.key}: the delivery was not made by whoever has it"
        ) from error
