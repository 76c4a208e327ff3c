"""Deliveries as archives that only one partner can open: a tar of the delivery's folder, encrypted with age (age-encryption.org/v1).

They are made beside the outbox, not in it: age takes a new random key for each file, so the same delivery is never the same bytes (R28),
and the outbox holds nothing but what the contract names.
"""

import io
import os
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyrage

from schemas.errors import UsageError, VerificationError
from storage import durable, outbox

ENDING = ".tar.age"
NAME = re.compile(r"(?P<partner>.+)-(?P<sequence>[0-9]{8})\.tar\.age")
MEMBER = re.compile(r"[0-9]{8}/(?:manifest\.json|receipts\.avro|part-[0-9A-Za-z_-]+\.avro)")
COPY_BYTES = 1 << 20
Key = Any  # pyrage has no types


def recipients_in(texts: Sequence[str]) -> list[Key]:
    """The partner's keys, each given as it is (age1...) or as a file with one on a line. UsageError when there is none."""
    lines = [line for text in texts for line in ([text] if text.startswith("age1") else lines_of(text, "--recipient"))]
    try:
        found = [pyrage.x25519.Recipient.from_str(line) for line in lines]
    except pyrage.RecipientError as error:
        raise UsageError(f"--recipient: not an age key (age1...): {error}") from error
    if not found:
        raise UsageError("--recipient: there is no key in it")
    return found


def identities_in(path: str) -> list[Key]:
    """The partner's secret keys, from a file with one on a line. UsageError, which never has the text, also when there is none."""
    try:
        found = [pyrage.x25519.Identity.from_str(line) for line in lines_of(path, "--identity")]
    except pyrage.IdentityError as error:
        raise UsageError(f"--identity {path}: not an age secret key (AGE-SECRET-KEY-1...)") from error
    if not found:
        raise UsageError(f"--identity {path}: there is no key in it")
    return found


def lines_of(path: str, option: str) -> list[str]:
    """The lines of a file that are no comments."""
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{option} {path}: cannot be read as text") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def pack(delivery: Path, archive: Path, recipients: Sequence[Key]) -> None:
    """Write a published delivery as an archive, under another name until it is whole."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    temporary = archive.with_name(f".{archive.name}{durable.TEMPORARY}")
    with durable.writing(temporary), temporary.open("wb") as target, piped(lambda sink: write_tar(delivery, sink)) as source:
        pyrage.encrypt_io(source, target, list(recipients))
        target.flush()
        os.fsync(target.fileno())
    durable.move(temporary, archive)


def write_tar(delivery: Path, sink: IO[bytes]) -> None:
    """The files of a delivery, the manifest last, without anything of the machine they lie on."""
    with tarfile.open(fileobj=sink, mode="w|") as tar:
        for path in [*outbox.files_of(delivery), delivery / outbox.MANIFEST]:
            member = tarfile.TarInfo(f"{delivery.name}/{path.name}")
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(member, file)


def unpack(archive: Path, partner: Path, identities: Sequence[Key]) -> bool:
    """Open an archive into a partner's folder of deliveries; False when the delivery is there already. VerificationError when it cannot be opened."""
    named = NAME.fullmatch(archive.name)
    if not named:
        raise UsageError(f"{archive.name} is not named PARTNER-SEQUENCE{ENDING}")
    place = partner / named["sequence"]
    if place.exists():
        return False
    unfinished = partner.with_name(f".{partner.name}.unpacking")
    durable.remove(unfinished)
    unfinished.mkdir(parents=True)
    try:
        with archive.open("rb") as source, piped(lambda sink: decrypt(source, sink, identities)) as opened:
            read_tar(opened, unfinished, named["sequence"])
        durable.sync_tree(unfinished)
        durable.move(unfinished / named["sequence"], place)
    except (pyrage.DecryptError, tarfile.TarError) as error:
        raise VerificationError(f"{archive.name}: cannot be opened: it is for another key, or was changed or cut on the way") from error
    finally:
        durable.remove(unfinished)
    return True


def decrypt(source: IO[bytes], sink: IO[bytes], identities: Sequence[Key]) -> None:
    """Decrypt as it is read. tarfile.ReadError when the archive ends too early or was changed, as which age tells it by an OSError."""
    try:
        pyrage.decrypt_io(source, sink, list(identities))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise tarfile.ReadError from error


def read_tar(opened: IO[bytes], folder: Path, sequence: str) -> None:
    """Write out the files of a delivery; of an archive that holds anything else, nothing is believed."""
    with tarfile.open(fileobj=opened, mode="r|") as tar:
        for member in tar:
            if not (member.isreg() and MEMBER.fullmatch(member.name) and member.name.startswith(f"{sequence}/")):
                raise tarfile.TarError("another file than those of the delivery")
            data = tar.extractfile(member) or io.BytesIO()
            path = folder / member.name
            path.parent.mkdir(exist_ok=True)
            with durable.writing(path), path.open("wb") as file:
                while piece := data.read(COPY_BYTES):
                    file.write(piece)
            durable.sync_file(path)
    if not (folder / sequence / outbox.MANIFEST).exists():
        raise tarfile.TarError("no manifest")


@contextmanager
def piped(produce: Callable[[IO[bytes]], object]) -> Iterator[IO[bytes]]:
    """Read what a function writes, while it writes it; its error is raised here."""
    reading, writing = os.pipe()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with os.fdopen(writing, "wb") as sink:
                produce(sink)
        except BrokenPipeError:
            pass  # the reader has ended, and says why
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits for it
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with os.fdopen(reading, "rb") as source:
            yield source
    finally:
        thread.join()
        if failed:
            raise failed[0]
