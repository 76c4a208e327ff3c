"""A receiver's first run that was killed, or found a full disk, keeps none of the later ones out."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from jobs.receive import receive
from receiver import picture
from receiver.picture import state_file
from schemas.errors import DiskError, UsageError
from tests.receiver.outboxes import deliver
from tests.receiver.records import numbered, record


@contextmanager
def no_file_larger_than(size_bytes: int) -> Iterator[None]:
    """What a full disk is like: the system refuses to write more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_killed_while_it_made_its_tables_it_has_made_none(outbox: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = picture.create_tables

    def killed(connection: duckdb.DuckDBPyConnection) -> None:
        whole(connection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(picture, "create_tables", killed)
        with pytest.raises(KeyboardInterrupt):
            receive(outbox, state)
    with duckdb.connect(str(state_file(state)), read_only=True) as connection:
        assert connection.execute("SHOW TABLES").fetchall() == []
    assert receive(outbox, state).received == 3


@pytest.mark.parametrize("length", [0, 4096, 8192])
def test_a_file_that_was_only_begun_is_taken_for_a_new_one(outbox: Path, state: Path, length: int) -> None:
    file = state_file(state)
    file.parent.mkdir(parents=True, exist_ok=True)
    duckdb.connect(str(file)).close()
    file.write_bytes(file.read_bytes()[:length])
    assert receive(outbox, state).received == 3


@pytest.mark.parametrize("size_bytes", [0, 8192])
def test_without_room_it_says_what_the_system_says_and_goes_on_once_there_is_some(outbox: Path, state: Path, size_bytes: int) -> None:
    with no_file_larger_than(size_bytes), pytest.raises(DiskError, match="File too large"):
        receive(outbox, state)
    assert receive(outbox, state).received == 3


def test_a_disk_that_fills_up_within_a_delivery_is_named_and_leaves_nothing_of_it(outbox: Path, state: Path) -> None:
    deliver(outbox.parent, numbered(*(record("NEW", f"fact {number:05d}") for number in range(1000))))
    with no_file_larger_than(16384), pytest.raises(DiskError, match=f"^File too large: {state}$"):
        receive(outbox, state)
    assert len(picture.picture(state)) == 3
    assert receive(outbox, state).received == 1


def test_a_disk_that_fills_up_before_the_commit_is_named(state: Path) -> None:
    with (
        no_file_larger_than(16384),
        pytest.raises(DiskError, match=f"^File too large: {state}$"),
        picture.opened(state) as connection,
        picture.transaction(connection),
    ):
        connection.execute("CREATE TABLE large AS SELECT hash(range) AS value FROM range(1000000)")
    assert picture.picture(state).is_empty()


def test_a_rollback_that_fails_does_not_hide_what_went_wrong(state: Path) -> None:
    def fail(connection: duckdb.DuckDBPyConnection) -> None:
        connection.rollback()
        raise OSError("first")

    with pytest.raises(OSError, match="first"), picture.opened(state) as connection, picture.transaction(connection):
        fail(connection)


def test_something_else_is_refused_and_left_as_it_is_however_short(outbox: Path, state: Path) -> None:
    state.write_text("short", "utf-8")
    with pytest.raises(UsageError, match="is not a picture"):
        receive(outbox, state)
    assert state.read_text("utf-8") == "short"


def test_where_no_folder_can_be_the_state_is_named(outbox: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file", "utf-8")
    with pytest.raises(UsageError, match="cannot be made: what it is to lie in is no folder"):
        receive(outbox, tmp_path / "file" / "picture.duckdb")
    with pytest.raises(UsageError, match="cannot be made: what it is to lie in is no folder"):
        receive(outbox, tmp_path / "file" / "folder" / "picture.duckdb")
