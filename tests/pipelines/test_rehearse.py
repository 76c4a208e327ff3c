"""`lefi rehearse`: what a night would deliver, what a release would change, and that nothing changes."""

from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from storage.lock import only_writer
from storage.workspace import Workspace
from tests.kit import ANNA, BO, World

NIGHT, NEXT, LATER = "2024-05-21", "2024-05-22", "2024-05-23"
TWINS = count()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two partners and two persons with sick pay, one night; the drops of the next date have come."""
    world = World(tmp_path_factory.mktemp("story") / "ws")
    world.partner("BOLAGET", "FK:SJP")
    world.partner("KASSAN", "FK:SJP", "FK:FP")
    for person in (ANNA, BO):
        world.decision(person, "FK:SJP", "D1", "2024-05-01", "2024-05-15")
        world.payment(person, "FK:SJP", "P1", "2024-05-01", "2024-05-15")
        world.subscribe("BOLAGET", person, "FK:SJP")
    world.subscribe("KASSAN", ANNA, "FK:SJP")
    world.night(NIGHT)
    world.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-15", 750, version=2)
    world.decision(BO, "FK:SJP", "D2", "2024-05-11", "2024-05-15")
    world.subscribe("KASSAN", BO, "FK:SJP")
    world.drops(NEXT)
    return world


@pytest.fixture
def told(story: World) -> World:
    """The story, for a test to go on with."""
    return story.twin(f"twin-{next(TWINS)}")


def rehearsed(world: World, *arguments: str, date: str = NEXT) -> Any:
    return world.lefi("rehearse", "--business-date", date, "--json", *arguments).json


def files(world: World) -> dict[str, bytes]:
    """Every file outside staging."""
    kept = (path for path in world.root.rglob("*") if path.is_file() and world.root / "staging" not in path.parents)
    return {str(path.relative_to(world.root)): path.read_bytes() for path in kept}


# The night


def test_what_is_rehearsed_is_what_the_night_then_delivers(told: World) -> None:
    rehearsal = rehearsed(told)["deliveries"]
    told.night(NEXT)
    for partner in ("BOLAGET", "KASSAN"):
        manifest = told.manifest(partner)
        assert (rehearsal[partner]["sequence"], rehearsal[partner]["totals"]) == (manifest["sequence"], manifest["totals"])
    assert rehearsal["BOLAGET"]["totals"] == {"FK:SJP": {"CORRECTED": 2, "NEW": 1}}
    assert rehearsal["KASSAN"]["receipts"] == 1


def test_a_rehearsal_leaves_every_byte_as_it_was(told: World) -> None:
    before = files(told)
    told.units({"FK:SJP": "FIVE_DAY_WEEK"})
    changed = files(told)
    rehearsed(told)
    rehearsed(told, date=LATER)
    assert files(told) == changed
    assert before.items() <= changed.items()
    assert not any((told.root / "staging").iterdir())


def test_a_later_date_without_drops_would_withhold(told: World) -> None:
    rehearsal = rehearsed(told, date=LATER)
    assert {"benefit": "FK:SJP", "code": "NO_DROP"}.items() <= next(e for e in rehearsal["withheld"] if e["benefit"] == "FK:SJP").items()
    assert rehearsal["deliveries"]["BOLAGET"]["totals"] == {}


def test_one_partner_can_be_asked_for(told: World) -> None:
    told.units({"FK:SJP": "FIVE_DAY_WEEK"})
    rehearsal = rehearsed(told, "--partner", "KASSAN")
    assert list(rehearsal["deliveries"]) == ["KASSAN"]
    assert {each["partner"] for each in rehearsal["release"]["by"]} == {"KASSAN"}


# The release


def test_the_same_code_and_conf_change_nothing_of_what_was_told(told: World) -> None:
    release = rehearsed(told)["release"]
    assert (release["differences"], release["by"], release["ended"], release["not_compared"], release["samples"]) == (0, [], [], [], [])


def test_another_unit_shows_what_it_would_change_for_everybody(told: World) -> None:
    told.units({"FK:SJP": "FIVE_DAY_WEEK"})
    release = rehearsed(told)["release"]
    assert release["by"] == [
        {"partner": "BOLAGET", "benefit": "FK:SJP", "action": "CORRECTED", "count": 4},
        {"partner": "KASSAN", "benefit": "FK:SJP", "action": "CORRECTED", "count": 2},
    ]
    sample = next(each for each in release["samples"] if each["fact_id"] == "P1")
    assert {name: sample[name] for name in ("partner", "benefit", "action", "kind")} == {
        "partner": "BOLAGET",
        "benefit": "FK:SJP",
        "action": "CORRECTED",
        "kind": "PAYMENT",
    }
    assert sorted(sample["changes"]) == ["unit", "units", "windows"]
    assert (sample["changes"]["unit"], sample["changes"]["units"]) == (["CALENDAR_DAY", "FIVE_DAY_WEEK"], [15, 13])
    assert sample["told"]["sequence"] == 1


def test_what_is_said_of_a_release_is_what_reconcile_finds_after_it(told: World) -> None:
    told.units({"FK:SJP": "FIVE_DAY_WEEK"})
    assert rehearsed(told)["release"]["differences"] == told.lefi("reconcile", "--json").json["differences"] == 6


def test_another_folder_of_conf_is_tried_whole(told: World, tmp_path: Path) -> None:
    candidate = tmp_path / "candidate"
    candidate.mkdir()
    partners = {"BOLAGET": {"permissions": [{"purpose": "insurance", "benefits": ["FK:FP"]}]}, "NY": told.conf["KASSAN"]}
    (candidate / "partners.yaml").write_text(yaml.safe_dump({"partners": partners}), "utf-8")
    rehearsal = rehearsed(told, "--conf", str(candidate))
    assert {name: each["sequence"] for name, each in rehearsal["deliveries"].items()} == {"BOLAGET": 2, "NY": 1}
    assert rehearsal["release"]["ended"] == [
        {"partner": "BOLAGET", "benefit": "FK:SJP", "count": 2},
        {"partner": "KASSAN", "benefit": "FK:SJP", "count": 1},
    ]


def test_a_benefit_that_is_not_current_is_not_compared(told: World) -> None:
    told.night(LATER, 0, ["FK:SJP"])
    assert rehearsed(told, date="2024-05-24")["release"]["not_compared"] == ["FK:SJP"]


# What is refused


@pytest.mark.parametrize("date", [NIGHT, "2024-05-20"])
def test_a_date_that_no_night_can_have_any_more_is_refused(told: World, date: str) -> None:
    ran = told.lefi("rehearse", "--business-date", date, code=3)
    assert ran.err.startswith(f"lefi: --business-date {date} is not after the last night, {NIGHT}: ")


def test_an_unknown_partner_and_a_folder_without_conf_are_refused(told: World, tmp_path: Path) -> None:
    unknown = told.lefi("rehearse", "--business-date", NEXT, "--partner", "NOBODY", code=3)
    assert unknown.err == "lefi: --partner NOBODY: not in conf/partners.yaml\n"
    assert "partners.yaml is missing" in told.lefi("rehearse", "--business-date", NEXT, "--conf", str(tmp_path), code=2).err


def test_a_committed_run_must_be_finished_first(told: World) -> None:
    next((told.root / "runs").glob("*/report.json")).unlink()
    assert "is committed and not finished" in told.lefi("rehearse", "--business-date", NEXT, code=3).err


def test_another_command_at_work_must_end_first(told: World) -> None:
    with only_writer(Workspace(told.root)):
        assert "another command" in told.lefi("rehearse", "--business-date", NEXT, code=3).err


# For people


def test_the_report_for_people_has_the_night_and_the_release(told: World) -> None:
    told.units({"FK:SJP": "FIVE_DAY_WEEK"})
    text = told.lefi("rehearse", "--business-date", NEXT).out
    for said in (
        f"the night of {NEXT} would deliver",
        "this code and conf would change of what was told",
        "BOLAGET FK:SJP CORRECTED: PAYMENT P1, told in delivery 1, record ",
        "unit: CALENDAR_DAY -> FIVE_DAY_WEEK",
        "units: 15 -> 13",
        "windows: 1 window (2024-05-01..2024-05-15 1000 15 units) -> 1 window (2024-05-01..2024-05-15 1000 13 units)",
        "`lefi reconcile --heal`",
        "nothing was changed",
    ):
        assert said in text
