"""The slow walk over a block's records: names what is wrong with them, and cuts out added fields that the fast codec cannot decode."""

from collections.abc import Callable
from typing import TypeVar

from schemas.errors import BrokenFileError
from storage.avro_blocks import long, read_long
from storage.avro_schema import Type, has_cut, smallest

Skip = Callable[[bytes, int], int]  # (content, where a value begins) -> where the next one begins
Copy = Callable[[bytes, int, bytearray], int]  # the same, and appends what is kept
T = TypeVar("T")
INT_LIMIT = 1 << 31
DECIMAL_LIMIT = 10**12  # hundredths
CONTRACT_DECIMAL = "decimal(12,2)"


def cut(content: bytes, rows: int, layout: Type) -> bytes:
    """A block's content without the parts of the layout that are marked as cut.

    Raises BrokenFileError, with field and reason, unless the content is exactly `rows` records of the layout.
    """
    made: dict[Type, Skip] = {}
    fields = [(name, copier(kind, made)) for name, kind in layout.fields.items()]
    kept, at = bytearray(), 0
    for _ in range(rows):
        for name, copy in fields:
            try:
                at = copy(content, at, kept)
            except (IndexError, RecursionError, ValueError) as error:
                raise BrokenFileError(f"field {name[:80]!r} {reason_of(error, rows)}") from None
    if at != len(content):
        raise BrokenFileError(f"it has more bytes than its {rows} rows take")
    return bytes(kept)


def reason_of(error: Exception, rows: int) -> str:
    """What a failed walk means, in words without the data."""
    if isinstance(error, IndexError):
        return f"ends beyond the block, which says that it has {rows} rows"
    return "is nested too deep" if isinstance(error, RecursionError) else str(error)


def skip_fixed(data: bytes, at: int, size: int) -> int:
    """Pass over so many bytes."""
    if at + size > len(data):
        raise IndexError
    return at + size


def skip_bytes(data: bytes, at: int) -> int:
    """Pass over bytes and their length."""
    length, at = read_long(data, at)
    if length < 0:
        raise ValueError("has a length below 0")
    return skip_fixed(data, at, length)


def skip_string(data: bytes, at: int) -> int:
    """Pass over a string."""
    end = skip_bytes(data, at)
    try:
        data[read_long(data, at)[1] : end].decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    return end


def skip_decimal(data: bytes, at: int) -> int:
    """Pass over a decimal of the contract."""
    end = skip_bytes(data, at)
    if abs(int.from_bytes(data[read_long(data, at)[1] : end], "big", signed=True)) >= DECIMAL_LIMIT:
        raise ValueError("has a decimal of more than 12 digits")
    return end


def skip_int(data: bytes, at: int) -> int:
    """Pass over an int."""
    value, at = read_long(data, at)
    if not -INT_LIMIT <= value < INT_LIMIT:
        raise ValueError("has an int of more than 32 bits")
    return at


PLAIN: dict[str, Skip] = {
    "null": lambda _, at: at,
    "boolean": lambda data, at: skip_fixed(data, at, 1),
    "int": skip_int,
    "long": lambda data, at: read_long(data, at)[1],
    "float": lambda data, at: skip_fixed(data, at, 4),
    "double": lambda data, at: skip_fixed(data, at, 8),
    "bytes": skip_bytes,
    "string": skip_string,
}


def skipper(kind: Type, made: dict[Type, Skip]) -> Skip:
    """The function that passes over a value of a type. made: those there are, so that a type can hold itself."""
    if kind.kind in PLAIN:
        return skip_decimal if kind.logical == CONTRACT_DECIMAL else PLAIN[kind.kind]
    if kind not in made:
        parts: list[Skip] = []
        made[kind] = COMPOUND[kind.kind](kind, parts)
        parts += [skipper(part, made) for part in (*kind.inner, *kind.fields.values())]
    return made[kind]


def skip_sized(kind: Type, _: list[Skip]) -> Skip:
    """For a fixed."""
    return lambda data, at: skip_fixed(data, at, kind.size)


def skip_enum(kind: Type, _: list[Skip]) -> Skip:
    """For an enum."""

    def skip(data: bytes, at: int) -> int:
        index, at = read_long(data, at)
        if not 0 <= index < len(kind.symbols):
            raise ValueError("has a symbol that its enum does not have")
        return at

    return skip


def skip_record(_: Type, parts: list[Skip]) -> Skip:
    """For a record; parts: its fields."""

    def skip(data: bytes, at: int) -> int:
        for part in parts:
            at = part(data, at)
        return at

    return skip


def skip_union(_: Type, parts: list[Skip]) -> Skip:
    """For a union; parts: its branches."""

    def skip(data: bytes, at: int) -> int:
        branch, at = read_long(data, at)
        return branch_of(parts, branch)(data, at)

    return skip


def branch_of(parts: list[T], branch: int) -> T:
    """A union's branch. Raises ValueError when there is none of that number."""
    if not 0 <= branch < len(parts):
        raise ValueError("has a branch that its union does not have")
    return parts[branch]


def skip_items(kind: Type, parts: list[Skip]) -> Skip:
    """For an array or a map; parts: the item or value. Items that take no bytes are not counted out: there may be 2**63."""
    named, empty = kind.kind == "map", smallest(kind.inner[0]) == 0

    def skip(data: bytes, at: int) -> int:
        count, at = read_count(data, at)
        while count:
            for _ in range(count if named or not empty else 0):
                at = parts[0](data, skip_string(data, at) if named else at)
            count, at = read_count(data, at)
        return at

    return skip


COMPOUND: dict[str, Callable[[Type, list[Skip]], Skip]] = {
    "fixed": skip_sized,
    "enum": skip_enum,
    "record": skip_record,
    "union": skip_union,
    "array": skip_items,
    "map": skip_items,
}


def read_count(data: bytes, at: int) -> tuple[int, int]:
    """Decode the count of an array's or map's next items; below 0 it is followed by their size."""
    count, at = read_long(data, at)
    return (-count, read_long(data, at)[1]) if count < 0 else (count, at)


def copier(kind: Type, made: dict[Type, Skip]) -> Copy:
    """The function that copies a value of a layout without its cut parts."""
    if kind.kind == "cut":
        added = skipper(kind.inner[0], made)
        return lambda data, at, _: added(data, at)
    if has_cut(kind):
        parts = [copier(part, made) for part in (*kind.inner, *kind.fields.values())]
        return {"record": copy_record, "union": copy_union, "array": copy_items}[kind.kind](parts)
    whole = skipper(kind, made)

    def copy(data: bytes, at: int, kept: bytearray) -> int:
        end = whole(data, at)
        kept += data[at:end]
        return end

    return copy


def copy_record(parts: list[Copy]) -> Copy:
    """For a record with parts to cut."""

    def copy(data: bytes, at: int, kept: bytearray) -> int:
        for part in parts:
            at = part(data, at, kept)
        return at

    return copy


def copy_union(parts: list[Copy]) -> Copy:
    """For a union with parts to cut."""

    def copy(data: bytes, at: int, kept: bytearray) -> int:
        branch, at = read_long(data, at)
        kept += long(branch)
        return branch_of(parts, branch)(data, at, kept)

    return copy


def copy_items(parts: list[Copy]) -> Copy:
    """For an array whose items have parts to cut."""

    def copy(data: bytes, at: int, kept: bytearray) -> int:
        count, at = read_count(data, at)
        while count:
            kept += long(count)
            for _ in range(count):
                at = parts[0](data, at, kept)
            count, at = read_count(data, at)
        kept += long(0)
        return at

    return copy
