"""Drops that cannot be taken (R1-R4): each is named with what is wrong, nothing of it is delivered, and the night after its repair has it all."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest

from schemas.contracts import BENEFIT_FACT
from storage import avro
from storage.inbox import HEAD
from tests.kit import ANNA, BO, CATALOGUE, World, avro_bytes, avro_rows, completed, day, number
from tests.straight import straight

PART = "part-0.avro"
Spoil = Callable[[World, Path], object]


def content(folder: Path) -> bytes:
    """The bytes of a drop's file."""
    return (folder / PART).read_bytes()


def relist(world: World, folder: Path, data: bytes, rows: int = 1, name: str = PART) -> None:
    """Give a drop another file, and a head that fits its bytes."""
    (folder / name).write_bytes(data)
    world.edit_head(folder, files=[{"name": name, "rows": rows, "sha256": hashlib.sha256(data).hexdigest()}])


def with_other_rows(world: World, folder: Path) -> None:
    """The head says two rows, the file has one."""
    relist(world, folder, content(folder), rows=2)


def with_other_digest(_: World, folder: Path) -> None:
    """One byte of the file is another one."""
    (folder / PART).write_bytes(content(folder)[:-1] + b"?")


def with_wrong_marker(world: World, folder: Path) -> None:
    """The last block does not end with the file's marker."""
    relist(world, folder, content(folder)[:-1] + b"?")


def with_lying_block(world: World, folder: Path) -> None:
    """The block says that it has two rows."""
    data = content(folder)
    at = data.index(data[-16:]) + 16
    assert data[at] == 2  # one row, zigzag
    relist(world, folder, data[:at] + b"\x04" + data[at + 1 :], rows=2)


def cut_short(world: World, folder: Path) -> None:
    """The file ends in the middle of a block."""
    relist(world, folder, content(folder)[:-30])


def as_no_avro(world: World, folder: Path) -> None:
    """The file is something else."""
    relist(world, folder, b"PK\x03\x04 no Avro")


def with_text_for_version(world: World, folder: Path) -> None:
    """The field `version` is a string."""
    rows = [row | {"version": "1"} for row in avro_rows(folder / PART)]
    schema = json.loads(json.dumps(BENEFIT_FACT.schema))
    next(each for each in schema["fields"] if each["name"] == "version")["type"] = "string"
    with (folder / PART).open("wb") as file:
        fastavro.writer(file, schema, rows)
    relist(world, folder, content(folder))


SPOILS: dict[str, tuple[Spoil, str]] = {
    "FK:SJP": (with_other_rows, "R2: drop 'fk-sjp-2024-05-21': part-0.avro has 1 rows, _drop.json says 2"),
    "FK:FSJP": (with_other_digest, "R2: drop 'fk-fsjp-2024-05-21': part-0.avro has sha256 "),
    "FK:RBE": (with_wrong_marker, "R2: drop 'fk-rbe-2024-05-21': part-0.avro: block 1 does not end with the file's marker"),
    "FK:SBP": (with_lying_block, "R2: drop 'fk-sbp-2024-05-21': part-0.avro: block 1: "),
    "FK:GP": (cut_short, "R2: drop 'fk-gp-2024-05-21': part-0.avro: block 1 ends beyond the file"),
    "FK:FP": (as_no_avro, "R2: drop 'fk-fp-2024-05-21': part-0.avro: "),
    "FK:DPE": (with_text_for_version, "R2: drop 'fk-dpe-2024-05-21': part-0.avro: field 'version' is string, the contract has int"),
    "FK:NP": (lambda _, folder: (folder / PART).unlink(), "R2: drop 'fk-np-2024-05-21': part-0.avro is not there"),
    "FK:TFP": (lambda w, folder: w.edit_head(folder, files=None), "R2: drop 'fk-tfp-2024-05-21': _drop.json: files is missing"),
    "FK:AS": (lambda w, folder: w.edit_head(folder, source=None), "R2: drop 'fk-as-2024-05-21': _drop.json: source is missing"),
    "FK:SA": (
        lambda w, folder: w.edit_head(folder, files=[{"name": PART, "sha256": ""}]),
        "R2: drop 'fk-sa-2024-05-21': _drop.json: files: part-0.avro: rows None is not a number of rows",
    ),
    "FK:BOB": (
        lambda w, folder: w.edit_head(folder, files=[{"name": "../x.avro", "rows": 1, "sha256": ""}]),
        "R2: drop 'fk-bob-2024-05-21': _drop.json: files: name '../x.avro' is not a plain file name",
    ),
    "FK:BST": (
        lambda w, folder: w.edit_head(folder, previous_business_date="yesterday"),
        "R2: drop 'fk-bst-2024-05-21': _drop.json: previous_business_date 'yesterday' is not YYYY-MM-DD",
    ),
}
WHOLE = tuple(benefit for benefit in CATALOGUE if benefit not in SPOILS)


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A night in which many drops are broken, each in another way; one decision is in each."""
    world = World(tmp_path_factory.mktemp("spoiled") / "ws")
    world.partner("BOLAGET")
    for benefit in CATALOGUE:
        world.subscribe("BOLAGET", ANNA, benefit)
        world.decision(ANNA, benefit, f"D of {benefit}", "2024-05-01", "2024-05-10")
    world.drops("2024-05-21")
    for benefit, (spoil, _) in SPOILS.items():
        folder = world.folder(benefit, "2024-05-21")
        shutil.copytree(folder, world.root / "sound" / folder.name)
        spoil(world, folder)
    world.night("2024-05-21")
    return world


@pytest.mark.parametrize("benefit", SPOILS)
def test_a_broken_drop_is_reported_with_rule_place_and_value(spoiled: World, benefit: str) -> None:
    text = spoiled.drop_text(spoiled.folder(benefit, "2024-05-21"))
    assert text.startswith(f"broken BROKEN_DROP: {SPOILS[benefit][1]}")


def test_a_broken_drop_withholds_its_benefit_and_no_other(spoiled: World) -> None:
    assert spoiled.withheld("BOLAGET", 1) == dict.fromkeys(SPOILS, "BROKEN_DROP")
    assert set(spoiled.told("BOLAGET", "benefit", sequence=1)) == set(WHOLE)


def test_repaired_in_place_everything_is_delivered_in_the_next_night(spoiled: World) -> None:
    world = spoiled.twin("repaired")
    for folder in (world.root / "sound").iterdir():
        shutil.rmtree(world.root / "inbox" / folder.name)
        shutil.copytree(folder, world.root / "inbox" / folder.name)
    world.night("2024-05-22")
    assert world.withheld("BOLAGET") == {}
    assert set(world.told("BOLAGET", "benefit", "action")) == {(benefit, "SNAPSHOT") for benefit in SPOILS}


def test_another_drop_of_the_same_date_repairs_too(spoiled: World) -> None:
    world = spoiled.twin("doubled")
    shutil.copytree(world.root / "sound" / "fk-sjp-2024-05-21", world.root / "inbox" / "zz-sjp-again")
    world.night("2024-05-22")
    assert world.told("BOLAGET", "fact_id") == ["D of FK:SJP"]


def test_a_drop_that_is_not_json_yet_is_pending_and_a_night_later_consumed(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10")
    world.drops("2024-05-21")
    head = world.folder("FK:SJP", "2024-05-21") / HEAD
    whole = head.read_text()
    head.write_text(whole[:-3])
    world.night("2024-05-21")
    assert world.drop_text(head.parent) == "pending : R1: drop 'fk-sjp-2024-05-21': _drop.json is not JSON yet"
    assert world.withheld("BOLAGET") == {"FK:SJP": "NO_DROP"}
    head.write_text(whole)
    world.night("2024-05-22")
    assert world.told("BOLAGET", "fact_id") == ["D1"]


STRAYS: dict[str, tuple[dict[str, str | None], str]] = {
    "FK:SJP": (
        {"dataset": "pictures"},
        "unreadable : R2: drop 'fk-sjp-2024-05-21': _drop.json: dataset 'pictures' is not one of facts, persons, orders",
    ),
    "FK:FSJP": (
        {"dataset": None},
        "unreadable : R2: drop 'fk-fsjp-2024-05-21': _drop.json: dataset None is not one of facts, persons, orders",
    ),
    "FK:RBE": ({"business_date": "21/5"}, "unreadable : R2: drop 'fk-rbe-2024-05-21': _drop.json: business_date '21/5' is not YYYY-MM-DD"),
    "FK:SBP": ({"benefit": None}, "unreadable : R2: drop 'fk-sbp-2024-05-21': _drop.json: benefit is missing"),
    "FK:GP": ({"benefit": "FK:XYZ"}, "unknown : section 3: benefit 'FK:XYZ' is not in conf/benefits.yaml"),
    "FK:FP": ({"dataset": "orders", "partner": "NOBODY"}, "unknown : section 3: partner 'NOBODY' is not in conf/partners.yaml"),
    "FK:NP": ({"benefit": "PERSONS"}, "unknown : section 3: benefit 'PERSONS' is not in conf/benefits.yaml"),
    "FK:TFP": (
        {"benefit": "FK:\ud800"},
        "unreadable : R2: drop 'fk-tfp-2024-05-21': _drop.json: benefit 'FK:\\ud800' is no text",
    ),
}


def test_a_drop_that_belongs_to_no_chain_is_left_alone_and_reported(world: World) -> None:
    world.drops("2024-05-21")
    for benefit, (changes, _) in STRAYS.items():
        world.edit_head(world.folder(benefit, "2024-05-21"), **changes)
    world.night("2024-05-21")
    assert {benefit: world.drop_text(world.folder(benefit, "2024-05-21")) for benefit in STRAYS} == {
        benefit: text for benefit, (_, text) in STRAYS.items()
    }


def test_folders_with_odd_names_and_heads_stop_no_night_and_are_reported(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10")
    inbox = os.fsencode(world.root / "inbox")
    for name, head in ((b"f\xf6rs\xf6k", None), (b"l\xf6n", b"{}"), (b"number", b'{"rows": ' + b"1" * 5000 + b"}")):
        os.makedirs(os.path.join(inbox, name))
        if head:
            with open(os.path.join(inbox, name, HEAD.encode()), "wb") as file:
                file.write(head)
    for place, name in enumerate((f"{'x' * 300}.avro", "\ud800.avro", "\0.avro")):
        listed = [{"name": name, "rows": 0, "sha256": "0" * 64}]
        world.edit_head(
            world.drop(day("2024-05-21") or date.min, {"dataset": "orders", "partner": "BOLAGET"}, [], f"odd-{place}"), files=listed
        )
    world.night("2024-05-21")
    assert world.told("BOLAGET", "fact_id") == ["D1"]
    states = {each["drop"]: (each["state"], each["code"]) for each in world.report()["drops"] if each["state"] != "consumed"}
    assert states == {
        "f\\xf6rs\\xf6k": ("pending", ""),
        "l\\xf6n": ("unreadable", ""),
        "number": ("pending", ""),
        **{f"odd-{place}": ("broken", "BROKEN_DROP") for place in range(3)},
    }
    assert world.lefi("status", "--json").json["next"].startswith("drop odd-0 is broken: R2: drop 'odd-0': _drop.json: files: name 'xxx")


def test_a_broken_register_lets_orders_wait_and_says_so(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.drops("2024-05-21")
    persons = world.folder("PERSONS", "2024-05-21")
    data = content(persons)
    with_other_digest(world, persons)
    world.night("2024-05-21")
    assert world.withheld("BOLAGET") == {"PERSONS": "BROKEN_DROP"}
    assert world.receipts("BOLAGET") == []
    (persons / PART).write_bytes(data)
    world.night("2024-05-22")
    assert world.receipts("BOLAGET") == ["ACCEPTED"]
    assert world.told("BOLAGET", "action") == ["EMPTY"]


HEADER = "order_id,line_no,action,personnummer,benefit,purpose,from_date,end_date,born_from,born_to"
LINE = f"O1,1,SUBSCRIBE,{ANNA},FK:SJP,insurance,2024-01-01,,,"


SOUND_CSV = {
    "BOM-AND-CRLF": f"\ufeff{HEADER}\r\n{LINE}\r\n",
    "NO-NEWLINE-AT-END": f"{HEADER}\n{LINE}",
    "QUOTED-NEWLINE": f'{HEADER}\n"O\n1",1,SUBSCRIBE,"{ANNA}",FK:SJP,insurance,2024-01-01,,,\n',
    "OTHER-COLUMNS": f"färg,action,order_id,line_no,personnummer,benefit,purpose,from_date\nblå,SUBSCRIBE,O1,1,{ANNA},FK:SJP,insurance,2024-01-01\n",
}
BROKEN_CSV = {
    "LATIN-1": (f"{HEADER}\n{LINE}\n".replace("insurance", "försäkring").encode("latin-1"), ": it is not UTF-8 (byte 126)"),
    "WORD-FOR-NUMBER": (f"{HEADER}\n{LINE}\n".replace(",1,", ",one,").encode(), ": row 1: line_no is not an integer"),
    "NO-LINE-NO": (f"{HEADER}\n{LINE}\n".replace("line_no", "number").encode(), ": column line_no is missing"),
    "VALUE-TOO-MANY": (f"{HEADER}\n{LINE},\n".encode(), ": line 2: 11 values, the header has 10"),
    "OPEN-QUOTE": (f'{HEADER}\n"{LINE}\n'.encode(), ": line 2: unexpected end of data"),
    "OTHER-ROWS": (f"{HEADER}\n{LINE}\n{LINE}\n".encode(), " has 2 rows, _drop.json says 1"),
}


def ordering(world: World, orders: dict[str, bytes]) -> None:
    """A partner for each file, and the file as its orders."""
    world.persons(ANNA)
    for partner, data in orders.items():
        world.partner(partner, "FK:SJP")
        world.raw_drop("2024-05-21", {"dataset": "orders", "partner": partner}, {"orders.csv": data}, 1)


def test_orders_as_csv_are_taken_in_all_their_forms(world: World) -> None:
    ordering(world, {partner: text.encode() for partner, text in SOUND_CSV.items()})
    world.night("2024-05-21")
    assert {partner: world.receipts(partner) for partner in SOUND_CSV} == {partner: ["ACCEPTED"] for partner in SOUND_CSV}


def test_broken_csv_is_named_and_its_orders_wait_for_repair(world: World) -> None:
    ordering(world, {partner: data for partner, (data, _) in BROKEN_CSV.items()})
    folders = {partner: world.folder(partner, "2024-05-21") for partner in BROKEN_CSV}
    world.night("2024-05-21")
    for partner, (_, text) in BROKEN_CSV.items():
        assert world.drop_text(folders[partner]) == f"broken BROKEN_DROP: R2: drop '{folders[partner].name}': orders.csv{text}"
        assert world.receipts(partner) == []
        relist(world, folders[partner], f"{HEADER}\n{LINE}\n".encode(), name="orders.csv")
    world.night("2024-05-22")
    assert {partner: world.receipts(partner) for partner in BROKEN_CSV} == {partner: ["ACCEPTED"] for partner in BROKEN_CSV}


def test_a_gap_waits_and_is_closed_by_the_missing_drop(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.night("2024-05-21")
    world.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10")
    world.drops("2024-05-22")
    late = world.folder("FK:SJP", "2024-05-22")
    late.rename(world.root / late.name)
    world.night("2024-05-22")
    world.decision(ANNA, "FK:SJP", "D2", "2024-05-11", "2024-05-12")
    world.night("2024-05-23")
    waits = world.folder("FK:SJP", "2024-05-23")
    assert world.drop_text(waits).endswith("GAP: fk-sjp-2024-05-23 follows 2024-05-22, the last one consumed is of 2024-05-21")
    assert world.withheld("BOLAGET") == {"FK:SJP": "GAP"}
    (world.root / late.name).rename(late)
    world.night("2024-05-24")
    assert world.told("BOLAGET", "fact_id") == ["D1", "D2"]


def test_a_drop_of_which_much_is_rejected_waits_until_it_is_accepted(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.subscribe("BOLAGET", BO, "FK:SJP")
    for place in range(30):
        world.decision(ANNA, "FK:SJP", f"bad {place:02}", "2024-05-10", "2024-05-01", spans=[])
    world.decision(BO, "FK:SJP", "D1", "2024-05-01", "2024-05-10")
    world.night("2024-05-21")
    folder = world.folder("FK:SJP", "2024-05-21")
    assert "QUARANTINE_RATE: fk-sjp-2024-05-21: 30 of 31 records are rejected (30 INVALID_PERIOD)" in world.drop_text(folder)
    assert [each["codes"] for each in world.report()["gates"] if each["state"] == "closed"] == [{"INVALID_PERIOD": 30}]
    assert world.told("BOLAGET") == []
    assert world.drop_text(folder).startswith("stopped ")
    assert "`lefi accept` it" in world.lefi("status", "--json").json["next"]
    world.lefi("accept", folder.name, "--reason", "looked at")
    assert world.lefi("status", "--json").json["next"].startswith("the next night: ")
    folder = folder.rename(folder.with_name("moved"))  # what is accepted is the drop, by its digest, under whatever name
    world.night("2024-05-22")
    assert sorted(world.told("BOLAGET", "action", "personnummer")) == [("DEVIATION", ANNA), ("SNAPSHOT", BO)]
    assert "was consumed already" in world.lefi("accept", folder.name, "--reason", "once more", code=3).err
    (folder.parent / "half").mkdir()
    (folder.parent / "half" / HEAD).write_text('{"source":', "utf-8")
    assert "_drop.json is not JSON yet" in world.lefi("accept", "half", "--reason", "too early", code=3).err


def test_what_no_gate_stops_cannot_be_accepted(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.drops("2024-05-21", but=["FK:FP"])
    world.night("2024-05-21")
    for name, head, said in (
        ("broken", {"dataset": "facts", "benefit": "FK:FP", "source": None}, "source is missing: it is broken, and no gate stops it"),
        ("unknown", {"dataset": "facts", "benefit": "XX:NO"}, "is of no chain of conf/benefits.yaml: no gate stops it (R4)"),
        ("orders", {"dataset": "orders", "partner": "BOLAGET"}, "is of no chain of conf/benefits.yaml: no gate stops it (R4)"),
        ("old", {"dataset": "facts", "benefit": "FK:SJP"}, "is old, FK:SJP is consumed up to 2024-05-21 (R2, R3): no gate stops it"),
    ):
        world.raw_drop("2024-05-21", head, {}, name=name)
        assert said in world.lefi("accept", name, "--reason", "r", code=3).err
    world.lefi("accept", "n" * 300, "--reason", "r", code=3)


def test_a_second_drop_of_a_date_that_was_consumed_is_old_though_it_is_broken(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.raw_drop("2024-05-21", {"dataset": "facts", "benefit": "FK:SJP", "source": None}, {}, name="a-broken")
    world.night("2024-05-21")
    assert [(each["drop"], each["state"]) for each in world.report()["drops"] if each["state"] != "consumed"] == [("a-broken", "old")]
    assert world.lefi("status", "--json").json["next"].startswith("the next night: ")


def test_a_time_of_receipt_in_nanoseconds_breaks_its_drop_and_no_other(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP", "FK:FP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.subscribe("BOLAGET", BO, "FK:FP")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-10")
    world.decision(BO, "FK:FP", "D", "2024-05-01", "2024-05-10")
    (row,) = [completed(BENEFIT_FACT, row, 0, date(2024, 5, 21)) for row in world.waiting.pop("FK:FP")]
    nanoseconds = pl.col("recorded_at").dt.timestamp("ns").cast(BENEFIT_FACT.frame["recorded_at"])
    frame = pl.DataFrame([row], schema=BENEFIT_FACT.frame, orient="row").with_columns(nanoseconds)
    data = avro.header(BENEFIT_FACT, bytes(16)) + avro.encode(frame, BENEFIT_FACT, bytes(16))
    world.raw_drop("2024-05-21", {"dataset": "facts", "benefit": "FK:FP"}, {"part-0.avro": data}, 1)
    world.drops("2024-05-21", ["FK:FP"])
    world.night("2024-05-21")
    assert world.told("BOLAGET", "fact_id") == ["D"]
    assert world.withheld("BOLAGET") == {"FK:FP": "BROKEN_DROP"}
    assert "field 'recorded_at' lies outside the years 1 to 9999" in world.drop_text(world.folder("FK:FP", "2024-05-21"))


def test_a_file_that_may_not_be_read_breaks_its_drop_and_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so that the refusal is the kernel's in no test that root runs."""
    world.partner("BOLAGET", "FK:SJP", "FK:FP")
    for benefit in ("FK:SJP", "FK:FP"):
        world.subscribe("BOLAGET", ANNA, benefit)
        world.decision(ANNA, benefit, "D", "2024-05-01", "2024-05-10")
    opened = Path.open

    def refusing(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.parent.name.startswith("fk-fp") and path.suffix == ".avro":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    world.drops("2024-05-21")
    monkeypatch.setattr(Path, "open", refusing)
    with straight():
        world.night("2024-05-21")
    monkeypatch.undo()
    assert world.told("BOLAGET", "benefit") == ["FK:SJP"]
    assert world.withheld("BOLAGET") == {"FK:FP": "BROKEN_DROP"}


def test_a_consumed_drop_is_never_consumed_again(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10")
    world.night("2024-05-21")
    row = {"personnummer": ANNA, "benefit": "FK:SJP", "fact_id": "D2", "kind": "DECISION", "case_id": "C", "version": 1, "withdrawn": False}
    rows = [completed(BENEFIT_FACT, row | {"spans": []}, 0, "2024-05-21")]
    folder = world.folder("FK:SJP", "2024-05-21")
    relist(world, folder, avro_bytes(BENEFIT_FACT, rows))
    world.night("2024-05-22")
    assert world.told("BOLAGET") == []
    assert world.drop_text(folder) == "old : R6: a drop of this name was consumed before: have this one sent under another name"


def test_an_unknown_person_is_told_in_no_message(world: World) -> None:
    stranger = number("1955-05-05")
    world.registered.add(stranger)
    world.partner("BOLAGET", "FK:SJP")
    world.order("BOLAGET", "SUBSCRIBE", stranger, "FK:SJP", purpose="insurance", from_date="2024-01-01")
    world.fact("FK:SJP", stranger[:-1], "D1")
    world.night("2024-05-21")
    assert world.receipts("BOLAGET") == ["UNKNOWN_PERSON"]
