"""The Avro object container: its header, its blocks and their content, checked before any decoder sees a byte."""

import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, BinaryIO

import cramjam
import pyarrow as pa

from schemas.errors import BrokenFileError
from storage.avro_schema import Type, parse, smallest

MAGIC = b"Obj\x01"
MARKER_BYTES = 16
CRC = struct.Struct(">I")
ZSTD_BYTES = 4 << 20  # decompressed at a time
LONG_BYTES = 10  # the most that a varint of 64 bits takes
EMPTY_BYTES = 64  # more than any codec takes for nothing
CONTENT_LIMIT = 256 << 20  # bytes of one block's content, decompressed: a bomb ends here


@dataclass(frozen=True)
class Block:
    """One block of a file.

    offset: of its first byte. bytes: from there through the marker. head: how many of them are its count and size, before the data.
    """

    offset: int
    bytes: int
    rows: int
    head: int


@dataclass(frozen=True)
class AvroFile:
    """What a file says of itself.

    schema: the writer's, parsed. size: in bytes. record_bytes: the least that a record of the schema takes.
    """

    rows: int
    codec: str
    blocks: tuple[Block, ...]
    marker: bytes
    schema: Type
    size: int
    record_bytes: int


def long(value: int) -> bytes:
    """An int or long as Avro encodes it: zigzag, then groups of seven bits, the lowest first."""
    rest, groups = (value << 1) ^ (value >> 63), bytearray()
    while rest > 0x7F:
        groups.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*groups, rest))


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Decode an int or long. Returns it and where the next value begins. Raises IndexError at the end, ValueError beyond 64 bits."""
    value = shift = 0
    while (byte := data[at]) & 0x80:
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
    value |= byte << shift
    if value >> 64:
        raise ValueError("has a number of more than 64 bits")
    return (value >> 1) ^ -(value & 1), at + 1


def head(schema: Any, codec: str, marker: bytes) -> bytes:
    """A file's header. schema: as JSON."""
    if len(marker) != MARKER_BYTES:
        raise ValueError(f"a marker has {MARKER_BYTES} bytes, this one {len(marker)}")
    text = json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode()
    entries = ((b"avro.schema", text), (b"avro.codec", codec.encode()))
    return MAGIC + long(len(entries)) + b"".join(long(len(one)) + one for entry in entries for one in entry) + long(0) + marker


@dataclass
class Scan:
    """Reads a file forwards, and never past its end. at: the next byte's offset."""

    file: BinaryIO
    size: int
    at: int = 0

    def take(self, count: int, what: str) -> bytes:
        """The next bytes, or BrokenFileError naming what ends too early."""
        if not 0 <= count <= self.size - self.at:
            raise BrokenFileError(f"{what} ends beyond the file, or has a length below 0")
        data = self.file.read(count)
        if len(data) < count:
            raise BrokenFileError(f"{what} could not be read: the file became shorter")
        self.at += count
        return data

    def long(self, what: str) -> int:
        """The next int or long."""
        groups = bytearray(self.take(1, what))
        while groups[-1] & 0x80 and len(groups) < LONG_BYTES:
            groups += self.take(1, what)
        try:
            return read_long(bytes(groups), 0)[0]
        except (IndexError, ValueError):
            raise BrokenFileError(f"{what} is no number of at most 64 bits") from None

    def skip(self, count: int, what: str) -> None:
        """Pass over bytes without reading them."""
        if not 0 <= count <= self.size - self.at:
            raise BrokenFileError(f"{what} ends beyond the file, or has a length below 0")
        self.at = self.file.seek(self.at + count)


def read_metadata(scan: Scan) -> Mapping[bytes, bytes]:
    """The header's map of names and values."""
    entries: dict[bytes, bytes] = {}
    while count := scan.long("the header"):
        if count < 0:
            scan.long("the header")  # the size in bytes, for those who skip
        for _ in range(abs(count)):
            key = scan.take(scan.long("the header"), "the header")
            if key in entries:
                raise BrokenFileError(f"the header has {key[:80]!r} twice")
            entries[key] = scan.take(scan.long("the header"), "the header")
    return entries


def read_index(file: BinaryIO) -> AvroFile:
    """Read the header and find every block, without reading the blocks' data. Raises BrokenFileError."""
    scan = Scan(file, file.seek(0, 2))
    file.seek(0)
    if scan.size == 0:
        raise BrokenFileError("the file is empty")
    if scan.take(min(len(MAGIC), scan.size), "the header") != MAGIC:
        raise BrokenFileError("the file is not Avro: it does not begin with its magic bytes")
    metadata = read_metadata(scan)
    if b"avro.schema" not in metadata:
        raise BrokenFileError("the header has no schema")
    codec = metadata.get(b"avro.codec", b"null").decode("ascii", "replace")
    if codec not in CODECS:
        raise BrokenFileError(f"codec {codec[:80]!r} is not one of {', '.join(CODECS)}")
    marker = scan.take(MARKER_BYTES, "the header")
    blocks: list[Block] = []
    for number in count(1):
        if scan.at >= scan.size:
            break
        block = read_block(scan, marker, codec, f"block {number}")
        if block.rows:  # some writers end a file with a block of none
            blocks.append(block)
    schema = parse(metadata[b"avro.schema"])
    return AvroFile(sum(block.rows for block in blocks), codec, tuple(blocks), marker, schema, scan.size, smallest(schema))


def read_block(scan: Scan, marker: bytes, codec: str, name: str) -> Block:
    """Find the block that begins here and pass over it. One of no rows must be empty: its number may be what was damaged."""
    offset = scan.at
    rows, length = scan.long(name), scan.long(name)
    data = scan.at
    if rows < 0 or (rows == 0 and length and (length > EMPTY_BYTES or CODECS[codec](scan.take(length, name)))):
        raise BrokenFileError(f"{name} says that it has {rows} rows")
    if rows:
        scan.skip(length, name)
    if scan.take(MARKER_BYTES, name) != marker:
        raise BrokenFileError(f"{name} does not end with the file's marker")
    return Block(offset, scan.at - offset, rows, data - offset)


def read_content(file: BinaryIO, codec: str, block: Block) -> bytes:
    """A block's records, decompressed. Raises BrokenFileError without the block's name."""
    file.seek(block.offset + block.head)
    length = block.bytes - block.head - MARKER_BYTES
    data = file.read(length)
    if len(data) < length:
        raise BrokenFileError("the file became shorter")
    content = CODECS[codec](data)
    if len(content) > CONTENT_LIMIT:
        raise BrokenFileError(f"it has more than {CONTENT_LIMIT} bytes when decompressed")
    return content


def snapped(rows: int, content: bytes, marker: bytes) -> bytes:
    """A block as it stands in a file of codec snappy."""
    data = bytes(cramjam.snappy.compress_raw(content))
    return b"".join((long(rows), long(len(data) + CRC.size), data, CRC.pack(zlib.crc32(content)), marker))


def unsnap(data: bytes) -> bytes:
    """Snappy without frames, then the big-endian CRC-32 of what was compressed."""
    if len(data) < CRC.size:
        raise BrokenFileError("its snappy data ends before the checksum")
    body = memoryview(data)[: -CRC.size]
    try:
        if cramjam.snappy.decompress_raw_len(body) > CONTENT_LIMIT:
            raise BrokenFileError(f"it has more than {CONTENT_LIMIT} bytes when decompressed")
        content = bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError:
        raise BrokenFileError("its snappy data cannot be decompressed") from None
    if CRC.pack(zlib.crc32(content)) != data[-CRC.size :]:
        raise BrokenFileError("its content does not have its checksum")
    return content


def inflate(data: bytes) -> bytes:
    """Deflate without zlib's header; some writers (fastavro) leave the first bytes of zlib's checksum behind it."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflater.decompress(data, CONTENT_LIMIT + 1)
    except zlib.error:
        raise BrokenFileError("its deflate data cannot be decompressed") from None
    checksum = zlib.adler32(content).to_bytes(4, "big")
    if len(content) <= CONTENT_LIMIT and (not inflater.eof or not checksum.startswith(inflater.unused_data)):
        raise BrokenFileError("its deflate data ends too early or too late")
    return content


def unzstd(data: bytes) -> bytes:
    """Zstandard frames."""
    content, length = [], 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            while length <= CONTENT_LIMIT and (piece := stream.read_buffer(ZSTD_BYTES)):
                content.append(piece)
                length += piece.size
    except OSError:
        raise BrokenFileError("its zstandard data cannot be decompressed") from None
    return b"".join(content)


CODECS: Mapping[str, Callable[[bytes], bytes]] = {"null": bytes, "deflate": inflate, "snappy": unsnap, "zstandard": unzstd}
