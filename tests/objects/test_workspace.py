"""A workspace below `s3://`: the same bytes as on a disk, whatever happens on the wire."""

import io
import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch
from zlib import crc32

import pytest

from jobs.lefi import main
from schemas.errors import RefusedError, UsageError
from storage import lock, objects, pace
from storage.pace import Amount
from storage.place import place
from storage.workspace import Workspace
from tests.kit import ANNA, BO, Ran, World
from tests.objects.server import BUCKET, Wire, object_store
from tests.straight import straight

NIGHTS = ("2024-06-03", "2024-06-04", "2024-06-05")
LEASE = 1.0


class Remote(World):
    """A workspace in the store, of which a command's printed lines are checked, and its files are not all listed."""

    def checked(self, ran: Ran, command: str, code: int | None) -> Ran:
        """A command's end."""
        if code is not None:
            assert ran.code == code, f"lefi {command} ended with {ran.code}, not {code}:\n{ran.out}\n{ran.err}"
        assert command == "explain" or not any(each in ran.out + ran.err for each in (ANNA, BO))
        return ran


@pytest.fixture(scope="session")
def wire() -> Iterator[Wire]:
    """A wire to an S3 server."""
    with object_store() as wire:
        yield wire


@pytest.fixture(autouse=True)
def sound(wire: Wire) -> Iterator[None]:
    """Nothing is wrong until a test says so; a lease is short."""
    wire.is_sound()
    with straight(), patch.object(lock, "LEASE_SECONDS", LEASE):
        yield


@pytest.fixture
def remote(request: pytest.FixtureRequest, wire: Wire) -> World:
    """A workspace in the store."""
    return Remote(place(f"s3://{BUCKET}/{crc32(request.node.name.encode())}"), buckets=2)


def tell(world: World) -> World:
    """Two persons, two partners; facts, a change and a mistake."""
    world.partner("BOLAGET", "FK:SJP", "FK:TFP")
    world.partner("KASSAN", "FK:SJP")
    for person in (ANNA, BO):
        world.subscribe("BOLAGET", person, "FK:SJP")
        world.subscribe("KASSAN", person, "FK:SJP")
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-20")
        world.payment(person, "FK:SJP", "P", "2024-05-01", "2024-05-10")
    world.drops(NIGHTS[0])
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-15", version=2)
    world.decision(BO, "FK:SJP", "E", "2024-05-21", "2024-05-22", source_run="mistaken")
    world.refresh("KASSAN", benefit="FK:SJP")
    world.drops(NIGHTS[1])
    return world


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same on a disk."""
    with straight():
        world = tell(World(tmp_path_factory.mktemp("twin") / "ws", buckets=2))
        for night in NIGHTS[:2]:
            world.night(night)
        return world


@pytest.mark.slow
def test_a_night_is_that_of_a_disk(remote: World, twin: World) -> None:
    tell(remote)
    remote.night(NIGHTS[0])
    assert remote.outbox().items() <= twin.outbox().items()
    assert len(remote.outbox()) == 6  # for each partner a manifest, records and receipts


def test_of_two_who_put_at_once_one_wins(wire: Wire) -> None:
    path = place(f"s3://{BUCKET}/once/only")
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: objects.put_if_absent(path, str(number).encode()), range(8)))
    assert won.count(True) == 1
    assert path.read_bytes() == str(won.index(True)).encode()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_put_whose_answer_is_lost_is_known_as_ours(wire: Wire, times: int) -> None:
    path = place(f"s3://{BUCKET}/unanswered/{times}")
    wire.goes_wrong("unanswered", "PUT", until=times)
    assert objects.put_if_absent(path, b"ours")
    assert not objects.put_if_absent(path, b"theirs")
    assert wire.went_wrong() == {"unanswered": times}


def test_a_folder_is_moved_with_its_manifest_last(wire: Wire) -> None:
    source, target = place(f"s3://{BUCKET}/moved/from"), place(f"s3://{BUCKET}/moved/to")
    names = ["manifest.json", "part-00001.avro", "receipts.avro"]
    for name in names:
        (source / name).write_bytes(name.encode())
    wire.goes_wrong("403", "PUT", path="to/manifest.json")
    with pytest.raises(Exception, match="403"):
        objects.move(source, target)
    assert sorted(path.name for path in target.iterdir()) == names[1:]
    wire.is_sound()
    objects.move(source, target)
    objects.move(source, target)
    assert sorted(path.name for path in target.iterdir()) == names
    assert not objects.names_below(source)


def test_any_other_place_is_refused() -> None:
    with pytest.raises(UsageError, match="gs://somewhere"):
        place("gs://somewhere/else")


def test_a_second_command_is_refused_and_a_dead_one_stops_nobody(remote: World) -> None:
    workspace = Workspace(remote.root)
    with lock.only_writer(workspace), pytest.raises(RefusedError, match="another command"), lock.only_writer(workspace):
        pass
    (workspace.store / ".lock").write_bytes(b"somebody who was killed")
    with lock.only_writer(workspace):
        assert (workspace.store / ".lock").exists()
    assert not (workspace.store / ".lock").exists()


def test_who_lost_the_lock_leaves_it_to_the_other(remote: World) -> None:
    path = Workspace(remote.root).store / ".lock"
    with lock.only_writer(Workspace(remote.root)):
        path.write_bytes(b"the other")
        threading.Event().wait(2 * LEASE)
    assert path.read_bytes() == b"the other"


def test_who_gets_no_answer_to_a_sign_of_life_keeps_the_lock(remote: World, wire: Wire) -> None:
    workspace = Workspace(remote.root)
    with lock.only_writer(workspace):
        wire.goes_wrong("unanswered", "PUT", path=r"/\.lock$", until=1)
        threading.Event().wait(2 * LEASE)
        assert wire.went_wrong() == {"unanswered": 1}
        with pytest.raises(RefusedError, match="another command"), lock.only_writer(workspace):
            pass


@pytest.mark.slow
def test_an_erasure_that_was_killed_is_completed_there_too(remote: World, tmp_path: Path) -> None:
    tell(remote)
    remote.night(NIGHTS[0])
    remote.lefi("refresh", "--partner", "BOLAGET")
    numbers = tmp_path / "numbers"
    numbers.write_text(ANNA)
    given = ("erase", "--person", str(numbers), "--end-subscriptions")
    remote.process(*given, failpoint="erase.facts", code=-signal.SIGKILL)
    assert "erasure" in remote.night(NIGHTS[1], code=3).err
    remote.lefi(*given, "--json")
    remote.night(NIGHTS[1])
    assert remote.lefi("reconcile", "--json").json["differences"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "method", "path", "every", "until"),
    [
        ("503", "GET|PUT|POST|DELETE|HEAD", "", 9, 400),
        ("lost", "GET|PUT|POST|DELETE|HEAD", "", 13, 400),
        ("slow", "GET|PUT|POST|DELETE|HEAD", "", 37, 400),
        ("unanswered", "PUT|POST|DELETE", "", 7, 400),
        ("unanswered", "PUT", r"/commit\.json$", 1, 1),
        ("unanswered", "PUT", r"_delta_log/0\d+\.json$", 2, 10),
    ],
)
def test_what_goes_wrong_on_the_wire_changes_no_byte(
    remote: World, twin: World, wire: Wire, fault: str, method: str, path: str, every: int, until: int
) -> None:
    tell(remote)
    wire.goes_wrong(fault, method, path, every, until)
    for night in NIGHTS[:2]:
        remote.night(night)
    assert wire.went_wrong()[fault] > 0
    assert remote.outbox() == twin.outbox()


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["commit.json", "outbox/BOLAGET", "store/facts/_delta_log", "staging/.*subscriptions", "catalog.json", "inbox/"]
)
def test_a_store_that_refuses_ends_the_night_with_a_sentence_and_it_is_done_again(
    remote: World, twin: World, wire: Wire, path: str
) -> None:
    tell(remote)
    remote.night(NIGHTS[0])
    wire.goes_wrong("403", "GET|PUT|POST|HEAD", path)
    refused = remote.night(NIGHTS[1], code=1)
    assert wire.went_wrong()["403"] > 0
    assert "the storage does not answer as it should" in refused.err
    assert "give the command again" in refused.err
    assert "Traceback" not in refused.err
    wire.is_sound()
    remote.night(NIGHTS[1])
    assert remote.outbox() == twin.outbox()


def test_notes_of_progress_that_are_refused_are_missing_and_nothing_else(remote: World, wire: Wire) -> None:
    staging = Workspace(remote.root).staging / "run"
    pace.expect(staging, {"take_bite": 2})
    wire.goes_wrong("403", "GET|PUT|POST|HEAD|DELETE", "pace")
    pace.expect(staging, {"take_bite": 3})
    pace.note(staging, "take_bite", "0a", Amount(1))
    assert (pace.done([staging]), pace.expected([staging])) == ({}, {})
    assert wire.went_wrong()["403"] > 0
    wire.is_sound()
    pace.note(staging, "take_bite", "0b", Amount(1))
    assert (pace.done([staging]), pace.expected([staging])) == ({"take_bite": Amount(1)}, {"take_bite": 2})


@pytest.mark.slow
@pytest.mark.parametrize(
    "failpoint", ["stage", "commit.before", "commit.after", "publish:2", "settle.facts.before", "settle.told.after", "settle.report"]
)
def test_a_killed_night_is_done_again_with_the_same_bytes(remote: World, twin: World, failpoint: str) -> None:
    tell(remote)
    remote.night(NIGHTS[0])
    remote.killed_night(NIGHTS[1], failpoint)
    assert remote.outbox().items() <= twin.outbox().items()
    remote.night(NIGHTS[1])
    assert remote.outbox() == twin.outbox()


@pytest.mark.slow
def test_all_commands_work_there(remote: World, twin: World, tmp_path: Path) -> None:
    other = twin.twin_at(tmp_path / "ws")
    tell(remote)
    for night in NIGHTS[:2]:
        remote.night(night)
    said = [everything(world, tmp_path / name) for name, world in (("disk", other), ("store", remote))]
    assert said[0] == said[1]
    assert remote.outbox() == other.outbox()


def everything(world: World, scratch: Path) -> list[object]:
    """Give every command that is not about nights alone; what each says, but for times and memory."""
    scratch.mkdir()
    said: list[object] = [world.lefi("status", "--json").json["last_night"]]
    said.append(world.lefi("retract", "--source-run", "mistaken", "--reason", "a mistake", "--json").json)
    said.append(world.lefi("refresh", "--partner", "BOLAGET", "--benefit", "FK:SJP", "--json").json)
    world.lefi("rehearse", "--business-date", NIGHTS[2], "--json")
    explained = world.lefi("explain", "--partner", "BOLAGET", "--person", ANNA, "--json").out
    said.append(explained.replace(str(world.root), "WS"))
    world.lefi("compact", "--all", "--json")
    world.night(NIGHTS[2])
    said.append(world.lefi("reconcile", "--json").json["differences"])
    world.lefi("rebuild", "--json")
    said.append(world.lefi("reconcile", "--json").json["differences"])
    printed = io.StringIO()
    with redirect_stdout(printed):
        main(["receive", str(world.root / "outbox" / "BOLAGET"), str(scratch / "picture.duckdb"), "--json"])
    said.append({name: value for name, value in json.loads(printed.getvalue()).items() if name not in ("state", "work")})
    world.lefi("erase", "--plan", "--json")
    said.append(world.lefi("erase", "--json").json["rows"])
    recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    exported = world.lefi("export", "--partner", "BOLAGET", "--to", str(scratch / "exported"), "--recipient", recipient, "--json").json
    said.append(exported["exported"])
    world.lefi("status", "--html", str(scratch / "notices"))
    said.append(sorted(path.name for path in (scratch / "notices").rglob("*")))
    return json.loads(json.dumps(said))
