"""S13 (2020-01): a block run went out a month early, and partners stopped payments (DOMAIN 6). A gate, a retraction, and the true course."""

import pytest

from tests.kit import ANNA, BO, CIA, World, numbers
from tests.scenarios.entitled import a_full_refresh_changes_nothing, everybody_knows, told

pytestmark = pytest.mark.slow
SENT = "2020-10-28"  # Greece: payments stop from March 2021
RUN = "third block run"


def step(world: World, person: str, status: str, version: int, **fields: str) -> None:
    """A step of somebody's round."""
    world.certificate(person, "round 2020", SENT, status, version=version, country="GR", **fields)


def statuses(world: World) -> dict[str, str | None]:
    """The status that the partner knows of each person; the code of one who is incomplete."""
    known = told(world, "PENSION")
    return {
        person: facts if isinstance(facts, str) else next((f["status"] for f in facts.values()), None)
        for (person, _), facts in known.items()
    }


def test_the_true_course_goes_out_step_by_step_and_a_block_before_its_time_does_not(world: World) -> None:
    world.partner("PENSION", "PM:LINT")
    for person in (ANNA, BO):
        world.subscribe("PENSION", person, "PM:LINT", since="2020-01-01")
        step(world, person, "0", 1)
    world.night("2020-10-27")
    for today, status, version in (("2020-10-28", "1", 2), ("2021-01-11", "4", 3)):
        for person in (ANNA, BO):
            step(world, person, status, version)
        world.night(today)
        assert statuses(world) == {ANNA: status, BO: status}
        assert {*world.told("PENSION", "action")} == {"CORRECTED"}

    step(world, ANNA, "5", 4, source_run=RUN)
    step(world, BO, "2", 4)
    world.night("2021-02-26")
    assert statuses(world) == {ANNA: "PREMATURE_BLOCK", BO: "2"}
    everybody_knows(world)

    step(world, ANNA, "5", 4)  # the same once more, in its time
    world.night("2021-03-01")
    assert (statuses(world)[ANNA], world.told("PENSION", "action", "trigger")) == ("5", [("SNAPSHOT", "HEAL")])
    step(world, ANNA, "2", 5)
    world.night("2021-03-15")
    assert statuses(world) == {ANNA: "2", BO: "2"}
    a_full_refresh_changes_nothing(world, "2021-03-16")


def test_a_run_of_early_blocks_is_withheld_whole_and_its_repair_is_delivered(world: World) -> None:
    people = numbers(24)
    world.partner("PENSION", "PM:LINT", "PM:AP")
    for person in people:
        world.subscribe("PENSION", person, "PM:LINT", since="2020-01-01")
        step(world, person, "4", 1)
    world.subscribe("PENSION", people[0], "PM:AP", since="2020-01-01")
    world.night("2021-01-19")
    for person in people:
        step(world, person, "5", 2)
    world.decision(people[0], "PM:AP", "D", "2021-01-01", None)
    world.night("2021-01-20")
    assert world.withheld("PENSION") == {"PM:LINT": "QUARANTINE_RATE"}
    assert world.told("PENSION", "benefit") == ["PM:AP"]
    assert set(told(world, "PENSION")[people[1], "PM:LINT"]) == {"round 2020"}
    assert statuses(world)[people[1]] == "4"

    part = world.folder("PM:LINT", "2021-01-20")
    world.edit_head(part, files=[])  # the source repairs its drop: there was nothing to say
    world.night("2021-01-21")
    assert (world.withheld("PENSION"), world.told("PENSION")) == ({}, [])
    a_full_refresh_changes_nothing(world, "2021-01-22")


def test_a_retracted_block_run_is_annulled_or_undone_and_says_why(world: World) -> None:
    world.partner("PENSION", "PM:LINT")
    for person in (ANNA, BO, CIA):
        world.subscribe("PENSION", person, "PM:LINT", since="2020-01-01")
    step(world, ANNA, "4", 1)
    world.night("2021-02-28")
    step(world, ANNA, "5", 2, source_run=RUN)
    step(world, BO, "5", 1, source_run=RUN)
    step(world, CIA, "2", 1)
    world.night("2021-03-01")
    assert statuses(world) == {ANNA: "5", BO: "5", CIA: "2"}

    world.lefi("retract", "--source-run", RUN, "--reason", "Blocked by mistake")
    world.night("2021-03-02")
    records = {(each["action"], each["personnummer"], each["status"]) for each in world.records("PENSION")}
    assert records == {("CORRECTED", ANNA, "4"), ("ANNULLED", BO, None)}
    assert [each["reason"] for each in world.records("PENSION") if each["action"] == "ANNULLED"] == ["Blocked by mistake"]
    assert all(each["supersedes"]["sequence"] == 2 for each in world.records("PENSION"))
    everybody_knows(world)

    step(world, BO, "5", 2)
    step(world, BO, "2", 3)
    world.night("2021-03-03")
    assert statuses(world) == {ANNA: "4", BO: "2", CIA: "2"}
    a_full_refresh_changes_nothing(world, "2021-03-04")
