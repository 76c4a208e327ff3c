"""The five Avro contracts (contract, section 4), read from the .avsc files, and the frames that they become."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import polars as pl

AVRO = resources.files("schemas") / "avro"
LOGICAL: Mapping[str, pl.DataType] = {"date": pl.Date(), "timestamp-millis": pl.Datetime("ms", "UTC"), "decimal": pl.Decimal(12, 2)}
PRIMITIVE: Mapping[str, pl.DataType] = {"string": pl.String(), "int": pl.Int32(), "long": pl.Int64(), "boolean": pl.Boolean()}


@dataclass(frozen=True)
class Contract:
    """One of the contract's record types.

    schema: the .avsc as JSON, as it stands in the header of every file that we write.
    """

    name: str
    schema: Mapping[str, Any]

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """Field name -> its Avro type, in the contract's order."""
        return {field["name"]: field["type"] for field in self.schema["fields"]}

    @cached_property
    def frame(self) -> pl.Schema:
        """The frame that records of this type become; enums are `pl.Enum`."""
        return pl.Schema({name: dtype_of(kind) for name, kind in self.fields.items()})

    @cached_property
    def nullable(self) -> frozenset[str]:
        """Names of the top-level fields that may be null."""
        return frozenset(name for name, kind in self.fields.items() if is_nullable(kind))


def is_nullable(kind: Any) -> bool:
    """Whether an Avro type is a union with null."""
    return isinstance(kind, list) and "null" in kind


def bare(kind: Any) -> Any:
    """An Avro type without its null."""
    return next(branch for branch in kind if branch != "null") if isinstance(kind, list) else kind


def dtype_of(kind: Any) -> pl.DataType:
    """The Polars type of an Avro type of the contract."""
    kind = bare(kind)
    if isinstance(kind, str):
        return PRIMITIVE[kind]
    if "logicalType" in kind:
        return LOGICAL[kind["logicalType"]]
    if kind["type"] == "enum":
        return pl.Enum(kind["symbols"])
    if kind["type"] == "array":
        return pl.List(dtype_of(kind["items"]))
    return pl.Struct({field["name"]: dtype_of(field["type"]) for field in kind["fields"]})


def load(name: str) -> Contract:
    """Read a contract from its .avsc file."""
    schema = json.loads((AVRO / f"{name}.avsc").read_text("utf-8"))
    return Contract(schema["name"], schema)


BENEFIT_FACT = load("benefit_fact")
PERSON = load("person")
ORDER_LINE = load("order_line")
RECEIPT = load("receipt")
DELIVERY_RECORD = load("delivery_record")
BY_DATASET: Mapping[str, Contract] = {"facts": BENEFIT_FACT, "persons": PERSON, "orders": ORDER_LINE}
