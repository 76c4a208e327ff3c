"""Writers' schemas: parse them, decide whether a contract accepts them (contract, section 4), and name the reason when it does not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from schemas.errors import BrokenFileError

PRIMITIVE = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
SMALLEST = {"null": 0, "float": 4, "double": 8, "cut": 0}  # bytes; of every other kind but the compound ones: 1


@dataclass(frozen=True, eq=False)
class Type:
    """An Avro type with its names resolved.

    kind: a primitive's name, fixed, enum, array, map, record or union; `cut` for what a writer added and nobody here decodes.
    logical: the logical type with its parameters, "" for none. inner: item, value, or branches. fields: of a record.
    added: a field's type that the contract does not know.
    """

    kind: str
    logical: str = ""
    inner: tuple["Type", ...] = ()
    fields: dict[str, "Type"] = field(default_factory=dict)
    symbols: tuple[str, ...] = ()
    size: int = 0
    added: bool = False

    @property
    def optional(self) -> bool:
        """Whether it is a union of null and one other type."""
        return self.kind == "union" and len(self.inner) == 2 and "null" in (self.inner[0].kind, self.inner[1].kind)

    @property
    def value(self) -> "Type":
        """The type without its null."""
        return self.inner[self.inner[0].kind == "null"] if self.optional else self

    def __str__(self) -> str:
        if self.kind == "union":
            return f"union of {', '.join(str(branch) for branch in self.inner)}"
        return f"{self.kind} {self.logical}".strip()


@lru_cache(maxsize=64)
def parse(text: bytes) -> Type:
    """Parse a schema's JSON. Raises BrokenFileError."""
    try:
        return Parser({}).type_of(json.loads(text.decode("utf-8")), "")
    except RecursionError:
        raise BrokenFileError("the schema is nested too deep") from None
    except ValueError:
        raise BrokenFileError("the schema is not JSON") from None


@dataclass(frozen=True)
class Parser:
    """Turns a schema's JSON into a Type. names: what was defined so far, by full name."""

    names: dict[str, Type]

    def type_of(self, schema: Any, space: str) -> Type:
        """Parse one type. space: the enclosing namespace."""
        if isinstance(schema, str):
            return self.named(schema, space)
        if isinstance(schema, list):
            return union_of(tuple(self.type_of(branch, space) for branch in schema))
        if not isinstance(schema, dict):
            raise BrokenFileError(f"the schema has a {type(schema).__name__} where a type belongs")
        kind = schema.get("type")
        if kind in ("record", "enum", "fixed"):
            return self.define(schema, kind, space)
        if kind in ("array", "map"):
            return Type(kind, logical_of(schema), (self.type_of(schema.get("items" if kind == "array" else "values"), space),))
        found = self.type_of(kind, space)
        if logical := logical_of(schema):
            return replace(found, logical=f"{found.logical} {logical}".strip())
        return found

    def named(self, name: str, space: str) -> Type:
        """The type that a name stands for."""
        if name in PRIMITIVE:
            return Type(name)
        for full in (name if "." in name else f"{space}.{name}", f".{name}"):
            if full in self.names:
                return self.names[full]
        raise BrokenFileError(f"the schema names an unknown type {name[:80]!r}")

    def define(self, schema: Mapping[str, Any], kind: str, space: str) -> Type:
        """Parse and remember a record, enum or fixed."""
        name, given = schema.get("name"), schema.get("namespace")
        space = space if given is None else given
        if not isinstance(name, str) or not isinstance(space, str):
            raise BrokenFileError(f"the schema has a {kind} without a name")
        full = name if "." in name else f"{space}.{name}"
        if full in self.names:
            raise BrokenFileError(f"the schema defines {name[:80]!r} twice")
        found = Type(kind, logical_of(schema), symbols=symbols_of(schema, kind), size=size_of(schema, kind))
        self.names[full] = found
        if kind == "record":
            self.fill(found, schema.get("fields"), full.rpartition(".")[0])
        return found

    def fill(self, record: Type, fields: Any, space: str) -> None:
        """Parse a record's fields into it, so that they can name the record itself."""
        if not isinstance(fields, list):
            raise BrokenFileError("the schema has a record without fields")
        for one in fields:
            name = one.get("name") if isinstance(one, dict) else None
            if not isinstance(name, str) or "type" not in one:
                raise BrokenFileError("the schema has a field without name or type")
            if name in record.fields:
                raise BrokenFileError(f"the schema has field {name[:80]!r} twice in one record")
            record.fields[name] = self.type_of(one["type"], space)


def union_of(branches: tuple[Type, ...]) -> Type:
    """A union of these branches."""
    kinds = [branch.kind for branch in branches]
    if "union" in kinds or not kinds or kinds.count("null") > 1:
        raise BrokenFileError("the schema has a union that is empty, holds another or has null twice")
    return Type("union", inner=branches)


def logical_of(schema: Mapping[str, Any]) -> str:
    """The logical type, a decimal with its parameters."""
    logical = schema.get("logicalType", "")
    return f"decimal({schema.get('precision')!r},{schema.get('scale', 0)!r})" if logical == "decimal" else str(logical)[:80]


def symbols_of(schema: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    """An enum's symbols, else none."""
    symbols = schema.get("symbols", ()) if kind == "enum" else ()
    if not isinstance(symbols, list | tuple) or not all(isinstance(symbol, str) for symbol in symbols) or len(set(symbols)) < len(symbols):
        raise BrokenFileError("the schema has an enum whose symbols are no list of different strings")
    return tuple(symbols)


def size_of(schema: Mapping[str, Any], kind: str) -> int:
    """A fixed's size in bytes, else 0."""
    size = schema.get("size") if kind == "fixed" else 0
    if not isinstance(size, int) or size < 0:
        raise BrokenFileError("the schema has a fixed without a size")
    return size


def smallest(kind: Type, known: dict[Type, int] | None = None) -> int:
    """The least number of bytes that a value takes. 0 means that every value takes none. known: what was computed so far."""
    known = {} if known is None else known
    if kind not in known:
        known[kind] = 1  # holds while a type that names itself is computed
        if kind.kind == "record":
            known[kind] = sum(smallest(part, known) for part in kind.fields.values())
        elif kind.kind == "union":
            known[kind] = 1 + min(smallest(branch, known) for branch in kind.inner)
        else:
            known[kind] = kind.size if kind.kind == "fixed" else SMALLEST.get(kind.kind, 1)
    return known[kind]


@lru_cache(maxsize=64)
def accept(writer: Type, contract: Type) -> Type:
    """Check a writer's root type against a contract's. Returns the writer's layout, with added fields simplified or marked as cut.

    Raises BrokenFileError with the field's name and the reason.
    """
    if writer.kind != "record":
        raise BrokenFileError(f"the schema is {writer}, not a record")
    return accept_record(writer, contract, "")


def accept_record(writer: Type, contract: Type, path: str) -> Type:
    """Check a record, and its fields by name. path: of the record, with a dot at its end."""
    for name, kind in contract.fields.items():
        if name not in writer.fields and not kind.optional:
            raise BrokenFileError(f"field '{path}{name}' is missing, and the contract has it not nullable")
    fields = {}
    for name, kind in writer.fields.items():
        shown = f"{path}{name}"
        if name in contract.fields:
            fields[name] = accept_field(kind, contract.fields[name], shown)
        elif kind.kind == "null" or any(branch.kind == "null" for branch in kind.inner if kind.kind == "union"):
            fields[name] = simplify(kind)
        else:
            raise BrokenFileError(f"field {shown[:80]!r} is not in the contract and not nullable")
    return replace(writer, fields=fields)


def accept_field(writer: Type, contract: Type, path: str) -> Type:
    """Check one field's type."""
    if writer.optional and not contract.optional:
        raise BrokenFileError(f"field '{path}' is nullable, and in the contract it is not")
    have, want = writer.value, contract.value
    if (have.kind, have.logical) != (want.kind, want.logical):
        raise BrokenFileError(f"field '{path}' is {have}, the contract has {want}")
    if set(have.symbols) != set(want.symbols):
        odd = ", ".join(sorted(symbol[:80] for symbol in set(have.symbols) ^ set(want.symbols)))
        raise BrokenFileError(f"field '{path}' has other symbols than the contract: {odd}")
    if have.kind == "record":
        have = accept_record(have, want, f"{path}.")
    elif have.kind == "array":
        have = replace(have, inner=(accept_field(have.inner[0], want.inner[0], path),))
    if writer.optional:
        return replace(writer, inner=tuple(branch if branch.kind == "null" else have for branch in writer.inner))
    return have


def simplify(added: Type) -> Type:
    """An added field as the fast codec can decode it, or marked as cut."""
    if added.optional and (added.value.kind in PRIMITIVE or added.value.kind == "enum"):
        return Type("union", inner=tuple(Type("int" if branch.kind == "enum" else branch.kind) for branch in added.inner), added=True)
    return Type("cut", inner=(added,), added=True)


def has_cut(kind: Type) -> bool:
    """Whether a layout has parts to cut."""
    return kind.kind == "cut" or any(has_cut(part) for part in (*kind.inner, *kind.fields.values()))


def as_json(layout: Type, name: str = "root") -> Any:
    """A layout as the schema that the fast codec gets: no cut parts, every name of a type unique."""
    if layout.kind == "record":
        kept = (
            (f"_{number}" if kind.added else part, kind) for number, (part, kind) in enumerate(layout.fields.items()) if kind.kind != "cut"
        )
        fields = [{"name": part, "type": as_json(kind, f"{name}_{part}")} for part, kind in kept]
        return {"type": "record", "name": name, "fields": fields}
    if layout.kind == "union":
        return [as_json(branch, name) for branch in layout.inner]
    if layout.kind == "array":
        return {"type": "array", "items": as_json(layout.inner[0], f"{name}_item")}
    if layout.kind == "enum":
        return {"type": "enum", "name": name, "symbols": list(layout.symbols)}
    if layout.logical.startswith("decimal"):
        precision, scale = layout.logical.removeprefix("decimal(").removesuffix(")").split(",")
        return {"type": layout.kind, "logicalType": "decimal", "precision": int(precision), "scale": int(scale)}
    return {"type": layout.kind, "logicalType": layout.logical} if layout.logical else layout.kind
