"""`lefi status` and `lefi --help`: at once, without the heavy libraries, and always with the next step."""

import resource
import subprocess
import sys

import pytest

from tests.kit import ANNA, BO, ROOT, World

SECONDS = 1.5  # of a processor: three times what it may take, so that a busy machine does not matter
HEAVY = ("polars", "pyarrow", "deltalake", "apache_beam", "duckdb", "fastavro", "numpy")
RUN = f"""
import sys
from jobs.lefi import main
try:
    main(sys.argv[1:])
finally:
    print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A partner that watches somebody, after one night."""
    world = World(tmp_path_factory.mktemp("status") / "ws")
    world.partner("BOLAGET", "FK:SJP", "FK:FP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.night("2024-05-21")
    return world


def test_before_the_first_night_the_next_step_is_to_run_one(world: World) -> None:
    status = world.lefi("status", "--json").json
    assert (status["last_night"], status["missed"], status["withheld"], status["drops"]) == (None, [], [], [])
    assert status["next"] == f"lefi nightly {world.root} --business-date YYYY-MM-DD"
    assert "last night: none yet" in world.lefi("status").out


def test_after_a_night_it_tells_what_was_delivered(watched: World) -> None:
    status = watched.lefi("status", "--json").json
    assert status["last_night"] == "2024-05-21"
    assert status["deliveries"] == {"BOLAGET": {"sequence": 1, "records": 1, "receipts": 1}}
    assert "BOLAGET" in watched.lefi("status").out


def test_a_withheld_benefit_is_told_with_code_and_since_and_what_to_do(watched: World) -> None:
    world = watched.twin("withheld")
    world.night("2024-05-22", but=["FK:SJP"])
    world.night("2024-05-23", but=["FK:SJP"])
    status = world.lefi("status", "--json").json
    assert [(each["benefit"], each["code"], each["since"]) for each in status["withheld"]] == [("FK:SJP", "NO_DROP", "2024-05-22")]
    assert status["next"].startswith("FK:SJP is withheld since 2024-05-22 (NO_DROP): ask the source")
    assert "withheld: FK:SJP since 2024-05-22: NO_DROP" in world.lefi("status").out


def test_a_benefit_that_nobody_watches_is_told_too_but_is_no_next_step(watched: World) -> None:
    world = watched.twin("unwatched")
    world.night("2024-05-22", but=["FK:FP"])
    status = world.lefi("status", "--json").json
    assert [each["benefit"] for each in status["withheld"]] == ["FK:FP"]
    assert status["next"].startswith("the next night: ")


def test_nights_that_were_missed_are_told_by_date(watched: World) -> None:
    world = watched.twin("missed")
    world.night("2024-05-24")
    assert world.lefi("status", "--json").json["missed"] == ["2024-05-22", "2024-05-23"]


def test_rejected_records_are_told_by_id_without_the_person(watched: World) -> None:
    world = watched.twin("rejected")
    world.decision(BO, "FK:SJP", "D1", "2024-05-10", "2024-05-01", spans=[])
    summary = world.night("2024-05-22").json
    assert summary["quarantined"] == 1
    (rejected,) = world.lefi("status", "--json").json["quarantine"]
    assert (rejected["benefit"], rejected["code"], rejected["drop"]) == ("FK:SJP", "INVALID_PERIOD", "fk-sjp-2024-05-22")
    assert world.lefi("status", "--json").json["next"].startswith("1 rejected records freeze somebody")
    assert (
        "quarantine has no record"
        in world.lefi("release", f"Q2-{(1 << 16) + int(rejected['id'].split('-')[1])}-0", "--reason", "r", code=3).err
    )
    world.lefi("release", rejected["id"], "--reason", "a test")
    assert world.lefi("status", "--json").json["next"].startswith("the next night: ")
    world.night("2024-05-23")
    assert world.lefi("status", "--json").json["quarantine"] == []


def test_names_of_folders_are_shown_as_they_are(watched: World) -> None:
    world = watched.twin("odd-names")
    (world.root / "inbox" / "[red]not a drop[bold]").mkdir()
    (world.root / "inbox" / "[").mkdir()
    world.lefi("nightly", "--business-date", "2024-05-22")
    out = world.lefi("status").out
    assert "drop [red]not a drop[bold]: pending" in out
    assert "drop [: pending" in out


@pytest.mark.parametrize("arguments", [["--help"], ["nightly", "--help"], ["status"], ["status", "--json"]])
def test_help_and_status_answer_at_once_without_heavy_libraries(watched: World, arguments: list[str]) -> None:
    line = [sys.executable, "-c", RUN, arguments[0], *([str(watched.root)] if arguments[0] == "status" else []), *arguments[1:]]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < SECONDS
    assert ran.stderr.splitlines()[-1] == "[]"
