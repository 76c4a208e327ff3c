"""What lies in the inbox: heads that are sound, broken, or no heads at all (R1, R2)."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from storage.inbox import HEAD, Drop, Oddity, iso_date, scan

SOUND: dict[str, Any] = {
    "source": "s",
    "dataset": "facts",
    "benefit": "FK:SJP",
    "business_date": "2024-05-21",
    "previous_business_date": "2024-05-20",
    "files": [{"name": "a.avro", "rows": 3, "sha256": "0" * 64}, {"name": "b.avro", "rows": 4, "sha256": "1" * 64}],
}


def head(inbox: Path, document: Any, name: str = "drop") -> Drop | Oddity:
    """What is made of a head."""
    (inbox / name).mkdir(exist_ok=True)
    (inbox / name / HEAD).write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
    (found,) = scan(inbox)
    return found


def test_a_sound_head_is_a_drop(tmp_path: Path) -> None:
    drop = head(tmp_path, SOUND)
    assert isinstance(drop, Drop)
    assert (drop.chain, drop.business_date, drop.previous, drop.rows, drop.fault) == ("FK:SJP", date(2024, 5, 21), date(2024, 5, 20), 7, "")


def test_folders_come_by_name_and_files_and_hidden_folders_are_none(tmp_path: Path) -> None:
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    assert [found.name for found in scan(tmp_path)] == ["a", "b"]
    assert list(scan(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(
    ("document", "state"),
    [
        ("", "pending"),
        ("{", "pending"),
        ("[]", "unreadable"),
        ("null", "unreadable"),
        ({}, "unreadable"),
        ({"dataset": "facts"}, "unreadable"),
    ],
)
def test_what_is_no_head_is_left_alone(tmp_path: Path, document: Any, state: str) -> None:
    found = head(tmp_path, document)
    assert isinstance(found, Oddity)
    assert found.state == state
    assert "drop 'drop': _drop.json" in found.reason


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"files": {}}, "files is missing"),
        ({"files": ["a.avro"]}, "files: 'a.avro' is not an object"),
        ({"files": [SOUND["files"][0]] * 2}, "files: 'a.avro' is named twice"),
        ({"files": [{"name": "a/b.avro", "rows": 1, "sha256": ""}]}, "files: name 'a/b.avro' is not a plain file name"),
        ({"files": [{"name": HEAD, "rows": 1, "sha256": ""}]}, "files: name '_drop.json' is not a plain file name"),
        ({"files": [{"name": "a", "rows": True, "sha256": ""}]}, "files: a: rows True is not a number of rows"),
        ({"files": [{"name": "a", "rows": -1, "sha256": ""}]}, "files: a: rows -1 is not a number of rows"),
        ({"files": [{"name": "a", "rows": 1 << 60, "sha256": ""}]}, f"files: a: rows {1 << 60} is not a number of rows"),
        ({"files": [{"name": "a", "rows": 1}]}, "files: a: sha256 is missing, or not 64 hexadecimal digits"),
        ({"previous_business_date": 20240520}, "previous_business_date 20240520 is not YYYY-MM-DD"),
        ({"source": None}, "source is missing"),
    ],
)
def test_a_head_with_chain_and_date_but_else_wrong_is_a_broken_drop(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    drop = head(tmp_path, SOUND | changes)
    assert isinstance(drop, Drop)
    assert drop.fault == f"R2: drop 'drop': _drop.json: {fault}"
    assert drop.chain == "FK:SJP"


@pytest.mark.parametrize(
    ("key", "state"), [("files", "broken"), ("source", "broken"), ("benefit", "unreadable"), ("business_date", "unreadable")]
)
def test_a_key_that_stands_twice_is_not_guessed_at(tmp_path: Path, key: str, state: str) -> None:
    found = head(tmp_path, f"{json.dumps(SOUND)[:-1]}, {json.dumps({key: SOUND[key]})[1:]}")
    said = found.reason if isinstance(found, Oddity) else found.fault
    assert said == f"R2: drop 'drop': _drop.json: key '{key}' stands there twice"
    assert (isinstance(found, Oddity) and found.state == "unreadable") == (state == "unreadable")


@pytest.mark.parametrize("text", [None, 20240521, "2024-5-21", "20240521", "2024-02-30", "2024-W21-2", " 2024-05-21", "２０２４-05-21"])
def test_a_date_has_one_form(text: Any) -> None:
    assert iso_date(text) is None


def test_deeply_nested_json_is_no_head_yet(tmp_path: Path) -> None:
    found = head(tmp_path, "[" * 100_000)
    assert isinstance(found, Oddity)
