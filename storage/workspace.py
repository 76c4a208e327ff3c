"""A workspace: where things lie, and the catalog that says what is true in it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from schemas import versions
from schemas.errors import LefiError, RefusedError, UsageError
from storage import durable
from storage.outbox import MANIFEST
from storage.place import is_remote

USUAL_BUCKETS, MOST_BUCKETS = 64, 65_536
FORMAT = 2  # 1 had no content_version; pipelines/upgrade.py brings it forward
FOLDERS = ("conf", "inbox", "outbox", "runs", "lake", "store", "staging")


@dataclass(frozen=True)
class LastDelivery:
    """What a partner's next manifest must follow."""

    sequence: int
    digest: str
    business_date: str

    @property
    def date(self) -> date:
        """Its business date."""
        return date.fromisoformat(self.business_date)


@dataclass(frozen=True)
class Catalog:
    """What is true in the workspace since the last settled night.

    night: how many there were; tables: the last night of each that any wrote to; content_version: of the ledger's digests; recoding: some of
    them may still be of an older one (pipelines/upgrade.py); doublings: the nights after which the number of buckets was doubled.
    """

    buckets: int
    night: int = 0
    run: str = ""
    business_date: date | None = None
    deliveries: Mapping[str, LastDelivery] = field(default_factory=dict)
    commands: int = 0
    tables: Mapping[str, int] = field(default_factory=dict)
    format: int = FORMAT
    content_version: int = 1
    recoding: bool = False
    doublings: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it stands in store/catalog.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Catalog":
        """The opposite of `to_json`; also of older formats. RefusedError for a newer one."""
        day = value["business_date"] if value["format"] <= FORMAT else None
        version = value.get("content_version", 1)
        if value["format"] > FORMAT or version > versions.CONTENT_VERSION:
            raise RefusedError(
                f"store/catalog.json has format {value['format']} and content version {version}, this lefi knows up to {FORMAT} and "
                f"{versions.CONTENT_VERSION}: the workspace belongs to a newer version"
            )
        return cls(
            buckets=value["buckets"],
            night=value["night"],
            run=value["run"],
            business_date=date.fromisoformat(day) if day else None,
            deliveries={name: LastDelivery(**last) for name, last in value["deliveries"].items()},
            commands=value["commands"],
            tables=value["tables"],
            format=value["format"],
            content_version=version,
            recoding=value.get("recoding", False),
            doublings=tuple(value.get("doublings", ())),
        )

    @property
    def first_buckets(self) -> int:
        """How many buckets there were at first."""
        return self.buckets >> len(self.doublings)

    def buckets_of(self, night: int) -> int:
        """How many buckets there were in a night."""
        return self.buckets >> sum(night <= after for after in self.doublings)

    @property
    def up_to_date(self) -> bool:
        """Whether the workspace is as this code writes it."""
        return self.format == FORMAT and self.content_version == versions.CONTENT_VERSION and not self.recoding

    def says_the_same(self, other: "Catalog") -> bool:
        """Whether it is of the same night, whatever versions wrote the two."""
        return replace(other, format=self.format, content_version=self.content_version, recoding=self.recoding) == self

    def followed_by(self, committed: "Catalog") -> "Catalog":
        """What a committed run makes of it. That the ledger is being recoded is not forgotten over it."""
        if not self.recoding:
            return committed
        return replace(committed, format=self.format, content_version=self.content_version, recoding=True)


@dataclass(frozen=True)
class Workspace:
    """The folders of contract section 1."""

    root: Path

    def __getattr__(self, name: str) -> Path:
        """A folder of the workspace by its name."""
        if name not in FOLDERS:
            raise AttributeError(name)
        return self.root / name

    def absolute(self) -> "Workspace":
        """The same one for processes with another current folder."""
        return self if is_remote(self.root) else Workspace(self.root.absolute())

    @property
    def erasing_file(self) -> Path:
        """What an erasure is about, as long as it is not complete."""
        return self.store / "erasing.json"

    @property
    def rebucketing_file(self) -> Path:
        """What a rebucketing is about, as long as it is not complete."""
        return self.store / "rebucketing.json"

    def interrupted(self) -> list[tuple[str, str]]:
        """What was begun and is not complete, and the command that completes it."""
        begun = ((self.erasing_file, "an erasure", "erase"), (self.rebucketing_file, "a rebucketing", "rebucket"))
        return [(what, command) for path, what, command in begun if path.exists()]

    @property
    def catalog_file(self) -> Path:
        """The one file that says what is settled."""
        return self.store / "catalog.json"

    def catalog(self) -> Catalog:
        """What is settled. UsageError when this is no workspace, RefusedError when a newer lefi made it, LefiError when it is damaged or lost."""
        if not self.catalog_file.exists():
            self.require_no_runs()
            raise UsageError(f"{self.root} is not a workspace (it has no store/catalog.json): make one with `lefi init {self.root}`")
        try:
            return Catalog.from_json(json.loads(self.catalog_file.read_text("utf-8")))
        except (ValueError, TypeError, KeyError) as error:
            raise LefiError(
                f"store/catalog.json is damaged: give `lefi rebuild {self.root}`; if no night has been run, remove store/ and give `lefi init`"
            ) from error

    def require_no_runs(self) -> None:
        """A workspace without a catalog must have no runs either. LefiError when it has: store/ was lost."""
        if any(self.runs.glob("*/commit.json")):
            raise LefiError(f"store/catalog.json is not there, and runs/ has runs: store/ was lost: give `lefi rebuild {self.root}`")

    def lost_deliveries(self, catalog: Catalog) -> list[str]:
        """A sentence for each partner of the last night of whom a delivery, or its manifest, is not in the outbox any more, about the first of
        them; what is erased on schedule keeps its manifest there."""
        lost = []
        for name, last in sorted(catalog.deliveries.items()):
            folder = self.outbox / name
            there = {path.parent.name for path in folder.glob(f"*/{MANIFEST}")} if folder.exists() else set()
            missing = [f"{number:08d}" for number in range(1, last.sequence + 1) if f"{number:08d}" not in there]
            if missing and last.date == catalog.business_date:
                lost.append(f"outbox/{name}/{missing[0]} was published and is not there whole: bring it back, or {name} reads no later one")
        return lost

    def write_catalog(self, catalog: Catalog) -> None:
        """Say what is settled."""
        durable.write_file(self.catalog_file, durable.to_json(catalog.to_json()))


def init(root: Path, buckets: int | None = None) -> Workspace:
    """Make a workspace, of USUAL_BUCKETS if none are asked for. UsageError when `buckets` is no power of two; RefusedError when there is one
    with another number than was asked for."""
    if buckets is not None and (buckets < 1 or buckets & (buckets - 1) or buckets > MOST_BUCKETS):
        raise UsageError(f"--buckets {buckets}: a power of two from 1 to {MOST_BUCKETS} is needed")
    workspace = Workspace(root)
    if workspace.catalog_file.exists():
        if buckets not in (None, workspace.catalog().buckets):
            raise RefusedError(f"{root} is a workspace with {workspace.catalog().buckets} buckets already")
        return workspace
    workspace.require_no_runs()
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    workspace.write_catalog(Catalog(buckets or USUAL_BUCKETS, content_version=versions.CONTENT_VERSION))
    return workspace
