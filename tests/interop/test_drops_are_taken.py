"""Drops written by Apache Avro in Java and by Spark (R2, section 4): the nights deliver what they deliver from drops written by fastavro."""

import copy
import hashlib
import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

from schemas.contracts import BY_DATASET, Contract, bare, is_nullable
from storage.inbox import HEAD
from tests.interop.rows import NIGHTS, Row, everything, files_of, java, nights, ours, plain, run
from tests.kit import ANNA, World, avro_rows
from tests.spark.session import session
from tests.straight import straight

Schema = dict[str, Any]
Written = dict[Path, bytes]  # file of a drop -> its new content
Rewrite = Callable[[list[tuple[Path, Contract]], Path], Written]
CODECS = ("null", "deflate", "snappy", "zstandard")


def others(kind: Any, dice: random.Random, names: Iterator[str]) -> Any:
    """A type as somebody else might say it (contract, section 4): other names, orders, docs, aliases, null second."""
    if is_nullable(kind):
        return [others(bare(kind), dice, names), "null"]
    if not isinstance(kind, dict):
        return kind
    if kind["type"] == "array":
        return {"type": "array", "items": others(kind["items"], dice, names)}
    if kind["type"] not in ("record", "enum"):
        return {**kind, "written-by": "another tool"}
    named = {**kind, "name": next(names), "namespace": "se.bolaget", "aliases": [kind["name"]], "doc": "Said otherwise."}
    if kind["type"] == "enum":
        return {**named, "symbols": dice.sample(kind["symbols"], len(kind["symbols"]))}
    fields = [{"name": each["name"], "type": others(each["type"], dice, names), "doc": "?"} for each in kind["fields"]]
    return {**named, "fields": dice.sample(fields, len(fields))}


def as_others_say_it(contract: Contract) -> Schema:
    """A contract's schema with all that may differ, and a nullable field that the contract does not have."""
    names = (f"Type{number}" for number in range(100))
    said: Schema = others(dict(contract.schema), random.Random(contract.name), names)
    extra = {"name": "kommun", "type": ["null", "string"], "default": None}
    return {**said, "fields": [*said["fields"], extra]}


def strictly(contract: Contract, rows: list[Row]) -> Schema:
    """A contract's schema where nothing is null that no row has null, and without what no row has."""
    fields = copy.deepcopy(contract.schema)["fields"]
    kept = []
    for field in fields:
        empty = [row[field["name"]] is None for row in rows]
        if not is_nullable(field["type"]) or not all(empty):
            kept.append(field if any(empty) else {"name": field["name"], "type": bare(field["type"])})
    return {"type": "record", "name": contract.name, "fields": kept}


def by_fastavro(files: list[tuple[Path, Contract]], _: Path) -> Written:
    written = {}
    for path, contract in files:
        buffer = io.BytesIO()
        fastavro.writer(buffer, dict(contract.schema), avro_rows(path), codec="deflate")
        written[path] = buffer.getvalue()
    return written


def by_java(files: list[tuple[Path, Contract]], scratch: Path) -> Written:
    """Every codec by turns, blocks of a few records or one; the contract's schema, others' ways to say it, and strings marked as Java's."""
    tasks = []
    for place, (path, contract) in enumerate(files):
        rows = avro_rows(path)
        schema = (dict(contract.schema), as_others_say_it(contract), strictly(contract, rows))[place % 3]
        tasks.append(
            {
                "schema": schema,
                "rows": plain(rows),
                "out": str(scratch / f"{place}.avro"),
                "codec": CODECS[place % 4],
                "interval": (32, 200, 1 << 20)[place // 4 % 3],
                "strings": place % 2 == 0,
            }
        )
    (scratch / "tasks.json").write_text(json.dumps(tasks, ensure_ascii=False), "utf-8")
    run(*java(), "write", str(scratch / "tasks.json"))
    return {path: (scratch / f"{place}.avro").read_bytes() for place, (path, _) in enumerate(files)}


def by_spark(files: list[tuple[Path, Contract]], scratch: Path) -> Written:
    """Spark's writer with the contract's schema as `avroSchema`, every codec by turns."""
    spark = session()
    written = {}
    for place, (path, contract) in enumerate(files):
        out = scratch / f"{place}"
        codec = ("uncompressed", "deflate", "snappy", "zstandard")[place % 4]
        rows = spark.read.format("avro").load(str(path)).coalesce(1)
        rows.write.format("avro").option("avroSchema", json.dumps(contract.schema)).option("compression", codec).save(str(out))
        (part,) = out.glob("part-*.avro")
        written[path] = part.read_bytes()
    return written


def files_in(world: World) -> list[tuple[Path, Contract]]:
    """The Avro files of the inbox, each with its contract."""
    heads = sorted((world.root / "inbox").glob(f"*/{HEAD}"))
    found = [(head.parent, BY_DATASET[json.loads(head.read_text("utf-8"))["dataset"]]) for head in heads]
    return [(path, contract) for folder, contract in found for path in sorted(folder.glob("*.avro"))]


def put(world: World, written: Written) -> None:
    """Put files in the place of those that are there, and their digests into the heads."""
    for path, data in written.items():
        path.write_bytes(data)
        head = json.loads((path.parent / HEAD).read_text("utf-8"))
        listed = [{**file, "sha256": hashlib.sha256(data).hexdigest()} if file["name"] == path.name else file for file in head["files"]]
        world.edit_head(path.parent, files=listed)


def delivered(world: World) -> list[Any]:
    """All that partners got, but what depends on the drops' digests: rows of parts and receipts, and the manifests' sayings."""
    outbox = world.root / "outbox"
    says = ("partner", "sequence", "totals", "withheld", "refreshes", "business_date")
    manifests = [json.loads(path.read_text("utf-8")) for path in files_of(outbox, "manifest.json")]
    rows = [ours([path]) for name in ("part-*.avro", "receipts.avro") for path in files_of(outbox, name)]
    return [*rows, *({name: manifest[name] for name in says} for manifest in manifests)]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three nights' drops, none of which was taken yet."""
    return everything(tmp_path_factory.mktemp("drops") / "ws")


@pytest.fixture(scope="module")
def expected(story: World) -> list[Any]:
    """What comes of the drops as our own codec wrote them."""
    with straight():
        return delivered(nights(story.twin("own")))


@pytest.mark.parametrize("tool", [by_fastavro, *(pytest.param(tool, marks=pytest.mark.slow) for tool in (by_java, by_spark))])
def test_drops_of_other_writers_are_delivered_alike(story: World, expected: list[Any], tool: Rewrite, tmp_path: Path) -> None:
    world = story.twin_at(tmp_path / "ws")
    files = files_in(world)
    assert {contract.name for _, contract in files} == {"BenefitFact", "Person", "OrderLine"}
    (tmp_path / "scratch").mkdir()
    written = tool(files, tmp_path / "scratch")
    assert all(data != path.read_bytes() for path, data in written.items())
    put(world, written)
    with straight():
        assert delivered(nights(world)) == expected
    assert {each["state"] for each in world.report()["drops"]} == {"consumed"}


@pytest.mark.slow
def test_what_spark_writes_without_the_contracts_schema_is_refused_by_name(world: World, tmp_path: Path) -> None:
    """Spark alone makes texts nullable and money a fixed: `avroSchema` is needed, and the night says which field is wrong."""
    spark = session()
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-20")
    world.drops(NIGHTS[0])
    said = {}
    for place, (path, contract) in enumerate(files_in(world)):
        spark.read.format("avro").load(str(path)).coalesce(1).write.format("avro").save(str(tmp_path / str(place)))
        (part,) = (tmp_path / str(place)).glob("part-*.avro")
        put(world, {path: part.read_bytes()})
        said[contract.name] = path.parent
    with straight():
        world.night(NIGHTS[0])
    assert set(said) == {"BenefitFact", "Person", "OrderLine"}
    assert "field 'personnummer' is nullable, and in the contract it is not" in world.drop_text(said["Person"])
    assert "field 'personnummer' is nullable, and in the contract it is not" in world.drop_text(said["BenefitFact"])
    assert "field 'order_id' is nullable, and in the contract it is not" in world.drop_text(said["OrderLine"])
    assert world.withheld("BOLAGET") == {"PERSONS": "BROKEN_DROP"}  # and nobody has subscribed: the orders are broken, too
