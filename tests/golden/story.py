"""What the golden workspaces went through: a few nights in which every table got rows, and the drops of two more that wait."""

from collections.abc import Sequence
from decimal import Decimal

import yaml

from tests.kit import ANNA, BO, CATALOGUE, CIA, World, number, numbers, span

SETTLED = ("2018-06-08", "2018-06-11", "2018-06-12", "2018-06-13")
WAITING = ("2018-06-14", "2018-06-15")
BENEFITS = ("FK:SJP", "FK:SA", "FK:TFP")
SINCE = "2018-01-01"
BUCKETS = 4
BO_BEFORE = number("1985-06-30", 982)
JUNE = (
    "--rule",
    "guarantee",
    "--effective",
    "2018-07-01",
    "--reason",
    "Higher guarantee level",
    "--first-night",
    "2018-06-13",
    "--nights",
    "2",
)


def night(world: World, today: str, but: Sequence[str] = ()) -> None:
    """A night of the three benefits; those in `but` have no drop."""
    world.night(today, 0, [*CATALOGUE.keys() - set(BENEFITS), *but])


def tell(world: World) -> None:
    """Run the settled nights and write the drops of those that wait."""
    world.write("conf/benefits.yaml", yaml.safe_dump({"benefits": {name: dict(CATALOGUE[name]) for name in BENEFITS}}))
    world.partner("BOLAGET", *BENEFITS, refresh_persons_per_night=2)
    world.partner("KASSAN", "FK:SJP", "FK:SA")
    people = (ANNA, BO, BO_BEFORE, CIA, *numbers(3))
    for person in people:
        for partner in ("BOLAGET", "KASSAN"):
            world.subscribe(partner, person, "FK:SJP", SINCE)
            world.subscribe(partner, person, "FK:SA", SINCE)
        world.decision(person, "FK:SJP", "D", "2018-05-01", "2018-05-20")
        world.payment(person, "FK:SJP", "P", "2018-05-01", "2018-05-10")
        guarantee = {"insurance_years": 40, "income_related_yearly": Decimal(0), "yearly_amount": Decimal(109764)}
        world.decision(person, "FK:SA", "S", "2017-07-01", None, guarantee=guarantee, amount=Decimal(9147), spans=[])
    world.subscribe("BOLAGET", ANNA, "FK:TFP", SINCE)
    night(world, SETTLED[0])

    world.decision(CIA, "FK:SJP", "wrong", "2018-05-01", "2018-05-20", spans=[span("2018-05-01", "2018-05-20", 2000)])
    world.decision(ANNA, "FK:SJP", "D", "2018-05-01", "2018-05-20", 500, version=2)
    world.decision(ANNA, "FK:TFP", "T", "2018-05-01", "2018-05-20", source_run="mistaken")
    world.refresh("BOLAGET", benefit="FK:SJP")
    night(world, SETTLED[1])
    world.lefi("compact", "--all")

    world.lefi("refresh", "--partner", "KASSAN", "--benefit", "FK:SA")
    world.lefi("retract", "--source-run", "mistaken", "--reason", "sent by mistake")
    world.lefi("recalculate", *JUNE)
    world.person(BO, former_personnummer=BO_BEFORE)
    world.end("KASSAN", ANNA, "FK:SJP")
    world.decision(ANNA, "FK:TFP", "T", "2018-05-01", "2018-05-20", 250, version=2)
    night(world, SETTLED[2], but=["FK:TFP"])

    world.subscribe("KASSAN", ANNA, "FK:SJP", "2018-02-01")
    world.fact("FK:SJP", people[-1], "broken", period_from="2018-05-02", period_to="2018-05-01")
    night(world, SETTLED[3], but=["FK:TFP"])

    for version, today in enumerate(WAITING, 2):
        world.decision(CIA, "FK:SJP", "wrong", "2018-05-01", "2018-05-20", version=version)
        world.payment(people[-2], "FK:SJP", "P", "2018-05-01", "2018-05-11", version=version)
        world.refresh("KASSAN", benefit="FK:SJP")
        world.drops(today, CATALOGUE.keys() - set(BENEFITS))
