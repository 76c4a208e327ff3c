"""The commands that are disturbed, each in a workspace in which it has much to do, and what becomes of them when nobody disturbs them."""

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl

from schemas.frames import TABLES
from storage import failpoints, tables
from storage.agreement import table_folder
from storage.workspace import Workspace
from tests.kit import ANNA, BO, CATALOGUE, CIA, World, number, numbers, span
from tests.scenarios.spoil import rewrite

NIGHTS = ("2018-06-08", "2018-06-11")
TONIGHT = "2018-06-12"
BENEFITS = ("FK:SJP", "FK:SA", "FK:TFP")
SINCE = "2018-01-01"
BO_BEFORE = number("1985-06-30", 982)
RECALCULATE = ("--rule", "guarantee", "--effective", "2018-07-01", "--reason", "New level", "--first-night", TONIGHT, "--nights", "2")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "nightly": ("nightly", "--business-date", TONIGHT),
    "refresh": ("refresh", "--partner", "KASSAN", "--benefit", "FK:SJP"),
    "retract": ("retract", "--source-run", "mistaken", "--reason", "sent by mistake"),
    "recalculate": ("recalculate", *RECALCULATE),
    "reconcile --heal": ("reconcile", "--heal"),
    "compact": ("compact", "--all"),
    "rebuild": ("rebuild",),
    "rebucket": ("rebucket", "--to", "8"),
}


def tell(world: World) -> None:
    """Two nights, and the drops of a third in which every table gets rows."""
    others = CATALOGUE.keys() - set(BENEFITS)
    world.partner("BOLAGET", *BENEFITS, refresh_persons_per_night=2)
    world.partner("KASSAN", "FK:SJP", "FK:SA")
    people = (ANNA, BO, BO_BEFORE, CIA, *numbers(2))
    for person in people:
        for partner in ("BOLAGET", "KASSAN"):
            world.subscribe(partner, person, "FK:SJP", SINCE)
            world.subscribe(partner, person, "FK:SA", SINCE)
        world.decision(person, "FK:SJP", "D", "2018-05-01", "2018-05-20")
        world.payment(person, "FK:SJP", "P", "2018-05-01", "2018-05-10")
        guarantee = {"insurance_years": 40, "income_related_yearly": Decimal(0), "yearly_amount": Decimal(109764)}
        world.decision(person, "FK:SA", "S", "2017-07-01", None, guarantee=guarantee, amount=Decimal(9147), spans=[])
    world.subscribe("BOLAGET", ANNA, "FK:TFP", SINCE)
    world.night(NIGHTS[0], 0, others)
    world.decision(CIA, "FK:SJP", "wrong", "2018-05-01", "2018-05-20", spans=[span("2018-05-01", "2018-05-20", 2000)])
    world.decision(ANNA, "FK:SJP", "E", "2018-05-21", "2018-05-22", source_run="mistaken")
    world.decision(ANNA, "FK:TFP", "T", "2018-05-01", "2018-05-20")
    world.refresh("BOLAGET", benefit="FK:SJP")
    world.night(NIGHTS[1], 0, others)
    world.person(BO, former_personnummer=BO_BEFORE)
    world.end("KASSAN", ANNA, "FK:SJP")
    world.refresh("KASSAN", benefit="FK:SA")
    world.decision(ANNA, "FK:SJP", "D", "2018-05-01", "2018-05-20", 500, version=2)
    world.fact("FK:SJP", people[-1], "broken", period_from="2018-05-02", period_to="2018-05-01")
    world.subscribe("BOLAGET", CIA, "FK:TFP", SINCE)
    world.drops(TONIGHT, [*others, "FK:TFP"])


def prepare(command: str, world: World) -> None:
    """What a command finds, besides the two nights."""
    match command:
        case "nightly":
            for before in ("compact", "refresh", "retract", "recalculate"):
                world.lefi(*COMMANDS[before])
        case "reconcile --heal":
            other = pl.when(pl.col("person") == CIA).then(pl.lit(b"another content.")).otherwise(pl.col("digest"))
            rewrite(world, "told", lambda rows: rows.filter(pl.col("fact_id") != "P").with_columns(other.alias("digest")))
        case "rebuild":
            lose(world)
        case "rebucket":
            for before in ("refresh", "recalculate"):
                world.lefi(*COMMANDS[before])


def lose(world: World) -> None:
    """The ledger is gone, of the queues and facts only the logs."""
    shutil.rmtree(world.root / "store" / "told")
    for folder in ("store/facts", "lake/subscriptions", "lake/members", "lake/refreshes"):
        shutil.rmtree(world.root / folder / "_delta_log")


@dataclass(frozen=True)
class Story:
    """A workspace in which a command is about to be given, and how it ends undisturbed.

    reached: how often the command comes to each place; outbox, rows: after it and tonight's night; before: the outbox before it.
    """

    command: str
    world: World
    reached: Mapping[str, int]
    before: Mapping[str, str]
    outbox: Mapping[str, str]
    rows: Mapping[str, pl.DataFrame]


def rows_of(world: World) -> dict[str, pl.DataFrame]:
    """All rows of all tables, each in one order."""
    found = {}
    for name, schema in TABLES.items():
        frame = tables.read(tables.files(table_folder(Workspace(world.root), name)), schema)
        found[name] = frame.sort([column for column, dtype in schema.items() if not isinstance(dtype, pl.List)])
    return found


def record(world: World, command: str) -> dict[str, int]:
    """Give a command; how often it comes to each place."""
    failpoints.reached.clear()
    world.lefi(*COMMANDS[command])
    return dict(failpoints.reached)


def stories(folder: Path, wanted: Callable[[str], bool] = lambda _: True) -> dict[str, Story]:
    """The stories of the commands, all from the same two nights."""
    told = World(folder / "ws", buckets=4)
    tell(told)
    found = {}
    for command in filter(wanted, COMMANDS):
        world = told.twin(command.split()[0])
        prepare(command, world)
        twin = world.twin("undisturbed")
        reached = record(twin, command)
        if command != "nightly":
            twin.lefi(*COMMANDS["nightly"])
        found[command] = Story(command, world, reached, world.outbox(), twin.outbox(), rows_of(twin))
    return found


def without_counts(reached: Mapping[str, int]) -> dict[str, str]:
    """Whether a command comes to each place once or often."""
    return {place: "once" if count == 1 else "often" for place, count in sorted(Counter(reached).items())}
