"""The Avro codec against fastavro in both directions, against every schema a writer may have, and against damage."""

import contextlib
import copy
import io
import json
import struct
import subprocess
import sys
import tracemalloc
import zlib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import cramjam
import fastavro
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contracts import BENEFIT_FACT, DELIVERY_RECORD, ORDER_LINE, PERSON, RECEIPT, Contract, bare, is_nullable
from schemas.errors import BrokenFileError, VerificationError
from storage import avro

CONTRACTS = pytest.mark.parametrize("contract", [BENEFIT_FACT, PERSON, ORDER_LINE, RECEIPT, DELIVERY_RECORD], ids=lambda one: one.name)
CODECS = pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard"])
MARKER = b"0123456789abcdef"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


# values


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of an Avro type, as fastavro takes it."""
    if is_nullable(kind):
        return st.none() | values(bare(kind))
    if isinstance(kind, str):
        return {
            "string": st.text(max_size=5) | st.just("å" * 40),
            "int": st.integers(-(2**31), 2**31 - 1),
            "long": st.integers(-(2**63), 2**63 - 1),
            "boolean": st.booleans(),
        }[kind]
    if "logicalType" in kind:
        return {
            "date": st.dates(),
            "timestamp-millis": st.integers(-(10**13), 10**14).map(lambda ms: EPOCH + timedelta(milliseconds=ms)),
            "decimal": st.integers(1 - 10**12, 10**12 - 1).map(lambda cents: Decimal(cents).scaleb(-2)),
        }[kind["logicalType"]]
    if kind["type"] == "enum":
        return st.sampled_from(kind["symbols"])
    if kind["type"] == "array":
        return st.lists(values(kind["items"]), max_size=3)
    return st.fixed_dictionaries({field["name"]: values(field["type"]) for field in kind["fields"]})


def tables(contract: Contract) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(values(contract.schema), max_size=4)


def blank(kind: Any) -> Any:
    """The emptiest value of an Avro type."""
    if is_nullable(kind):
        return None
    if isinstance(kind, str):
        return {"string": "", "int": 0, "long": 0, "boolean": False}[kind]
    if "logicalType" in kind:
        return {"date": date(2024, 5, 21), "timestamp-millis": EPOCH, "decimal": Decimal("0.00")}[kind["logicalType"]]
    if kind["type"] == "enum":
        return kind["symbols"][0]
    return [] if kind["type"] == "array" else {field["name"]: blank(field["type"]) for field in kind["fields"]}


def fact(**fields: Any) -> dict[str, Any]:
    return {**blank(BENEFIT_FACT.schema), "personnummer": "191212121212", **fields}


FACTS = [
    fact(
        fact_id="a",
        spans=[span := {"first": date(2024, 1, 1), "last": date(2024, 1, 9), "extent_permille": 500, "level": "SGI", "waiting": True}],
    ),
    fact(fact_id="b", kind="PAYMENT", amount=Decimal("-12.34"), spans=[span | {"level": None}, span], country="SE"),
    fact(
        fact_id="c", guarantee={"insurance_years": 40, "income_related_yearly": Decimal("1.00"), "yearly_amount": Decimal("9999999999.99")}
    ),
]


def frame_of(contract: Contract, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=contract.frame)


# files


def number(value: int) -> bytes:
    """An Avro long, written apart from the code under test."""
    rest = value * 2 if value >= 0 else -value * 2 - 1
    groups = []
    while rest > 127:
        groups.append(rest % 128 + 128)
        rest //= 128
    return bytes([*groups, rest])


def text(value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return number(len(data)) + data


def packed(content: bytes, codec: str) -> bytes:
    if codec == "deflate":
        squeezer = zlib.compressobj(wbits=-15)
        return squeezer.compress(content) + squeezer.flush()
    if codec == "snappy":
        return bytes(cramjam.snappy.compress_raw(content)) + struct.pack(">I", zlib.crc32(content))
    return bytes(cramjam.zstd.compress(content)) if codec == "zstandard" else content


def header_of(schema: Any, codec: str = "null") -> bytes:
    written = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    return b"Obj\x01" + number(2) + text("avro.schema") + text(written) + text("avro.codec") + text(codec) + number(0) + MARKER


def block_of(rows: int, content: bytes, codec: str = "null") -> bytes:
    return number(rows) + text(packed(content, codec)) + MARKER


def container(schema: Any, *blocks: tuple[int, bytes], codec: str = "null") -> bytes:
    """A file made by hand: what each block says of its rows, and its content."""
    return header_of(schema, codec) + b"".join(block_of(rows, content, codec) for rows, content in blocks)


def records(schema: Any, rows: list[dict[str, Any]]) -> bytes:
    """Rows as fastavro encodes them, without a container."""
    parsed, buffer = fastavro.parse_schema(copy.deepcopy(schema)), io.BytesIO()
    for row in rows:
        fastavro.schemaless_writer(buffer, parsed, row)
    return buffer.getvalue()


def by_fastavro(schema: Any, rows: list[dict[str, Any]], codec: str = "null") -> bytes:
    """A file as fastavro writes it, but for zstandard, which needs a library more."""
    if codec == "zstandard":
        return container(schema, (len(rows), records(schema, rows)), codec=codec) if rows else header_of(schema, codec)
    buffer = io.BytesIO()
    fastavro.writer(buffer, fastavro.parse_schema(copy.deepcopy(schema)), rows, codec=codec, sync_marker=MARKER)
    return buffer.getvalue()


CONTENT = records(BENEFIT_FACT.schema, FACTS)
FIRST = len(records(BENEFIT_FACT.schema, FACTS[:1]))


# round trips


@CONTRACTS
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_fastavro_reads_what_we_write(contract, data):
    rows = data.draw(tables(contract))
    cut = data.draw(st.integers(0, len(rows)))
    written = avro.header(contract, MARKER) + avro.encode(
        frame_of(contract, rows), contract, MARKER, [n for n in (cut, len(rows) - cut) if n]
    )
    assert list(fastavro.reader(io.BytesIO(written))) == rows
    assert fastavro.reader(io.BytesIO(written)).writer_schema == fastavro.parse_schema(copy.deepcopy(contract.schema), _write_hint=False)


@CONTRACTS
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_we_read_what_fastavro_writes(contract, data):
    rows = data.draw(tables(contract))
    codec = data.draw(st.sampled_from(["null", "deflate", "snappy", "zstandard"]))
    found = avro.read(by_fastavro(contract.schema, rows, codec), contract)
    assert found.schema == contract.frame
    assert found.to_dicts() == rows


@CONTRACTS
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_null_second_and_fields_and_symbols_in_another_order_change_nothing(contract, data):
    rows = data.draw(tables(contract))
    turned = turn(contract.schema)
    assert avro.read(by_fastavro(turned, rows), contract).equals(frame_of(contract, rows))


def turn(kind: Any) -> Any:
    """The same schema with fields, symbols and branches the other way round, and without defaults."""
    if isinstance(kind, list):
        return [turn(branch) for branch in reversed(kind)]
    if isinstance(kind, str):
        return kind
    turned = dict(kind)
    if kind["type"] == "record":
        turned["fields"] = [{"name": field["name"], "type": turn(field["type"])} for field in reversed(kind["fields"])]
    if kind["type"] == "enum":
        turned["symbols"] = kind["symbols"][::-1]
    if kind["type"] == "array":
        turned["items"] = turn(kind["items"])
    return turned


def test_the_bytes_of_a_file_are_golden():
    rows = [{"order_id": "O1", "line_no": 7, "accepted": False, "code": "FUTURE_DATE", "text": "å", "effective_on": date(1970, 1, 2)}]
    schema = json.dumps(RECEIPT.schema, separators=(",", ":")).encode()
    expected = b"Obj\x01\x04\x16avro.schema" + text(schema) + b"\x14avro.codec\x0csnappy\x00" + MARKER
    content = b"\x04O1\x0e\x00\x0e\x04\xc3\xa5\x02\x02"
    expected += b"\x02" + text(b"\x0b\x28" + content + struct.pack(">I", zlib.crc32(content))) + MARKER
    assert avro.header(RECEIPT, MARKER) + avro.encode(frame_of(RECEIPT, rows), RECEIPT, MARKER) == expected


def test_the_same_frame_gives_the_same_bytes_however_it_is_chunked():
    frame = frame_of(BENEFIT_FACT, FACTS)
    pieces = pl.concat([frame_of(BENEFIT_FACT, FACTS + FACTS).slice(3, 2), frame.slice(2)], rechunk=False)
    assert avro.encode(pieces, BENEFIT_FACT, MARKER) == avro.encode(frame, BENEFIT_FACT, MARKER)


def test_encoded_pieces_join_to_a_file_and_chosen_blocks_are_one_again(tmp_path):
    frame = frame_of(BENEFIT_FACT, FACTS * 4)
    path = tmp_path / "facts.avro"
    size = avro.write(path, frame, BENEFIT_FACT, MARKER, [5, 1, 6])
    found = avro.inspect(path, BENEFIT_FACT)
    data = path.read_bytes()
    assert (found.rows, found.codec, found.marker, found.size, [block.rows for block in found.blocks]) == (
        12,
        "snappy",
        MARKER,
        size,
        [5, 1, 6],
    )
    chosen = b"".join(data[block.offset : block.offset + block.bytes] for block in found.blocks[1:])
    assert avro.read(avro.header(BENEFIT_FACT, MARKER) + chosen, BENEFIT_FACT).equals(frame.slice(5))
    assert [piece.height for piece in avro.batches(path, BENEFIT_FACT, 6)] == [6, 6]
    assert pl.concat(avro.batches(path, BENEFIT_FACT, 1)).equals(frame)


@CONTRACTS
def test_an_empty_frame_has_no_blocks_and_comes_back_empty(contract):
    empty = contract.frame.to_frame()
    assert avro.encode(empty, contract, MARKER) == b""
    assert avro.read(avro.header(contract, MARKER), contract).equals(empty)
    assert list(avro.batches(avro.header(contract, MARKER), contract, 10)) == []


def test_a_large_frame_is_cut_into_blocks_of_4096_rows():
    frame = pl.concat([frame_of(RECEIPT, [blank(RECEIPT.schema)])] * 5000)
    assert [block.rows for block in avro.inspect(avro.header(RECEIPT, MARKER) + avro.encode(frame, RECEIPT, MARKER), RECEIPT).blocks] == [
        4096,
        904,
    ]


@pytest.mark.parametrize("cuts", [[2], [4], [3, 0], [4, -1]])
def test_block_rows_that_do_not_fit_the_frame_are_refused(cuts):
    with pytest.raises(VerificationError, match="BenefitFact: blocks of"):
        avro.encode(frame_of(BENEFIT_FACT, FACTS), BENEFIT_FACT, MARKER, cuts)


def test_a_null_where_the_contract_has_none_is_refused_by_name():
    frame = frame_of(BENEFIT_FACT, FACTS)
    with pytest.raises(VerificationError, match="field 'case_id' is null"):
        avro.encode(frame.with_columns(case_id=pl.lit(None, pl.String)), BENEFIT_FACT, MARKER)
    hollow = [fact(spans=[span | {"first": None}])]
    with pytest.raises(VerificationError, match=r"field 'spans\.first' is null"):
        avro.encode(frame_of(BENEFIT_FACT, hollow), BENEFIT_FACT, MARKER)
    with pytest.raises(VerificationError, match="field 'spans' is null"):
        avro.encode(frame_of(BENEFIT_FACT, [fact(spans=[None])]), BENEFIT_FACT, MARKER)
    with pytest.raises(VerificationError, match="columns"):
        avro.encode(frame.drop("case_id"), BENEFIT_FACT, MARKER)


# schemas


def changed(path: str, **properties: Any) -> dict[str, Any]:
    """The facts' schema with a field's properties replaced."""
    schema = copy.deepcopy(BENEFIT_FACT.schema)
    find(schema, path).update(properties)
    return schema


def find(schema: Any, path: str) -> dict[str, Any]:
    first, _, rest = path.partition(".")
    field = next(field for field in schema["fields"] if field["name"] == first)
    kind = bare(field["type"])
    return find(kind["items"] if kind["type"] == "array" else kind, rest) if rest else field


def added(path: str, kind: Any, where: int = 1) -> dict[str, Any]:
    """The facts' schema with a field of this type added, at the top or in the record `path`."""
    schema = copy.deepcopy(BENEFIT_FACT.schema)
    record = schema
    if path:
        kind_of = bare(find(schema, path)["type"])
        record = kind_of["items"] if kind_of["type"] == "array" else kind_of
    record["fields"].insert(where, {"name": "extra", "type": kind})
    return schema


def without(path: str) -> dict[str, Any]:
    schema = copy.deepcopy(BENEFIT_FACT.schema)
    parent, _, name = path.rpartition(".")
    record = schema
    if parent:
        kind = bare(find(schema, parent)["type"])
        record = kind["items"] if kind["type"] == "array" else kind
    record["fields"] = [field for field in record["fields"] if field["name"] != name]
    return schema


NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
ADDED = [
    (["null", "string"], "x"),
    (["double", "null"], 1.5),
    ("null", None),
    (["null", "float"], None),
    (["null", "bytes"], b"\xff"),
    (["null", {"type": "int", "logicalType": "time-millis"}], None),
    (["null", {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]}], "BLUE"),
    (["null", {"type": "enum", "name": "Nothing", "symbols": []}], None),
    (["null", {"type": "map", "values": ["null", "long"]}], {"a": 1, "b": None}),
    (["null", {"type": "fixed", "name": "Hash", "size": 3}], b"abc"),
    ([{"type": "fixed", "name": "Period", "size": 12, "logicalType": "duration"}, "null"], b"abcdefghijkl"),
    (["null", "int", "string", {"type": "array", "items": "boolean"}], [True, False]),
    (["string", "null", "int"], None),
    (["null"], None),
    (["null", NODE], {"next": {"next": {"next": None}}}),
    (
        ["null", {"type": "array", "items": {"type": "record", "name": "None", "fields": [{"name": "n", "type": "null"}]}}],
        [{"n": None}] * 3,
    ),
]


@pytest.mark.parametrize(("kind", "value"), ADDED, ids=lambda one: str(one)[:60])
@pytest.mark.parametrize("path", ["", "spans", "guarantee"])
@pytest.mark.parametrize("where", [0, 3])
def test_added_nullable_fields_of_any_type_are_passed_over(kind, value, path, where):
    schema = added(path, kind, where)
    rows = copy.deepcopy(FACTS)
    for row in rows:
        holders = [row] if not path else row[path] if path == "spans" else [row[path]] if row[path] else []
        for holder in holders:
            holder["extra"] = value
    for codec in ("snappy", "null"):
        assert avro.read(by_fastavro(schema, rows, codec), BENEFIT_FACT).equals(frame_of(BENEFIT_FACT, FACTS))


@pytest.mark.parametrize("path", ["country", "guarantee", "spans.level", "amount"])
def test_a_missing_nullable_field_is_null(path):
    rows = copy.deepcopy(FACTS)
    for row in rows:
        for holder in row["spans"] if path == "spans.level" else [row]:
            holder[path.removeprefix("spans.")] = None
    assert avro.read(by_fastavro(without(path), rows), BENEFIT_FACT).equals(frame_of(BENEFIT_FACT, rows))


KIND = bare(BENEFIT_FACT.fields["kind"])
DATE = {"type": "int", "logicalType": "date"}
MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
ACCEPTED = {
    "other record name": BENEFIT_FACT.schema | {"name": "Faktum", "namespace": "se.example"},
    "no namespace": {key: value for key, value in BENEFIT_FACT.schema.items() if key != "namespace"},
    "full name": BENEFIT_FACT.schema | {"name": "se.example.Faktum"},
    "doc, aliases and properties": BENEFIT_FACT.schema | {"doc": "d", "aliases": ["A"], "owner": {"x": 1}},
    "other enum name": changed(
        "kind", type=KIND | {"name": "Sort", "namespace": "a.b", "doc": "d", "aliases": ["K"], "default": "PAYMENT"}
    ),
    "no default": changed("country", type=["null", "string"], doc=""),
    "type as an object": changed("case_id", type={"type": "string", "avro.java.string": "String"}),
    "type in a type": changed("case_id", type={"type": {"type": "string"}}),
    "bytes with a property": changed("amount", type=["null", MONEY | {"currency": "SEK"}]),
    "date as written": changed("period_from", type=["null", DATE | {"doc": "d"}]),
}


@pytest.mark.parametrize("schema", ACCEPTED.values(), ids=ACCEPTED.keys())
@CODECS
def test_what_does_not_matter_in_a_schema_is_accepted(schema, codec):
    assert avro.read(container(schema, (3, CONTENT), codec=codec), BENEFIT_FACT).equals(frame_of(BENEFIT_FACT, FACTS))


def test_a_type_that_is_not_null_where_null_is_allowed_is_accepted():
    rows = [fact(country="SE", amount=Decimal("1.00"), period_to=date(2024, 1, 1), guarantee=FACTS[2]["guarantee"], spans=[span])]
    schema = copy.deepcopy(BENEFIT_FACT.schema)
    for path in ("country", "amount", "period_to", "guarantee", "spans.level"):
        field = find(schema, path)
        field["type"] = bare(field["type"])
        del field["default"]
    assert avro.read(by_fastavro(schema, rows), BENEFIT_FACT).equals(frame_of(BENEFIT_FACT, rows))


def test_types_may_be_named_where_they_are_used_again():
    schema = added("", ["null", {"type": "enum", "name": "Kind", "symbols": KIND["symbols"]}], 0)
    find(schema, "kind")["type"] = "lefi.v1.Kind"
    rows = [{"extra": "PAYMENT", **row} for row in FACTS]
    assert avro.read(by_fastavro(schema, rows), BENEFIT_FACT).equals(frame_of(BENEFIT_FACT, FACTS))
    find(schema, "kind")["type"] = "Kind"
    assert avro.read(by_fastavro(schema, rows), BENEFIT_FACT).equals(frame_of(BENEFIT_FACT, FACTS))


REFUSED = [
    (changed("version", type="long"), "field 'version' is long, the contract has int"),
    (changed("version", type=["null", "int"]), "field 'version' is nullable, and in the contract it is not"),
    (changed("version", type=["int"]), "field 'version' is union of int, the contract has int"),
    (changed("version", type=DATE), "field 'version' is int date, the contract has int"),
    (changed("case_id", type="bytes"), "field 'case_id' is bytes, the contract has string"),
    (changed("case_id", type={"type": "string", "logicalType": "uuid"}), "field 'case_id' is string uuid, the contract has string"),
    (changed("country", type=["null", "bytes"]), "field 'country' is bytes, the contract has string"),
    (changed("country", type=["null", "string", "int"]), "field 'country' is union of null, string, int, the contract has string"),
    (changed("country", type="null"), "field 'country' is null, the contract has string"),
    (changed("period_from", type=["null", "int"]), "field 'period_from' is int, the contract has int date"),
    (changed("period_from", type=["null", "string"]), "field 'period_from' is string, the contract has int date"),
    (
        changed("period_from", type=["null", {"type": "long", "logicalType": "date"}]),
        "field 'period_from' is long date, the contract has int date",
    ),
    (changed("recorded_at", type="long"), "field 'recorded_at' is long, the contract has long timestamp-millis"),
    (changed("recorded_at", type={"type": "long", "logicalType": "timestamp-micros"}), "field 'recorded_at' is long timestamp-micros"),
    (changed("recorded_at", type={"type": "long", "logicalType": "local-timestamp-millis"}), "field 'recorded_at' is long local-timestamp"),
    (changed("amount", type=["null", "bytes"]), r"field 'amount' is bytes, the contract has bytes decimal\(12,2\)"),
    (changed("amount", type=["null", MONEY | {"precision": 13}]), r"field 'amount' is bytes decimal\(13,2\)"),
    (changed("amount", type=["null", MONEY | {"scale": 3}]), r"field 'amount' is bytes decimal\(12,3\)"),
    (changed("amount", type=["null", MONEY | {"type": "fixed", "name": "F", "size": 6}]), r"field 'amount' is fixed decimal\(12,2\)"),
    (changed("kind", type="string"), "field 'kind' is string, the contract has enum"),
    (changed("kind", type=KIND | {"symbols": [*KIND["symbols"], "NEW"]}), "field 'kind' has other symbols than the contract: NEW"),
    (changed("kind", type=KIND | {"symbols": KIND["symbols"][1:]}), "field 'kind' has other symbols than the contract: DECISION"),
    (changed("kind", type=KIND | {"symbols": []}), "field 'kind' has other symbols than the contract"),
    (changed("kind", type=["null", KIND]), "field 'kind' is nullable"),
    (changed("spans", type="string"), "field 'spans' is string, the contract has array"),
    (changed("spans", type=["null", BENEFIT_FACT.fields["spans"]]), "field 'spans' is nullable"),
    (changed("spans", type={"type": "array", "items": "int"}), "field 'spans' is int, the contract has record"),
    (changed("spans.first", type="int"), "field 'spans.first' is int, the contract has int date"),
    (changed("guarantee.insurance_years", type="long"), "field 'guarantee.insurance_years' is long, the contract has int"),
    (changed("guarantee", type=["null", "string"]), "field 'guarantee' is string, the contract has record"),
    (added("", "int"), "field 'extra' is not in the contract and not nullable"),
    (added("", ["int", "string"]), "field 'extra' is not in the contract and not nullable"),
    (added("spans", "int"), "field 'spans.extra' is not in the contract and not nullable"),
    (added("guarantee", {"type": "array", "items": "null"}), "field 'guarantee.extra' is not in the contract and not nullable"),
    (without("case_id"), "field 'case_id' is missing, and the contract has it not nullable"),
    (without("spans.waiting"), "field 'spans.waiting' is missing, and the contract has it not nullable"),
    (without("guarantee.yearly_amount"), "field 'guarantee.yearly_amount' is missing, and the contract has it not nullable"),
    (changed("case_id", name="benefit"), "the schema has field 'benefit' twice in one record"),
    ("string", "the schema is string, not a record"),
    (["null", BENEFIT_FACT.schema], "the schema is union of null, record, not a record"),
    (changed("kind", type="Sort"), "the schema names an unknown type 'Sort'"),
    (changed("country", type=["null", "null"]), "the schema has a union"),
    (changed("country", type=[]), "the schema has a union"),
    (changed("country", type=None), "the schema has a NoneType where a type belongs"),
    (changed("kind", type={"type": "enum", "name": "K", "symbols": ["A", "A"]}), "the schema has an enum whose symbols"),
    (changed("country", type=["null", KIND]), "the schema defines 'Kind' twice"),
    ({"type": "record", "name": "R"}, "the schema has a record without fields"),
    ({"type": "record", "fields": []}, "the schema has a record without a name"),
    ({"type": "record", "name": "R", "fields": [{"name": "a"}]}, "the schema has a field without name or type"),
    (added("", ["null", {"type": "fixed", "name": "F", "size": -1}]), "the schema has a fixed without a size"),
    (b"{", "the schema is not JSON"),
    (b"\xff", "the schema is not JSON"),
    (b"[" * 200_000, "the schema is nested too deep"),
]


@pytest.mark.parametrize(("schema", "reason"), REFUSED, ids=[f"{number} {reason[:50]}" for number, (_, reason) in enumerate(REFUSED)])
def test_every_other_schema_is_refused_by_field_and_reason(schema, reason):
    for check in (avro.inspect, avro.read):
        with pytest.raises(BrokenFileError, match=reason):
            check(header_of(schema), BENEFIT_FACT)


# damage


def refusal(data: bytes) -> str:
    with pytest.raises(BrokenFileError) as caught:
        avro.read(data, BENEFIT_FACT)
    return str(caught.value)


@CODECS
def test_a_truncated_file_is_refused_wherever_it_ends(codec):
    whole = container(BENEFIT_FACT.schema, (1, CONTENT[:FIRST]), (2, CONTENT[FIRST:]), codec=codec)
    borders = {len(header_of(BENEFIT_FACT.schema, codec)), len(container(BENEFIT_FACT.schema, (1, CONTENT[:FIRST]), codec=codec))}
    for end in set(range(len(whole))) - borders:
        refusal(whole[:end])
    assert refusal(b"") == "the file is empty"


@CODECS
def test_a_wrong_count_is_refused_by_block(codec):
    for rows in (1, 2, 4, 5):
        assert refusal(container(BENEFIT_FACT.schema, (rows, CONTENT), codec=codec)).startswith("block 1: ")
    both = container(BENEFIT_FACT.schema, (3, CONTENT), (2, CONTENT[:FIRST]), (2, CONTENT), codec=codec)
    assert refusal(both).startswith("block 2: ")


@pytest.mark.parametrize("rest", [b"\x00", b"\x01", b"\x02", b"\x80\x00", bytes(40)])
def test_bytes_left_over_in_a_block_are_refused(rest):
    assert refusal(container(BENEFIT_FACT.schema, (3, CONTENT + rest))) == "block 1: it has more bytes than its 3 rows take"
    for contract in (PERSON, ORDER_LINE, RECEIPT, DELIVERY_RECORD):
        one = records(contract.schema, [blank(contract.schema)])
        with pytest.raises(BrokenFileError, match="block 1: it has more bytes than its 1 rows take"):
            avro.read(container(contract.schema, (1, one + rest)), contract)


@pytest.mark.parametrize("rows", [0, -1, 2**40, 2**62, -(2**63)])
def test_an_impossible_count_is_refused(rows):
    for check in (avro.inspect, avro.read):
        with pytest.raises(BrokenFileError, match=f"says.* {rows} rows"):
            check(container(BENEFIT_FACT.schema, (rows, CONTENT)), BENEFIT_FACT)


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard"])
def test_blocks_of_no_rows_are_passed_over(codec):
    blocks = [(0, b""), (1, CONTENT[:FIRST]), (0, b""), (2, CONTENT[FIRST:]), (0, b"")]
    file = container(BENEFIT_FACT.schema, *blocks, codec=codec)
    assert avro.inspect(file, BENEFIT_FACT).rows == 3
    assert avro.read(file, BENEFIT_FACT).equals(avro.read(container(BENEFIT_FACT.schema, *blocks[1::2], codec=codec), BENEFIT_FACT))


def test_a_wrong_size_or_marker_or_header_is_refused_by_name():
    start, block = header_of(BENEFIT_FACT.schema), block_of(3, CONTENT)
    assert refusal(start + number(3) + number(2**50) + block) == "block 1 ends beyond the file, or has a length below 0"
    assert refusal(start + number(3) + number(-5) + block) == "block 1 ends beyond the file, or has a length below 0"
    assert refusal(start + block + block[:-1] + b"!") == "block 2 does not end with the file's marker"
    assert refusal(start + block + b"\xff" * 20) == "block 2 is no number of at most 64 bits"
    assert refusal(b"PAR1" + start) == "the file is not Avro: it does not begin with its magic bytes"
    assert refusal(header_of(BENEFIT_FACT.schema, "bzip2")) == "codec 'bzip2' is not one of null, deflate, snappy, zstandard"
    assert refusal(b"Obj\x01" + number(1) + text("avro.codec") + text("null") + number(0) + MARKER) == "the header has no schema"
    assert refusal(b"Obj\x01" + number(2) + (text("a") + text("b")) * 2) == "the header has b'a' twice"
    assert refusal(b"Obj\x01" + number(2**62)).startswith("the header ends beyond the file")


def test_a_header_in_several_pieces_with_foreign_entries_and_no_codec_is_read():
    pieces = number(1) + text("by") + text("x") + number(-1) + number(99) + text("avro.schema") + text(json.dumps(BENEFIT_FACT.schema))
    assert avro.read(b"Obj\x01" + pieces + number(0) + MARKER + block_of(3, CONTENT), BENEFIT_FACT).equals(frame_of(BENEFIT_FACT, FACTS))


@pytest.mark.parametrize("codec", ["deflate", "snappy", "zstandard"])
def test_data_that_cannot_be_decompressed_is_refused(codec):
    start, data = header_of(BENEFIT_FACT.schema, codec), packed(CONTENT, codec)
    for broken in (b"", data[:-1], data[1:], data[:9] + bytes([data[9] ^ 0xFF]) + data[10:], data + b"junk junk", data[:3]):
        assert refusal(start + number(3) + text(broken) + MARKER).startswith("block 1: it")


def test_a_checksum_that_is_not_the_contents_is_refused():
    start, data = header_of(BENEFIT_FACT.schema, "snappy"), packed(CONTENT, "snappy")
    assert (
        refusal(start + number(3) + text(data[:-1] + bytes([data[-1] ^ 1])) + MARKER) == "block 1: its content does not have its checksum"
    )


@pytest.mark.parametrize("codec", ["deflate", "zstandard"])
def test_a_bomb_ends_at_the_limit(codec, monkeypatch):
    monkeypatch.setattr("storage.avro_blocks.CONTENT_LIMIT", 1 << 20)
    bomb = container(BENEFIT_FACT.schema, (3, bytes(1 << 24)), codec=codec)
    assert refusal(bomb) == "block 1: it has more than 1048576 bytes when decompressed"


def test_a_snappy_block_that_claims_four_gigabytes_is_refused():
    lie = b"\xff\xff\xff\xff\x0f" + bytes(20)
    assert refusal(header_of(BENEFIT_FACT.schema, "snappy") + number(1) + text(lie) + MARKER) == (
        "block 1: it has more than 268435456 bytes when decompressed"
    )


def raw(**fields: bytes) -> bytes:
    """One fact, with the bytes of some fields put in by hand."""
    parts = [
        fields.get(name) or records({"type": "record", "name": "R", "fields": [field]}, [FACTS[0]]) for name, field in by_name().items()
    ]
    return b"".join(parts)


def by_name() -> dict[str, Any]:
    return {field["name"]: copy.deepcopy(field) for field in BENEFIT_FACT.schema["fields"]}


ITEM = records(bare(BENEFIT_FACT.fields["spans"])["items"], [span])
WRONG = [
    ({"case_id": text(b"\xff")}, "field 'case_id' is not UTF-8"),
    ({"benefit": text(b"\xc3"), "case_id": text(b"\xa5")}, "field 'benefit' is not UTF-8"),
    ({"country": number(1) + text(b"\xc3")}, "field 'country' is not UTF-8"),
    ({"spans": number(1) + ITEM[:-5] + b"\xff" + ITEM[-4:] + number(0)}, "field 'spans' "),
    ({"case_id": number(2**50) + b"x"}, "field 'case_id' ends beyond the block"),
    ({"case_id": number(-1) + b"x"}, "field 'case_id' has a length below 0"),
    ({"version": number(2**31)}, "field 'version' has an int of more than 32 bits"),
    ({"version": b"\x80" * 12 + b"\x01"}, "field 'version' has a number of more than 64 bits"),
    ({"kind": number(4)}, "field 'kind' has a symbol that its enum does not have"),
    ({"kind": number(-1)}, "field 'kind' has a symbol that its enum does not have"),
    ({"spans": number(2**60) + ITEM + number(0)}, "ends beyond the block"),
    ({"spans": number(-(2**63)) + number(9) + ITEM + number(0)}, "ends beyond the block"),
    ({"amount": number(1) + text((10**12).to_bytes(6, "big"))}, "field 'amount' has a decimal of more than 12 digits"),
    ({"amount": number(1) + text(b"\x7f" * 16)}, "field 'amount' has a decimal of more than 12 digits"),
    ({"amount": number(1) + text(b"\x80" + bytes(15))}, "field 'amount' has a decimal of more than 12 digits"),
    ({"amount": number(1) + text(b"\x01" * 40)}, "field 'amount' has a decimal of more than 12 digits"),
    ({"guarantee": number(1) + number(3) + text(b"") + text(b"\x7f" * 9)}, "field 'guarantee' has a decimal of more than 12 digits"),
]


@pytest.mark.parametrize(("fields", "reason"), WRONG, ids=[reason for _, reason in WRONG])
def test_wrong_values_are_refused_by_block_and_field(fields, reason):
    found = refusal(container(BENEFIT_FACT.schema, (3, CONTENT), (2, raw() + raw(**fields))))
    assert found.startswith("block 2: ")
    assert reason in found
    assert "1912" not in found


def test_values_at_the_ends_of_their_ranges_are_read():
    ends = raw(
        version=number(-(2**31)),
        period_from=number(1) + number(2**31 - 1),
        recorded_at=number(-62_135_596_800_000),
        amount=number(1) + text(b"\xff" * 20 + b"\xfe"),
        spans=number(-1) + number(len(ITEM)) + ITEM + number(1) + ITEM + number(0),
        kind=b"\x82\x80\x00",
    )
    found = avro.read(container(BENEFIT_FACT.schema, (1, ends)), BENEFIT_FACT)
    assert found["version"].item() == -(2**31)
    assert found["period_from"].to_physical().item() == 2**31 - 1
    assert found["recorded_at"].item() == datetime(1, 1, 1, tzinfo=UTC)
    assert found["amount"].item() == Decimal("-0.02")
    assert found["kind"].item() == "PAYMENT"
    assert found["spans"].item().to_list() == [span, span]


@pytest.mark.parametrize("milliseconds", [-62_135_596_800_001, 253_402_300_800_000, -(2**63), 2**63 - 1, 1_716_282_000_000_000_000])
def test_a_time_that_no_receiver_can_read_breaks_the_file(milliseconds):
    """Also nanoseconds for milliseconds: a cast of such a time to microseconds would end the night of everybody."""
    file = container(BENEFIT_FACT.schema, (1, raw(recorded_at=number(milliseconds))))
    with pytest.raises(BrokenFileError, match="block 1: field 'recorded_at' lies outside the years 1 to 9999"):
        avro.read(file, BENEFIT_FACT)


@pytest.mark.parametrize("days", [-719_163, 2_932_897])
def test_a_birth_date_that_no_receiver_can_read_breaks_the_file(days):
    row = {"personnummer": "199001150000", "birth_date": days, "protected": False, "recorded_at": 0}
    frame = pl.DataFrame([row]).with_columns(
        pl.col("birth_date").cast(pl.Int32).cast(pl.Date), pl.col("recorded_at").cast(pl.Datetime("ms", "UTC"))
    )
    whole = pl.concat([pl.DataFrame(schema=PERSON.frame), frame], how="diagonal").select(list(PERSON.frame))
    file = avro.header(PERSON, MARKER) + avro.encode(whole, PERSON, MARKER)
    with pytest.raises(BrokenFileError, match="field 'birth_date' lies outside the years 1 to 9999"):
        avro.read(file, PERSON)


ENDLESS = {"type": "array", "items": "null"}
BOMBS = [
    (["null", ENDLESS], number(1) + number(2**62) + number(0), None),
    (["null", ENDLESS], number(1) + number(2**62) + number(2**62) * 3 + number(0), None),
    (["null", {"type": "map", "values": "null"}], number(1) + number(2**62) + text("") * 3 + number(0), "field 'extra' "),
    (["null", {"type": "array", "items": ENDLESS}], number(1) + number(2**62) + number(0), "ends beyond the block"),
    (["null", NODE], number(1) * 100_000 + number(0), "field 'extra' is nested too deep"),
    (["null", {"type": "fixed", "name": "F", "size": 2**40}], number(1) + b"x", "ends beyond the block"),
    (["null", "int", "string"], number(3), "field 'extra' has a branch that its union does not have"),
]


@pytest.mark.parametrize(("kind", "value", "reason"), BOMBS, ids=lambda one: str(one)[:40])
def test_bombs_in_added_fields_do_no_harm(kind, value, reason):
    bomb = container(added("", kind, 0), (1, value + CONTENT[:FIRST]))
    if reason is None:
        assert avro.read(bomb, BENEFIT_FACT).equals(frame_of(BENEFIT_FACT, FACTS[:1]))
    else:
        assert reason in refusal(bomb)


def test_a_schema_whose_names_double_at_every_level_is_no_bomb():
    kind: Any = {"type": "record", "name": "R0", "fields": [{"name": "a", "type": "int"}]}
    for level in range(1, 60):
        kind = {"type": "record", "name": f"R{level}", "fields": [{"name": "a", "type": kind}, {"name": "b", "type": f"R{level - 1}"}]}
    schema = added("", ["null", kind], 0)
    assert avro.read(container(schema, (1, number(0) + CONTENT[:FIRST])), BENEFIT_FACT).height == 1


class PanicException(BaseException):
    """Stands for a panic of the codec."""


@pytest.mark.parametrize(("raised", "seen"), [(PanicException, BrokenFileError), (KeyboardInterrupt, KeyboardInterrupt)])
def test_a_panic_of_the_codec_is_a_broken_file_and_an_interrupt_is_not(raised, seen, monkeypatch):
    def panic(*_):
        raise raised

    monkeypatch.setattr(avro, "AvroSource", panic)
    with pytest.raises(seen):
        avro.read(container(BENEFIT_FACT.schema, (3, CONTENT)), BENEFIT_FACT)


def test_reading_damaged_files_keeps_no_memory():
    data = packed(CONTENT, "zstandard")
    broken = [
        header_of(BENEFIT_FACT.schema, "zstandard") + number(3) + text(data[:at] + b"\xff\xff" + data[at + 2 :]) + MARKER
        for at in range(4, 11)
    ]
    tracemalloc.start()
    for file in broken:
        with contextlib.suppress(BrokenFileError):
            avro.read(file, BENEFIT_FACT)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1 << 20


FUZZ = """
import random, sys
from schemas.contracts import BENEFIT_FACT
from schemas.errors import BrokenFileError
from storage import avro
whole, rows = bytes.fromhex(sys.argv[1]), 3
dice = random.Random(int(sys.argv[2]))
refused = 0
for _ in range(int(sys.argv[3])):
    data = bytearray(whole)
    for _ in range(dice.choice((1, 1, 1, 3))):
        data[dice.randrange(int(sys.argv[4]), len(data))] = dice.choice((dice.randrange(256), 0, 1, 127, 128, 255))
    try:
        assert avro.read(bytes(data), BENEFIT_FACT).height == rows
    except BrokenFileError:
        refused += 1
print(refused)
"""


@pytest.mark.parametrize("codec", ["null", "snappy"])
def test_flipped_bits_never_crash_hang_or_change_the_number_of_rows(codec):
    whole = container(BENEFIT_FACT.schema, (1, CONTENT[:FIRST]), (2, CONTENT[FIRST:]), codec=codec)
    start = len(header_of(BENEFIT_FACT.schema, codec))
    arguments = [whole.hex(), "7", "300", str(start)]
    done = subprocess.run([sys.executable, "-c", FUZZ, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > (290 if codec == "snappy" else 100)
