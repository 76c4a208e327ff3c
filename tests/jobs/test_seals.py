"""Seals: whoever has the key list knows that a delivery was made by the service, for this partner, and not changed since."""

import base64
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from schemas.manifest import digest_of
from storage import seals
from tests.kit import ANNA, World

FIRST, SECOND, THIRD = "2024-05-21", "2024-05-22", "2024-05-23"
Document = dict[str, Any]


def key(world: World, name: str, *arguments: str, code: int = 0) -> Document:
    """Run `lefi key`, on a file beside the workspace."""
    path = world.root.with_name(name)
    root, world.root = world.root, path
    try:
        ran = world.lefi("key", *arguments, "--json", code=code)
    finally:
        world.root = root
    return dict(ran.json) if code == 0 else {"err": ran.err}


def receive(world: World, partner: str, keys: Path | None, code: int = 0, state: str = "picture", outbox: Path | None = None) -> str:
    """Be a partner that has a key list. Returns what was said."""
    root, world.root = world.root, outbox or world.root / "outbox" / partner
    try:
        ran = world.lefi("receive", str(root.with_name(f"{state}-{partner}.duckdb")), *(["--keys", str(keys)] if keys else []), code=code)
    finally:
        world.root = root
    return ran.err


@pytest.fixture
def signed(world: World) -> World:
    """Two partners, and two nights that are signed."""
    world.partner("BOLAGET", "FK:SJP")
    world.partner("KASSAN", "FK:SJP")
    key(world, "signing.pem", "--publish", str(world.root.with_name("keys.json")), "--valid-from", FIRST)
    for partner in ("BOLAGET", "KASSAN"):
        world.subscribe(partner, ANNA, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-10")
    world.night(FIRST, 0, (), *signing(world))
    world.payment(ANNA, "FK:SJP", "P", "2024-05-01", "2024-05-10")
    world.night(SECOND, 0, (), *signing(world))
    return world


def signing(world: World, name: str = "signing.pem") -> tuple[str, str]:
    """The option that signs a night."""
    return "--signing-key", str(world.root.with_name(name))


def keys_of(world: World) -> Path:
    """The key list that the partners have."""
    return world.root.with_name("keys.json")


def test_a_signed_delivery_is_taken_with_and_without_a_key_list(signed: World) -> None:
    receive(signed, "BOLAGET", keys_of(signed))
    receive(signed, "KASSAN", None)
    assert set(signed.manifest("BOLAGET")) - set(signed.manifest("BOLAGET", 1)) == set()
    assert signed.manifest("BOLAGET")["signature"]["key"] == json.loads(keys_of(signed).read_text())["keys"][0]["id"]


def test_the_seal_changes_nothing_but_itself(signed: World, tmp_path: Path) -> None:
    """R28: the files are the same bytes, and so is the digest that the next delivery names."""
    plain = World(tmp_path / "plain" / "ws", conf=signed.conf)
    shutil.rmtree(plain.root / "inbox")
    shutil.copytree(signed.root / "inbox", plain.root / "inbox")
    for tonight in (FIRST, SECOND):
        plain.lefi("nightly", "--business-date", tonight)
    for partner in ("BOLAGET", "KASSAN"):
        for sequence in (1, 2):
            bare = signed.manifest(partner, sequence)
            assert bare.pop("signature")["algorithm"] == "Ed25519"
            assert bare == plain.manifest(partner, sequence)
    parts = {name: digest for name, digest in signed.outbox().items() if not name.endswith("manifest.json")}
    assert parts
    assert parts.items() <= plain.outbox().items()


@pytest.mark.parametrize("place", ["commit.before", *(pytest.param(place, marks=pytest.mark.slow) for place in ("verify", "publish:2"))])
def test_a_night_that_was_killed_is_signed_with_the_same_bytes(signed: World, place: str) -> None:
    signed.payment(ANNA, "FK:SJP", "Q", "2024-05-02", "2024-05-10")
    signed.drops(THIRD)
    twin = signed.twin()
    twin.night(THIRD, 0, (), *signing(signed))
    signed.process("nightly", "--business-date", THIRD, *signing(signed), code=-9, failpoint=place)
    signed.night(THIRD, 0, (), *signing(signed))
    assert signed.outbox() == twin.outbox()


def test_the_key_is_nowhere_but_in_its_file(signed: World) -> None:
    text = signed.root.with_name("signing.pem").read_text().splitlines()[1]
    secret = Ed25519PrivateKey.from_private_bytes(base64.b64decode(text)[-32:]).private_bytes(
        Encoding.Raw, PrivateFormat.Raw, NoEncryption()
    )
    for path in signed.root.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert text.encode() not in data
            assert secret not in data
            assert secret.hex().encode() not in data


def resealed(path: Path, change: Callable[[Document], Document]) -> None:
    """Change a manifest, and make its digest right again, as somebody without the key would."""
    document = change(json.loads(path.read_text("utf-8")))
    path.write_text(json.dumps(document | {"digest": digest_of(document)}), "utf-8")


def unsigned(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "signature"}


def other_run(document: Document) -> Document:
    return document | {"run": f"{document['run']}-other"}


def cut(document: Document) -> Document:
    return document | {"signature": document["signature"] | {"value": document["signature"]["value"][:40]}}


def flipped(document: Document) -> Document:
    value = bytearray(base64.b64decode(document["signature"]["value"]))
    value[5] ^= 1
    return document | {"signature": document["signature"] | {"value": base64.b64encode(value).decode()}}


TAMPERED: Mapping[str, tuple[Callable[[Document], Document], str]] = {
    "the seal was taken off": (unsigned, "is not signed"),
    "the content was changed": (other_run, "the signature is not that of key"),
    "the seal was changed": (flipped, "the signature is not that of key"),
    "the seal was cut": (cut, "signature.value: String should match pattern"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_delivery_that_was_tampered_with_is_refused(signed: World, how: str) -> None:
    change, message = TAMPERED[how]
    resealed(signed.deliveries("BOLAGET")[1] / "manifest.json", change)
    said = receive(signed, "BOLAGET", keys_of(signed), code=4)
    assert "delivery BOLAGET 00000002, manifest.json" in said
    assert message in said


def test_a_delivery_cannot_be_given_to_another_partner(signed: World) -> None:
    """Renamed, with its digest made right and its seal left on: the chain and all files fit, the seal does not."""
    swapped = signed.root.with_name("swapped") / "KASSAN"
    shutil.copytree(signed.root / "outbox" / "BOLAGET", swapped)
    resealed(swapped / "00000001" / "manifest.json", lambda document: document | {"partner": "KASSAN"})
    assert "the signature is not that of key" in receive(signed, "KASSAN", keys_of(signed), 4, "swapped", swapped)
    shutil.rmtree(swapped)
    shutil.copytree(signed.root / "outbox" / "BOLAGET", swapped)
    assert "partner is 'BOLAGET', the folder is that of 'KASSAN'" in receive(signed, "KASSAN", keys_of(signed), 4, "swapped", swapped)


def test_a_seal_of_another_delivery_does_not_fit(signed: World) -> None:
    seal = signed.manifest("BOLAGET", 1)["signature"]
    resealed(signed.deliveries("BOLAGET")[1] / "manifest.json", lambda document: document | {"signature": seal})
    assert "the signature is not that of key" in receive(signed, "BOLAGET", keys_of(signed), code=4)


def test_a_key_that_the_partner_does_not_know_is_refused(signed: World) -> None:
    key(signed, "other.pem", "--publish", str(signed.root.with_name("others.json")))
    said = receive(signed, "BOLAGET", signed.root.with_name("others.json"), code=4)
    assert f"is signed with key {signed.manifest('BOLAGET')['signature']['key']}, which is not in the key list" in said


@pytest.mark.slow
def test_keys_rotate(signed: World) -> None:
    """The old one is valid for what it signed, for some days more, and then no longer; the partner takes all deliveries from the first on."""
    old = json.loads(keys_of(signed).read_text())["keys"][0]["id"]
    done = key(signed, "new.pem", "--publish", str(keys_of(signed)), "--valid-from", THIRD, "--overlap-days", "1")
    assert [(each["id"], each["valid_until"]) for each in done["keys"]] == [(old, THIRD), (done["id"], None)]
    signed.night(THIRD, 0, (), *signing(signed))
    receive(signed, "BOLAGET", keys_of(signed))
    signed.night("2024-05-24", 0, (), *signing(signed, "new.pem"))
    receive(signed, "BOLAGET", keys_of(signed))
    receive(signed, "BOLAGET", keys_of(signed), state="anew")
    signed.night("2024-05-25", 0, (), *signing(signed))
    said = receive(signed, "BOLAGET", keys_of(signed), code=4)
    assert (
        f"delivery BOLAGET 00000005, manifest.json: is signed with key {old}, valid from {FIRST} until {THIRD}, and dated 2024-05-25"
        in said
    )


@pytest.mark.slow
def test_a_key_that_is_published_again_changes_no_other_and_keeps_its_own_end(signed: World) -> None:
    key(signed, "new.pem", "--publish", str(keys_of(signed)), "--valid-from", THIRD, "--overlap-days", "1")
    rotated = json.loads(keys_of(signed).read_text())
    for arguments in (
        ("new.pem", "--valid-from", THIRD, "--overlap-days", "1"),
        ("new.pem",),
        ("signing.pem",),
        ("signing.pem", "--valid-from", FIRST),
    ):
        key(signed, *arguments, "--publish", str(keys_of(signed)))
        assert json.loads(keys_of(signed).read_text()) == rotated, arguments


@pytest.mark.slow
def test_a_new_key_does_not_sign_what_is_older(signed: World) -> None:
    key(signed, "new.pem", "--publish", str(keys_of(signed)), "--valid-from", "2024-06-01")
    signed.night(THIRD, 0, (), *signing(signed, "new.pem"))
    assert "valid from 2024-06-01 until further notice" in receive(signed, "BOLAGET", keys_of(signed), code=4)


@pytest.mark.slow
def test_nobody_stops_signing_by_mistake(signed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = signed.night(THIRD, 2)
    assert "the last delivery to BOLAGET was signed, and there is no key: set LEFI_SIGNING_KEY or --signing-key" in ran.err
    twin = signed.twin()
    twin.night(THIRD, 0, (), "--unsigned")
    assert "signature" not in twin.manifest("BOLAGET")
    monkeypatch.setenv("LEFI_SIGNING_KEY", signed.root.with_name("signing.pem").read_text())
    signed.night(THIRD)
    assert "signature" in signed.manifest("BOLAGET")
    monkeypatch.setenv("LEFI_KEYS", str(keys_of(signed)))
    receive(signed, "BOLAGET", None)


@pytest.mark.slow
def test_a_partner_that_left_is_not_asked_for_a_key(signed: World) -> None:
    del signed.conf["BOLAGET"]
    signed.write_conf()
    signed.night(THIRD, 0, (), "--unsigned")
    signed.night("2024-05-24")


def test_a_damaged_manifest_in_the_outbox_is_named(signed: World) -> None:
    (signed.deliveries("BOLAGET")[-1] / "manifest.json").write_text("{}", "utf-8")
    said = signed.night(THIRD, 3).err
    assert f"outbox/BOLAGET/{signed.deliveries('BOLAGET')[-1].name}: manifest.json" in said
    assert "bring the delivery back as it was published" in said


def bad_keys() -> Mapping[str, tuple[bytes, str]]:
    """Files that are no signing key, and what is said of them."""
    private = Ed25519PrivateKey.generate()
    locked = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    other = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "nothing": (b"", "not a private key in PEM"),
        "another text": (b"S3CRET", "not a private key in PEM"),
        "with a pass phrase": (locked, "not a private key in PEM without a pass phrase"),
        "another kind": (other, "another kind of key than Ed25519"),
        "damaged": (b"-----BEGIN PRIVATE KEY-----\nS3CRET\n-----END PRIVATE KEY-----\n", "not a private key in PEM"),
    }


@pytest.mark.parametrize("what", bad_keys())
def test_what_is_no_key_is_refused_and_not_said(world: World, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    data, message = bad_keys()[what]
    path = world.root.with_name("bad.pem")
    path.write_bytes(data)
    path.chmod(0o600)
    ran = world.night(FIRST, 2, (), "--signing-key", str(path))
    assert message in ran.err
    assert "S3CRET" not in ran.err
    if data.startswith(b"-----BEGIN"):
        monkeypatch.setenv("LEFI_SIGNING_KEY", data.decode())
        assert message in world.night(FIRST, 2).err


def test_a_key_that_others_may_read_is_refused(signed: World) -> None:
    path = signed.root.with_name("signing.pem")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    assert f"chmod 600 {path}" in signed.night(THIRD, 2, (), *signing(signed)).err
    assert "No such file" in signed.night(THIRD, 2, (), *signing(signed, "nowhere.pem")).err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "{", "the whole file: Invalid JSON"),
        (lambda text: text.replace('"public"', '"private"'), "keys.0.public: Field required"),
        (lambda text: text.replace('"public": "', '"public": "AAAA'), "its id is not that of its bytes"),
        (lambda text: text.replace("2024-05-21", "yesterday"), "keys.0.valid_from: Input should be a valid date"),
    ],
)
def test_a_key_list_that_is_none_is_refused(signed: World, change: Callable[[str], str], message: str) -> None:
    keys_of(signed).write_text(change(keys_of(signed).read_text()))
    assert message in receive(signed, "BOLAGET", keys_of(signed), code=2)


def test_a_key_is_made_once_and_shown_after(world: World) -> None:
    first = key(world, "signing.pem")
    assert first["made"]
    again = key(world, "signing.pem")
    assert (again["made"], again["id"]) == (False, first["id"])
    assert "--valid-from goes with --publish" in key(world, "signing.pem", "--valid-from", FIRST, code=2)["err"]


def test_the_signature_is_that_of_the_standard(world: World) -> None:
    """A partner needs no code of ours: the signed text is a prefix and the digest, the key 32 bytes in base64 (docs/security.md)."""
    made = seals.Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert (
        base64.b64encode(made.public).decode() == "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="
    )  # RFC 8032's arithmetic on the zero seed


# Encrypted on the way


def age_keys(folder: Path) -> tuple[str, Path]:
    """A partner's age key, and the file with its secret half."""
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    path = folder / "partner.key"
    path.write_text(f"# made by a test\n{identity}\n")
    return str(identity.to_public()), path


def run_at(world: World, command: str, at: Path, *arguments: str, code: int = 0) -> Any:
    """Run a command whose first argument is another folder."""
    root, world.root = world.root, at
    try:
        return world.lefi(command, *arguments, code=code)
    finally:
        world.root = root


def test_only_the_partner_opens_what_was_encrypted_for_it(signed: World, tmp_path: Path) -> None:
    public, secret = age_keys(tmp_path)
    sent, home = tmp_path / "sent", tmp_path / "home" / "BOLAGET"
    done = signed.lefi("export", "--partner", "BOLAGET", "--to", str(sent), "--recipient", public, "--json").json
    assert done["exported"] == [1, 2]
    assert not any(ANNA.encode() in path.read_bytes() or b"Obj\x01" in path.read_bytes() for path in sent.iterdir())
    assert run_at(signed, "unpack", sent, str(home), "--identity", str(secret), "--json").json["opened"] == [1, 2]
    for path in (signed.root / "outbox" / "BOLAGET").rglob("*.*"):
        assert (home / path.parent.name / path.name).read_bytes() == path.read_bytes()
    receive(signed, "BOLAGET", keys_of(signed), outbox=home)
    other = tmp_path / "other"
    other.mkdir()
    said = run_at(signed, "unpack", sent, str(tmp_path / "thief" / "BOLAGET"), "--identity", str(age_keys(other)[1]), code=4).err
    assert "BOLAGET-00000001.tar.age: cannot be opened: it is for another key, or was changed or cut" in said
    assert not list((tmp_path / "thief").rglob("*.*"))


@pytest.mark.slow
def test_an_export_goes_on_where_it_was(signed: World, tmp_path: Path) -> None:
    public, secret = age_keys(tmp_path)
    (tmp_path / "partner.pub").write_text(f"{public}\n")
    sent = tmp_path / "sent"
    arguments = ("--partner", "BOLAGET", "--to", str(sent), "--recipient", str(tmp_path / "partner.pub"), "--json")
    signed.lefi("export", *arguments)
    signed.night(THIRD, 0, (), *signing(signed))
    again = signed.lefi("export", *arguments).json
    assert (again["exported"], again["kept"]) == ([3], [1, 2])
    home = tmp_path / "BOLAGET"
    run_at(signed, "unpack", sent, str(home), "--identity", str(secret))
    assert run_at(signed, "unpack", sent, str(home), "--identity", str(secret), "--json").json["opened"] == []


@pytest.mark.parametrize("how", ["cut", "changed", "emptied"])
def test_a_damaged_archive_is_refused_and_leaves_nothing(signed: World, tmp_path: Path, how: str) -> None:
    public, secret = age_keys(tmp_path)
    sent = tmp_path / "sent"
    signed.lefi("export", "--partner", "BOLAGET", "--to", str(sent), "--recipient", public)
    path = sent / "BOLAGET-00000001.tar.age"
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-500], "changed": data[:400] + bytes([data[400] ^ 1]) + data[401:], "emptied": b""}[how])
    assert "cannot be opened" in run_at(signed, "unpack", sent, str(tmp_path / "home" / "BOLAGET"), "--identity", str(secret), code=4).err
    assert not list((tmp_path / "home").rglob("*.avro"))


def test_the_outbox_is_no_place_for_archives_and_keys_are_not_said(signed: World, tmp_path: Path) -> None:
    public, secret = age_keys(tmp_path)
    inside = str(signed.root / "outbox" / "BOLAGET" / "sent")
    assert (
        "the outbox holds deliveries only"
        in signed.lefi("export", "--partner", "BOLAGET", "--to", inside, "--recipient", public, code=2).err
    )
    bad = tmp_path / "bad"
    bad.write_text("AGE-SECRET-KEY-1NONSENSE\n")
    for arguments in (
        ("--recipient", str(bad)),
        ("--recipient", str(secret)),
        ("--recipient", "age1nonsense"),
        ("--recipient", str(tmp_path / "no")),
    ):
        said = signed.lefi("export", "--partner", "BOLAGET", "--to", str(tmp_path / "x"), *arguments, code=2).err
        assert "SECRET-KEY" not in said.replace("AGE-SECRET-KEY-1...", "")
    (tmp_path / "none").write_text("# created: 2026-01-05\n")
    assert (
        "there is no key in it"
        in run_at(signed, "unpack", tmp_path, str(tmp_path / "BOLAGET"), "--identity", str(tmp_path / "none"), code=2).err
    )
    said = run_at(signed, "unpack", tmp_path, str(tmp_path / "BOLAGET"), "--identity", str(bad), code=2).err
    assert "NONSENSE" not in said
    assert "has no deliveries" in signed.lefi("export", "--partner", "NOBODY", "--to", str(tmp_path), "--recipient", public, code=3).err
