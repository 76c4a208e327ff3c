"""R45 through whole nights (S13): blocks before their time go out to nobody, and a run of blocks can be taken back."""

from tests.kit import ANNA, BO, World, numbers

SENT = "2020-10-28"  # Greece: payments stop from March 2021


def told_of_status(world: World) -> list[tuple[str, str, str | None]]:
    """(action, personnummer, status) of the last delivery."""
    return sorted(world.told("PENSION", "action", "personnummer", "status"))


def start(world: World, *people: str) -> None:
    """Certificates were sent to Greece, and partners know it."""
    world.partner("PENSION", "PM:LINT")
    for person in people:
        world.subscribe("PENSION", person, "PM:LINT", since="2020-01-01")
        world.certificate(person, "round 2020", SENT, "1", country="GR")
    world.night("2021-01-19")


def test_a_block_before_payments_stop_is_rejected_and_the_person_told_as_incomplete(world: World) -> None:
    start(world, ANNA, BO)
    world.certificate(ANNA, "round 2020", SENT, "5", version=2, country="GR")
    world.certificate(BO, "round 2020", SENT, "2", version=2, country="GR")
    world.night("2021-01-20")
    assert told_of_status(world) == sorted([("CORRECTED", BO, "2"), ("DEVIATION", ANNA, None)])
    assert {r["deviation"]["code"] for r in world.records("PENSION") if r["deviation"]} == {"PREMATURE_BLOCK"}
    world.certificate(ANNA, "round 2020", SENT, "5", version=3, country="GR")
    world.night("2021-03-01")
    assert told_of_status(world) == [("SNAPSHOT", ANNA, "5")]


def test_a_run_of_premature_blocks_withholds_the_benefit_until_it_is_repaired(world: World) -> None:
    people = numbers(25)
    start(world, *people)
    for person in people:
        world.certificate(person, "round 2020", SENT, "5", version=2, country="GR")
    world.night("2021-01-20")
    assert (world.told("PENSION"), world.withheld("PENSION")) == ([], {"PM:LINT": "QUARANTINE_RATE"})


def test_a_retracted_run_of_blocks_is_undone_and_the_status_before_it_holds(world: World) -> None:
    start(world, ANNA, BO)
    for person in (ANNA, BO):
        world.certificate(person, "round 2020", SENT, "5", version=2, country="GR", source_run="third block run")
    world.night("2021-03-01")
    assert [status for _, _, status in told_of_status(world)] == ["5", "5"]
    world.lefi("retract", "--source-run", "third block run", "--reason", "Blocked by mistake")
    world.night("2021-03-02")
    assert told_of_status(world) == sorted([("CORRECTED", ANNA, "1"), ("CORRECTED", BO, "1")])
