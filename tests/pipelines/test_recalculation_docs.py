"""The commands of docs/recalculation.md, one after the other, as they stand there."""

import shlex

from tests.kit import ROOT, World, numbers
from tests.pipelines.test_recalculation import sick

PEOPLE = numbers(6)


def commands(world: World) -> list[list[str]]:
    """What stands in the page's code blocks, with WS in its place."""
    blocks = (ROOT / "docs" / "recalculation.md").read_text("utf-8").split("```")[1::2]
    lines = [shlex.split(line) for block in blocks for line in block.strip().splitlines()]
    page = str(world.root.parent / "plan.html")
    return [[page if word == "plan.html" else word for word in line[1:]] for line in lines]


def test_june_2018_runs_as_the_page_says(world: World) -> None:
    world.partner("BOLAGET", "FK:SA")
    for person in PEOPLE:
        world.subscribe("BOLAGET", person, "FK:SA", since="2018-01-01")
        sick(world, person)
    world.night("2018-06-08")
    counts = []
    for command, _, *arguments in commands(world):
        if command == "nightly":
            world.drops(arguments[1])
        said = world.lefi(command, *arguments)
        counts.append((command, len(world.records("BOLAGET"))))
        if command == "reconcile":
            assert "no difference" in said.out
    nights = [records for command, records in counts if command == "nightly"]
    assert sum(nights[:3]) == nights[3] == len(PEOPLE)
    assert set(world.told("BOLAGET", "action", "reason")) == {("ANNULLED", "Wrong factor")}
