"""What an operator configures (contract, section 1), as typed values. Reading the files is `storage.conf`'s job."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from schemas.rules import Rules
from schemas.sizes import size_of

UnitName = Literal["CALENDAR_DAY", "FIVE_DAY_WEEK", "WORKING_TIME", "MONTH", "EVENT"]
DAY_UNITS = ("CALENDAR_DAY", "FIVE_DAY_WEEK", "WORKING_TIME")
REGISTER = "PERSONS"  # what the chain of the drops of persons is called among those of the benefits


class Strict(BaseModel):
    """A part of conf: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Permission(Strict):
    """What a partner may be told, for one purpose."""

    purpose: str = Field(min_length=1)
    benefits: tuple[str, ...]


class Partner(Strict):
    """A receiver of deliveries. refresh_persons_per_night: the throttle of its refreshes."""

    name: str = ""
    permissions: tuple[Permission, ...]
    refresh_persons_per_night: int = Field(default=50_000, ge=1, lt=2**63, strict=True)

    @property
    def permitted(self) -> frozenset[str]:
        """Benefits of any purpose."""
        return frozenset(benefit for permission in self.permissions for benefit in permission.benefits)


class Benefit(Strict):
    """A benefit of the catalogue."""

    name: str
    unit: UnitName


class Closure(Strict):
    """A planned closure of feeding services; both dates included."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    benefits: tuple[str, ...]
    first: date = Field(alias="from")
    last: date = Field(alias="until")
    text: str = ""

    @model_validator(mode="after")
    def in_order(self) -> "Closure":
        """A closure ends on or after the day it begins."""
        if self.last < self.first:
            raise ValueError(f"until {self.last} is before from {self.first}")
        return self


class Partners(Strict):
    """conf/partners.yaml."""

    partners: dict[str, Partner]


class Benefits(Strict):
    """conf/benefits.yaml."""

    benefits: dict[str, Benefit]


class Closures(Strict):
    """conf/closures.yaml."""

    closures: tuple[Closure, ...] = ()
    off: tuple[str, ...] = ()


class Kept(Strict):
    """How long a kind of data is kept: days before the business date of the last night, and why."""

    days: int = Field(ge=1)
    reason: str = Field(min_length=1)


class KeptDeliveries(Kept):
    """fetched_within: days by which every partner has fetched a delivery."""

    fetched_within: int = Field(default=30, ge=1)


class Retention(Strict):
    """conf/retention.yaml. No run depends on it, so it is no part of Conf."""

    deliveries: KeptDeliveries
    subscriptions: Kept
    ledger: Kept
    quarantine: Kept
    versions: Kept


class Machine(Strict):
    """conf/machine.yaml. No delivery depends on it, so it is no part of Conf. memory: a size such as 1GiB; None: as much as is fast."""

    memory: str | None = None

    @field_validator("memory")
    @classmethod
    def is_a_size(cls, value: str | None) -> str | None:
        """Memory is a size, if anything."""
        if value is not None:
            size_of(value)
        return value

    @property
    def memory_bytes(self) -> int | None:
        """The same in bytes."""
        return None if self.memory is None else size_of(self.memory)


Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+:[1-9][0-9]{0,4}$")]  # host:port


class Embedded(Strict):
    """The engine in the command's own process. at_once: files, bites or partners in a batch."""

    at_once: int = Field(ge=1)


class Prism(Embedded):
    """Beam's own local runner. binary: a name on PATH, or a file."""

    binary: str = Field(min_length=1)


class Cluster(Embedded):
    """An engine that runs by itself.

    endpoint: of Beam's job server; page: of the engine's own pages; master: of its workers' master; parallelism: steps at the same time;
    environment, workers: how Beam gets a Python worker, and what it needs for that; workers_of_each: processes for each worker of the engine;
    worker_kept_seconds: how long a Python worker waits for another step; files_to_stage: what each job brings to the engine's workers,
    all jars of the job server where none is named.
    """

    endpoint: Address
    page: Address
    master: Address
    parallelism: int = Field(ge=1)
    environment: Literal["EXTERNAL", "DOCKER", "PROCESS"] = "EXTERNAL"
    workers: str = Field(min_length=1)
    workers_of_each: int = Field(default=1, ge=1)
    worker_kept_seconds: int = Field(default=0, ge=0)
    files_to_stage: tuple[str, ...] = ()

    @model_validator(mode="after")
    def pool_has_an_address(self) -> "Cluster":
        """A worker pool is found by host and port."""
        if self.environment == "EXTERNAL":
            TypeAdapter(Address).validate_python(self.workers)
        return self


class Engines(Strict):
    """conf/engines.yaml. No byte depends on it, so it is no part of Conf."""

    embedded: Embedded
    prism: Prism
    flink: Cluster
    spark: Cluster


class Conf(Strict):
    """All of conf, parsed and held against itself."""

    partners: dict[str, Partner]
    benefits: dict[str, Benefit]
    closures: tuple[Closure, ...]
    off: frozenset[str]
    rules: Rules

    def to_json(self) -> dict[str, Any]:
        """As it stands in commit.json, from which `model_validate` makes it anew."""
        return self.model_dump(mode="json") | {"off": sorted(self.off)}

    @property
    def chains(self) -> tuple[str, ...]:
        """What drops come in chains of: persons, then each benefit of the catalogue."""
        return (REGISTER, *self.benefits)

    def closed_text(self, chain: str, on: date) -> str | None:
        """The text of the planned closure that covers a chain on a date; None when none does."""
        return next((closure.text for closure in self.closures if chain in closure.benefits and closure.first <= on <= closure.last), None)
