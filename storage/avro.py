"""The Avro codec: frames to files and back (contract, section 4). A Rust codec does the work; what it would believe is checked before.

Errors are BrokenFileError with block or field and reason; the caller adds the file. A file that cannot be opened is an OSError.
"""

import io
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from polars_avro._avro_rs import AvroBuffSink, AvroSource

from schemas.contracts import Contract, bare, is_nullable
from schemas.errors import BrokenFileError, VerificationError
from schemas.frames import require
from storage import avro_blocks, avro_schema
from storage.avro_blocks import MARKER_BYTES, AvroFile, long, read_content, read_index
from storage.avro_schema import Type, as_json, has_cut, smallest
from storage.avro_walk import DECIMAL_LIMIT, cut

BLOCK_ROWS = 4096
READ_BYTES = 256 << 20  # of content that is held decoded, before it is handed on
DECODE_ROWS = 1 << 15  # at a time: what is larger costs half as much again, in memory that is asked for and given back
NONCE = secrets.token_hex(16)  # marks rows of ours between blocks; never written
# The first and last day, in days and in milliseconds since 1970, that a date and a time can have: receivers can read no others.
CALENDAR = {pl.Date: (-719_162, 2_932_896), pl.Datetime: (-62_135_596_800_000, 253_402_300_799_999)}
JUDGED = ("period_from", "period_to")  # of these a rule says what a day outside costs: the record, not the file (R35)
ARROW = {"string": pa.large_string(), "int": pa.int32(), "long": pa.int64(), "boolean": pa.bool_()}
LOGICAL = {"date": pa.date32(), "timestamp-millis": pa.timestamp("ms", "UTC"), "decimal": pa.decimal128(12, 2)}


def header(contract: Contract, marker: bytes) -> bytes:
    """The header of a file that we write. marker: 16 bytes. Header and blocks of any `encode` calls with that marker make a file."""
    return avro_blocks.head(contract.schema, "snappy", marker)


def encode(frame: pl.DataFrame, contract: Contract, marker: bytes, block_rows: Sequence[int] | None = None) -> bytes:
    """Encode a frame as blocks that follow each other, without a header. The arguments are those of `encode_blocks`."""
    return b"".join(encode_blocks(frame, contract, marker, block_rows))


def encode_blocks(frame: pl.DataFrame, contract: Contract, marker: bytes, block_rows: Sequence[int] | None = None) -> list[bytes]:
    """Encode a frame as blocks, each with its count, size and marker.

    block_rows: rows of each block, 4096 by default. Raises VerificationError when frame or block_rows do not fit the contract or the frame.
    """
    cuts = chunks(frame.height) if block_rows is None else list(block_rows)
    if sum(cuts) != frame.height or any(rows <= 0 for rows in cuts):
        raise VerificationError(f"{contract.name}: blocks of {sum(cuts)} rows for a frame of {frame.height}, or an empty block")
    if not cuts:
        return []
    table = to_arrow(require(frame, contract.frame, f"encode {contract.name}"), contract)
    buffer = io.BytesIO()
    sink = AvroBuffSink(buffer, table.schema.empty_table(), None)
    for end, rows in zip(accumulate(cuts), cuts, strict=True):
        sink.write(table.slice(end - rows, rows))
    sink.close()
    blocks = read_index(buffer).blocks
    return [avro_blocks.snapped(block.rows, read_content(buffer, "null", block), marker) for block in blocks]


def chunks(height: int) -> list[int]:
    """Rows of each block when nobody says otherwise."""
    return [min(BLOCK_ROWS, height - start) for start in range(0, height, BLOCK_ROWS)]


def write(path: Path, frame: pl.DataFrame, contract: Contract, marker: bytes, block_rows: Sequence[int] | None = None) -> int:
    """Write a whole file, not durably. Returns its bytes."""
    return path.write_bytes(header(contract, marker) + encode(frame, contract, marker, block_rows))


def to_arrow(frame: pl.DataFrame, contract: Contract) -> pa.Table:
    """The Arrow table from which the codec derives exactly the contract's Avro types."""
    fields = [arrow_field(name, kind) for name, kind in contract.fields.items()]
    columns = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).columns
    arrays = [shaped(column.combine_chunks(), field, field.name) for column, field in zip(columns, fields, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def arrow_field(name: str, kind: Any) -> pa.Field:
    """The Arrow field of a contract's field: not nullable where the contract is not."""
    plain, symbols = bare(kind), None
    if isinstance(plain, str):
        arrow = ARROW[plain]
    elif "logicalType" in plain:
        arrow = LOGICAL[plain["logicalType"]]
    elif plain["type"] == "enum":
        arrow, symbols = pa.dictionary(pa.int32(), pa.string()), {"avro.enum.symbols": json.dumps(plain["symbols"])}
    elif plain["type"] == "array":
        arrow = pa.large_list(arrow_field("item", plain["items"]))
    else:
        arrow = pa.struct([arrow_field(part["name"], part["type"]) for part in plain["fields"]])
    return pa.field(name, arrow, nullable=is_nullable(kind), metadata=symbols)


def shaped(array: pa.Array, field: pa.Field, path: str, valid: pa.Array | None = None) -> pa.Array:
    """An array as a field wants it. valid: where the record that holds it is not null."""
    if not field.nullable and array.null_count and (valid is None or pc.any(pc.and_(array.is_null(), valid)).as_py()):
        raise VerificationError(f"field '{path}' is null, and the contract has it not nullable")
    wanted = field.type
    if pa.types.is_struct(wanted):
        filled = array.is_valid() if array.null_count else None
        parts = [shaped(part, child, f"{path}.{child.name}", filled) for part, child in zip(array.flatten(), wanted, strict=True)]
        return pa.StructArray.from_arrays(parts, fields=list(wanted), mask=pc.invert(filled) if array.null_count else None)
    if pa.types.is_large_list(wanted):
        return pa.LargeListArray.from_arrays(array.offsets, shaped(array.values, wanted.value_field, path), type=wanted)
    return array if array.type == wanted else array.cast(wanted)


@contextmanager
def opened(source: Path | bytes) -> Iterator[BinaryIO]:
    """A file, or bytes as if they were one."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        yield file


def index(file: BinaryIO, contract: Contract) -> tuple[AvroFile, Type]:
    """The blocks of a file, and how its records lie in them. Raises BrokenFileError when the contract does not accept its schema."""
    found = read_index(file)
    return found, avro_schema.accept(found.schema, avro_schema.parse(json.dumps(contract.schema).encode()))


def content_of(file: BinaryIO, found: AvroFile, number: int) -> bytes:
    """The content of one block, by its number from 0, decompressed and large enough for its rows."""
    block = found.blocks[number]
    try:
        content = read_content(file, found.codec, block)
        if block.rows * found.record_bytes > len(content):
            raise BrokenFileError(f"it says {block.rows} rows of at least {found.record_bytes} bytes and has {len(content)} bytes")
    except BrokenFileError as error:
        raise BrokenFileError(f"block {number + 1}: {error}") from None
    return content


def inspect(source: Path | bytes, contract: Contract) -> AvroFile:
    """Check a file's frame, schema, block sizes and checksums, and that its blocks can hold the rows that they claim.

    Whether the records are what they should be, only `read` and `batches` tell. Raises BrokenFileError.
    """
    with opened(source) as file:
        found, _ = index(file, contract)
        for number in range(len(found.blocks)):
            content_of(file, found, number)
    return found


def read(source: Path | bytes, contract: Contract) -> pl.DataFrame:
    """Read a file as the contract's frame. Raises BrokenFileError."""
    frames = [frame for frame, _ in decoded(source, contract, DECODE_ROWS)]
    return pl.concat(frames, rechunk=True) if frames else contract.frame.to_frame()


def anything(_rows: int) -> None:
    """Let every block in."""


def batches(source: Path | bytes, contract: Contract, rows: int, let_in: Callable[[int], None] = anything) -> Iterator[pl.DataFrame]:
    """Read a file as frames of at least `rows` rows, or less where 256 MiB are reached: whole blocks. Raises BrokenFileError.

    let_in: told the rows of each block before it is read, to raise an error when these are too many.
    """
    frames: list[pl.DataFrame] = []
    bytes_held = 0
    for frame, size in decoded(source, contract, min(rows, DECODE_ROWS), let_in):
        frames.append(frame)
        bytes_held += size
        if sum(each.height for each in frames) >= rows or bytes_held >= READ_BYTES:
            yield pl.concat(frames)
            frames, bytes_held = [], 0
    if frames:
        yield pl.concat(frames)


def decoded(
    source: Path | bytes, contract: Contract, rows: int, let_in: Callable[[int], None] = anything
) -> Iterator[tuple[pl.DataFrame, int]]:
    """Decode so many rows at a time, or a bit more: whole blocks. Frames, and how many bytes each was."""
    with opened(source) as file:
        found, layout = index(file, contract)
        contents: list[bytes] = []
        first = rows_held = bytes_held = 0
        for number, block in enumerate(found.blocks):
            contents.append(content_of(file, found, number))  # first: a block that lies about its rows breaks its file
            let_in(block.rows)
            rows_held += block.rows
            bytes_held += len(contents[-1])
            if rows_held >= rows or bytes_held >= READ_BYTES or number + 1 == len(found.blocks):
                yield decode(contents, [one.rows for one in found.blocks[first : number + 1]], layout, contract, first), bytes_held
                contents, first, rows_held, bytes_held = [], number + 1, 0, 0


def decode(contents: list[bytes], rows: list[int], layout: Type, contract: Contract, first: int) -> pl.DataFrame:
    """Decode blocks that follow each other. first: number of the first one, from 0.

    The codec gets them as one block, with a row of ours after each: it neither counts nor notices what is left over, and spins on it.
    """
    try:
        kept = [cut(content, count, layout) for content, count in zip(contents, rows, strict=True)] if has_cut(layout) else contents
        return fitted(decode_rows(kept, rows, layout, contract), contract)
    except BrokenFileError as error:
        reason = str(error)
    for number, (content, count) in enumerate(zip(contents, rows, strict=True), first + 1):
        try:
            cut(content, count, layout)
        except BrokenFileError as error:
            raise BrokenFileError(f"block {number}: {error}") from None
    raise BrokenFileError(f"block {first + 1}{f' to {first + len(rows)}' if len(rows) > 1 else ''}: {reason}")


def decode_rows(contents: list[bytes], rows: list[int], layout: Type, contract: Contract) -> pl.DataFrame:
    """Decode the blocks' rows as the layout has them.

    A branch number that a union of two does not have is taken for one that it has: only a checksum can tell.
    """
    key = next(name for name, kind in contract.fields.items() if kind == "string")
    between = b"".join(long(len(NONCE)) + NONCE.encode() if name == key else least(kind) for name, kind in layout.fields.items())
    data = between.join([*contents, b""])
    total = sum(rows) + len(rows)
    start = avro_blocks.head(as_json(layout), "null", bytes(MARKER_BYTES)) + long(total) + long(len(data))
    whole = io.BytesIO(b"".join((start, data, bytes(MARKER_BYTES))))
    try:
        frame = pl.DataFrame(next(AvroSource([lambda: nullcontext(whole)], False, False).batch_iter(total, None)))
    except (SystemError, ValueError, StopIteration):  # SystemError: how the codec's own errors arrive, without their text
        raise BrokenFileError("it cannot be decoded") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a panic of Rust code: no Exception, and of a type that nobody exports
            raise
        raise BrokenFileError("it cannot be decoded") from None
    ends = [end + number for number, end in enumerate(accumulate(rows))]
    if frame.height != total or frame[key].gather(ends).to_list() != [NONCE] * len(ends):
        raise BrokenFileError("it has more or fewer rows than it says")
    return pl.concat([frame.slice(end - count, count) for end, count in zip(ends, rows, strict=True)], rechunk=True)


def least(kind: Type) -> bytes:
    """A shortest value of a layout's type."""
    if kind.kind == "union":
        return long(kind.inner.index(next(branch for branch in kind.inner if branch.kind == "null")))
    if kind.kind == "record":
        return b"".join(least(part) for part in kind.fields.values())
    return bytes(smallest(kind))


def fitted(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """A decoded frame with the contract's columns, order and dtypes; what the writer left out is null."""
    enums = [pl.col(name).cast(dtype) for name, dtype in contract.frame.items() if isinstance(dtype, pl.Enum) and name in frame.columns]
    whole = (
        frame.lazy()
        .with_columns(enums)
        .match_to_schema(
            contract.frame, missing_columns="insert", missing_struct_fields="insert", extra_columns="ignore", extra_struct_fields="ignore"
        )
        .select(contract.frame.names())
        .collect()
    )
    for column in whole:
        for part in decimals(column):
            money = part.to_physical()
            if any(abs(cast(int, end)) >= DECIMAL_LIMIT for end in (money.min(), money.max()) if end is not None):
                raise BrokenFileError(f"field '{column.name}' has more than 12 digits")
        if column.name not in JUDGED and (ends := CALENDAR.get(type(column.dtype))):
            ticks = column.to_physical()
            if any(not ends[0] <= cast(int, end) <= ends[1] for end in (ticks.min(), ticks.max()) if end is not None):
                raise BrokenFileError(f"field '{column.name}' lies outside the years 1 to 9999")
    return whole


def decimals(column: pl.Series) -> Iterator[pl.Series]:
    """The decimals in a column, those of records too."""
    if isinstance(column.dtype, pl.Decimal):
        yield column
    elif isinstance(column.dtype, pl.Struct):
        for part in column.struct.fields:
            yield from decimals(column.struct.field(part))
