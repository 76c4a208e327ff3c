"""`lefi receive`: what a partner gets from an outbox, again and after a kill."""

import shutil
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from jobs.receive import receive
from receiver import take
from receiver.outbox import MANIFEST
from receiver.picture import picture, state_file
from schemas.contracts import DELIVERY_RECORD
from schemas.errors import UsageError, VerificationError
from schemas.manifest import RefreshSlice
from tests.receiver.outboxes import PARTNER, RECEIPT_LINE, deliver, edit_manifest, flip
from tests.receiver.records import ANNA, BERIT, CARL, SJP, numbered, record


def rows(state: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(state_file(state)), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_deliveries_become_a_current_picture(outbox: Path, state: Path) -> None:
    summary = receive(outbox, state)
    assert (summary.partner, summary.received, summary.sequence, summary.business_date) == (PARTNER, 3, 3, date(2024, 5, 3))
    assert (summary.records, summary.receipts, summary.facts, summary.groups, summary.incomplete) == (8, 1, 3, 4, 1)
    assert (summary.withheld, summary.unfinished) == ([], [])
    facts = picture(state)
    assert facts.select("personnummer", "fact_id", "sequence", "amount").rows() == [
        (ANNA, "a", 2, Decimal("1.10")),
        (ANNA, "d", 2, Decimal("4321.50")),
        (BERIT, "c", 1, Decimal("4321.50")),
    ]
    window = {"first": date(2024, 5, 1), "last": date(2024, 5, 10), "extent_permille": 1000, "level": None, "units": 10}
    assert facts["windows"].to_list() == [[], [window], [window]]
    assert facts["kind"].dtype == DELIVERY_RECORD.frame["kind"]


def test_the_picture_keeps_receipts_deliveries_and_groups(outbox: Path, state: Path) -> None:
    receive(outbox, state)
    assert rows(state, "SELECT * FROM receipts") == [(1, *RECEIPT_LINE.values())]
    assert rows(state, "SELECT sequence, business_date, records, receipts, withheld ->> '$[0].code' FROM deliveries ORDER BY ALL") == [
        (1, date(2024, 5, 1), 4, 1, None),
        (2, date(2024, 5, 2), 4, 0, "PLANNED_CLOSURE"),
        (3, date(2024, 5, 3), 0, 0, None),
    ]
    assert rows(state, "SELECT personnummer, benefit, code, sequence FROM groups WHERE NOT complete") == [(CARL, SJP, "INVALID_PERIOD", 2)]


def test_receiving_again_changes_nothing(outbox: Path, state: Path) -> None:
    receive(outbox, state)
    before = picture(state)
    again = receive(outbox, state)
    assert (again.received, again.records, again.sequence, again.facts) == (0, 0, 3, 3)
    assert picture(state).equals(before)


def test_a_state_folder_gets_a_file(outbox: Path, tmp_path: Path) -> None:
    receive(outbox, tmp_path)
    assert (tmp_path / "picture.duckdb").is_file()
    assert len(picture(tmp_path)) == 3


def test_an_empty_outbox_is_an_empty_picture(tmp_path: Path, state: Path) -> None:
    (tmp_path / PARTNER).mkdir()
    summary = receive(tmp_path / PARTNER, state)
    assert (summary.received, summary.sequence, summary.business_date, summary.facts) == (0, None, None, 0)


def test_an_unfinished_delivery_at_the_end_is_left_alone(outbox: Path, state: Path) -> None:
    (outbox / "00000003" / MANIFEST).unlink()
    (outbox / "00000004").mkdir()
    summary = receive(outbox, state)
    assert (summary.received, summary.unfinished) == (2, [3, 4])


def test_before_a_delivery_without_manifest_that_others_follow_all_are_received(outbox: Path, state: Path) -> None:
    (outbox / "00000002" / MANIFEST).unlink()
    with pytest.raises(VerificationError, match=r"00000002 has no manifest.json, but 00000003 follows it: a gap in the chain"):
        receive(outbox, state)
    assert picture(state)["fact_id"].to_list() == ["a", "b", "c"]


def test_erased_deliveries_are_no_fault(outbox: Path, state: Path) -> None:
    receive(outbox, state)
    shutil.rmtree(outbox / "00000001")
    deliver(outbox.parent, numbered(record("NEW", "e")))
    assert receive(outbox, state).received == 1


def test_progress_names_each_file(outbox: Path, state: Path) -> None:
    told: list[tuple[str, int, int]] = []
    expected: list[int] = []
    receive(outbox, state, lambda *said: told.append(said), expect=expected.append)
    size = (outbox / "00000001" / "part-0001.avro").stat().st_size
    assert told[0] == ("delivery FOLKSAM-TEST 00000001, part-0001.avro: 2 records", 2, size)
    assert sum(size for _, _, size in told) == expected[0] == sum(part.stat().st_size for part in outbox.glob("*/part-*.avro"))


def killed(state: Path, outbox: Path) -> None:
    """Receive in another process that dies without a word while it reads the second delivery."""
    script = f"""
import os
from pathlib import Path
from jobs.receive import receive
receive(Path({str(outbox)!r}), Path({str(state)!r}), lambda text, rows, size: os._exit(9) if "00000002" in text else None)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9


def test_a_killed_receiver_goes_on_where_it_was(outbox: Path, state: Path, tmp_path: Path) -> None:
    killed(state, outbox)
    assert rows(state, "SELECT max(sequence) FROM deliveries") == [(1,)]
    assert receive(outbox, state).received == 2
    receive(outbox, tmp_path / "unhurt")
    assert picture(state).equals(picture(tmp_path / "unhurt"))


def test_a_failure_after_the_fold_leaves_nothing_of_the_delivery(outbox: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(take, "keep_refreshes", fail)
        with pytest.raises(OSError, match="no space left"):
            receive(outbox, state)
    assert picture(state).is_empty()
    assert receive(outbox, state).facts == 3


def test_refresh_slices_count_up(outbox: Path, state: Path) -> None:
    for number in (1, 2):
        deliver(outbox.parent, refreshes=(RefreshSlice(order_id="R", line_no=1, slice=number, of=3),))
    receive(outbox, state)
    deliver(outbox.parent, refreshes=(RefreshSlice(order_id="R", line_no=1, slice=4, of=4),))
    with pytest.raises(VerificationError) as refused:
        receive(outbox, state)
    assert str(refused.value) == (
        "delivery FOLKSAM-TEST 00000006, manifest.json: R17: refresh 'R' line 1: slice 4 without slice 3 before it"
    )


def test_a_second_receiver_is_refused(outbox: Path, state: Path) -> None:
    script = f"from jobs.receive import receive; from pathlib import Path; receive(Path({str(outbox)!r}), Path({str(state)!r}))"
    with duckdb.connect(str(state)):
        second = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert "RefusedError" in second.stderr
    assert "is in use by another process" in second.stderr


def test_a_state_that_is_something_else_is_refused(outbox: Path, state: Path) -> None:
    state.write_text("something else")
    with pytest.raises(UsageError, match="is not a picture"):
        receive(outbox, state)


def test_a_damaged_picture_is_refused_with_what_helps(outbox: Path, state: Path) -> None:
    receive(outbox, state)
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"is damaged: remove it and receive again|is not a picture"):
        receive(outbox, state)
    state.unlink()
    assert receive(outbox, state).facts


def test_a_database_of_something_else_is_refused_and_left_as_it_is(outbox: Path, tmp_path: Path) -> None:
    other = tmp_path / "mylock.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("CREATE TABLE facts (x INTEGER)")
    with pytest.raises(UsageError, match="a database of something else"):
        receive(outbox, other)
    with duckdb.connect(str(other)) as connection:
        assert connection.execute("SELECT table_name FROM duckdb_tables()").fetchall() == [("facts",)]
    other.write_bytes(b"no database at all")
    with pytest.raises(UsageError, match="is not a picture"):
        receive(outbox, other)


def test_an_outbox_that_is_not_there_is_refused(tmp_path: Path, state: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        receive(tmp_path / "nothing", state)
    assert not state.exists()


def test_what_came_before_a_refused_delivery_stays(outbox: Path, state: Path) -> None:
    flip(outbox / "00000002" / "part-0001.avro")
    with pytest.raises(VerificationError):
        receive(outbox, state)
    assert picture(state)["fact_id"].to_list() == ["a", "b", "c"]


def test_a_delivery_altered_after_it_was_received_is_refused(outbox: Path, state: Path) -> None:
    receive(outbox, state)
    edit_manifest(outbox / "00000002", lambda document: document.update(run="another"))
    with pytest.raises(
        VerificationError, match=r"00000002, manifest.json: digest is .* when it was received: the delivery has been altered"
    ):
        receive(outbox, state)


def test_a_delivery_that_lost_its_manifest_after_it_was_received_is_refused(outbox: Path, state: Path) -> None:
    receive(outbox, state)
    (outbox / "00000003" / MANIFEST).unlink()
    with pytest.raises(VerificationError, match=r"00000003, manifest\.json: was received and is not there any more"):
        receive(outbox, state)


def test_the_picture_of_another_partner_is_refused(outbox: Path, state: Path) -> None:
    deliver(outbox.parent, partner="OTHER")
    receive(outbox.parent / "OTHER", state)
    with pytest.raises(VerificationError, match="the picture is that of partner 'OTHER', the outbox that of 'FOLKSAM-TEST'"):
        receive(outbox, state)
