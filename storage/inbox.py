"""What lies in the inbox: folders with a `_drop.json` (R1, R2). Nothing here is ever changed by us."""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from schemas.config import REGISTER
from schemas.errors import BrokenFileError
from storage.place import place

HEAD = "_drop.json"
NAME_BYTES = 255  # of a file, as far as file systems go
MOST_ROWS = 1 << 53  # numbers of JSON are whole up to here
DIGEST = re.compile(r"[0-9a-fA-F]{64}")
Dataset = Literal["facts", "persons", "orders"]


@dataclass(frozen=True)
class DropFile:
    """A file as `_drop.json` promises it."""

    name: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Drop:
    """A folder of the inbox by its `_drop.json`. fault: why it is broken by its head alone, or empty."""

    name: str
    folder: str
    sha256: str
    dataset: Dataset
    business_date: date
    benefit: str | None = None
    partner: str | None = None
    previous: date | None = None
    files: tuple[DropFile, ...] = ()
    fault: str = ""

    @property
    def rows(self) -> int:
        """Rows of all files, as promised."""
        return sum(file.rows for file in self.files)

    @property
    def chain(self) -> str | None:
        """The chain that the drop belongs to (R3); None for orders."""
        return REGISTER if self.dataset == "persons" else self.benefit if self.dataset == "facts" else None


@dataclass(frozen=True)
class Oddity:
    """A folder that is no drop, and why; it is left alone and reported."""

    name: str
    state: Literal["pending", "unreadable"]
    reason: str


def scan(inbox: Path) -> Iterator[Drop | Oddity]:
    """Every folder of the inbox, by name."""
    for folder in sorted(inbox.iterdir()) if inbox.exists() else ():
        if folder.is_dir() and not folder.name.startswith("."):
            yield read_head(folder) if is_text(folder.name) else nameless(folder)


def is_text(name: str) -> bool:
    """Whether a string can be written as UTF-8; names of files and JSON's escapes can hold what cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def nameless(folder: Path) -> Oddity:
    """A folder whose name is not UTF-8, under one that can be told."""
    name = os.fsencode(folder.name).decode("utf-8", "backslashreplace")
    if not (folder / HEAD).is_file():
        return Oddity(name, "pending", f"R1: drop '{name}': no {HEAD} yet")
    return Oddity(name, "unreadable", f"R2: drop '{name}': the folder's name is not UTF-8, and a manifest could not name it")


def read_head(folder: Path) -> Drop | Oddity:
    """A folder's head as a drop, or what keeps it from being one."""
    path = folder / HEAD
    if not path.is_file():
        return Oddity(folder.name, "pending", f"R1: drop '{folder.name}': no {HEAD} yet")
    data = path.read_bytes()
    doubled: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        doubled.extend(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        return dict(pairs)

    try:
        head = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError):  # also a number of more digits than Python takes
        return Oddity(folder.name, "pending", f"R1: drop '{folder.name}': {HEAD} is not JSON yet")
    if not isinstance(head, dict):
        return Oddity(folder.name, "unreadable", f"R2: drop '{folder.name}': {HEAD} is not an object")
    found = parse_head(folder, head, hashlib.sha256(data).hexdigest())
    if doubled and isinstance(found, Drop):
        fault = f"R2: drop '{folder.name}': {HEAD}: key {doubled[0]!r} stands there twice"
        whose = set(doubled) & {"dataset", "business_date", "benefit", "partner"}
        return Oddity(folder.name, "unreadable", fault) if whose else replace(found, fault=found.fault or fault)
    return found


def parse_head(folder: Path, head: Mapping[str, Any], digest: str) -> Drop | Oddity:
    """R2: without the keys it is broken if chain and date can be read, else left alone."""
    dataset, day = head.get("dataset"), iso_date(head.get("business_date"))
    place = f"R2: drop '{folder.name}': {HEAD}"
    if dataset not in ("facts", "persons", "orders"):
        return Oddity(folder.name, "unreadable", f"{place}: dataset {dataset!r} is not one of facts, persons, orders")
    if day is None:
        return Oddity(folder.name, "unreadable", f"{place}: business_date {head.get('business_date')!r} is not YYYY-MM-DD")
    owner = {"facts": "benefit", "orders": "partner"}.get(dataset)
    if owner and not isinstance(head.get(owner), str):
        return Oddity(folder.name, "unreadable", f"{place}: {owner} is missing")
    if owner and not is_text(head[owner]):
        return Oddity(folder.name, "unreadable", f"{place}: {owner} {head[owner]!r} is no text")
    previous, fault = head.get("previous_business_date"), ""
    if previous is not None and iso_date(previous) is None:
        fault = f"{place}: previous_business_date {previous!r} is not YYYY-MM-DD"
    try:
        files = tuple(parse_file(entry) for entry in parse_files(head))
    except BrokenFileError as error:
        files, fault = (), fault or f"{place}: {error}"
    benefit, partner = (head[key] if owner == key else None for key in ("benefit", "partner"))
    return Drop(folder.name, str(folder), digest, dataset, day, benefit, partner, iso_date(previous), files, fault)


def parse_files(head: Mapping[str, Any]) -> list[Any]:
    """The list `files`, each name once."""
    if not isinstance(head.get("source"), str):
        raise BrokenFileError("source is missing")
    files = head.get("files")
    if not isinstance(files, list):
        raise BrokenFileError("files is missing")
    names = Counter(name for entry in files if isinstance(entry, dict) and isinstance(name := entry.get("name"), str))
    for name, times in names.items():
        if times > 1:
            raise BrokenFileError(f"files: {name!r} is named twice")
    return files


def parse_file(entry: Any) -> DropFile:
    """One entry of `files`."""
    if not isinstance(entry, dict):
        raise BrokenFileError(f"files: {entry!r} is not an object")
    name, rows, digest = entry.get("name"), entry.get("rows"), entry.get("sha256")
    if not isinstance(name, str) or not is_file_name(name):
        raise BrokenFileError(f"files: name {name!r} is not a plain file name")
    if not isinstance(rows, int) or isinstance(rows, bool) or not 0 <= rows < MOST_ROWS:
        raise BrokenFileError(f"files: {name}: rows {rows!r} is not a number of rows")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise BrokenFileError(f"files: {name}: sha256 is missing, or not 64 hexadecimal digits")
    return DropFile(name, rows, digest)


def is_file_name(name: str) -> bool:
    """Whether a name can be that of a drop's file, in its folder."""
    if not is_text(name) or len(name.encode()) > NAME_BYTES or "\0" in name:
        return False
    return bool(name) and "/" not in name and "\\" not in name and name not in (".", "..", HEAD)


def iso_date(text: Any) -> date | None:
    """A date written YYYY-MM-DD, else None."""
    if not isinstance(text, str) or len(text) != 10 or text[4] != "-" or text[7] != "-":
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def check_file(drop: Drop, file: DropFile) -> Path:
    """The path of a drop's file once its digest is found right. BrokenFileError otherwise."""
    path = place(drop.folder) / file.name
    if not path.is_file():
        raise BrokenFileError(f"R2: drop '{drop.name}': {file.name} is not there")
    try:
        with path.open("rb") as data:
            digest = hashlib.file_digest(data, "sha256").hexdigest()
    except PermissionError as error:
        raise BrokenFileError(f"R2: drop '{drop.name}': {file.name} may not be read: {error.strerror}") from error
    if digest != file.sha256.lower():
        raise BrokenFileError(f"R2: drop '{drop.name}': {file.name} has sha256 {digest[:12]}…, {HEAD} says {file.sha256[:12]}…")
    return path
