"""S08 (2020-12): a history reader dropped parts of sick periods; nobody knew for whom.

Spans are counted on the way in and on the way out, so a step that loses one stops the night; `reconcile` compares everybody and names each
person, of whatever a night could not see.
"""

import pkgutil
from collections.abc import Callable

import polars as pl
import pytest

import pipelines.view
from tests.kit import ANNA, BO, CIA, DAN, World, span
from tests.scenarios.entitled import a_full_refresh_changes_nothing, everybody_knows, told
from tests.scenarios.spoil import rewrite

PARTS = [span("2024-05-01", "2024-05-04"), span("2024-05-05", "2024-05-08", 500), span("2024-05-09", "2024-05-10", 250)]
FIRST, SECOND = "2024-05-20", "2024-05-21"


def sick(world: World) -> None:
    """ANNA's, BO's and CIA's sick periods have several parts, DAN's has one; each has been paid for."""
    for partner in ("BOLAGET", "KASSAN"):
        world.partner(partner, "FK:SJP")
        for person in (ANNA, BO, CIA, DAN):
            if partner == "BOLAGET" or person != CIA:
                world.subscribe(partner, person, "FK:SJP")
    for person, spans in ((ANNA, PARTS), (BO, PARTS[:2]), (CIA, PARTS[1:]), (DAN, PARTS[:1])):
        world.decision(person, "FK:SJP", "D", "2024-05-01", "2024-05-10", spans=spans)
        world.payment(person, "FK:SJP", "P", "2024-05-01", "2024-05-10")


def first_parts(facts: pl.DataFrame) -> pl.DataFrame:
    """What the reader of 2020 made of facts: of several spans the first one."""
    return facts.with_columns(pl.col("spans").list.head(1))


def losing(real: Callable[..., pl.DataFrame]) -> Callable[..., pl.DataFrame]:
    """A step that loses all spans but the first on its way in."""
    return lambda facts, *others: real(first_parts(facts), *others)


def units(world: World, partner: str) -> dict[str, int]:
    """Whose payment has how many days, as a partner knows it."""
    return {person: facts["P"]["units"] for (person, _), facts in told(world, partner).items()}


@pytest.mark.parametrize(
    ("step", "said"),
    [("pipelines.take.judge", "control totals: judge (R35): bucket "), ("pipelines.view.compensate", "control totals: windows ")],
)
def test_a_step_that_loses_spans_stops_the_night_and_says_of_which_benefit(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, said: str
) -> None:
    sick(world)
    with monkeypatch.context() as patch:
        patch.setattr(step, losing(pkgutil.resolve_name(step)))
        ran = world.night(FIRST, code=4)
    assert said in ran.err
    assert "FK:SJP" in ran.err
    assert world.outbox() == {}
    world.night(FIRST)
    assert units(world, "BOLAGET") == {ANNA: 10, BO: 8, CIA: 6, DAN: 4}
    everybody_knows(world)


@pytest.mark.slow
def test_what_a_reader_of_the_history_dropped_is_found_for_each_person_and_healed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sick(world)
    with monkeypatch.context() as patch:
        hold = pipelines.view.hold
        patch.setattr(pipelines.view, "hold", lambda facts: first_parts(hold(facts)))
        world.night(FIRST)
    assert units(world, "BOLAGET") == {ANNA: 4, BO: 4, CIA: 4, DAN: 4}, "the fault of 2020"

    found = world.lefi("reconcile", "--heal", "--json").json
    assert {(each["partner"], each["what"], each["count"]) for each in found["by"]} == {
        ("BOLAGET", "CORRECTED", 6),
        ("KASSAN", "CORRECTED", 4),
    }
    named = pl.read_parquet(max((world.root / "store" / "commands").glob("*.parquet")))
    assert set(named.select("partner", "person").iter_rows()) == {
        *(("BOLAGET", person) for person in (ANNA, BO, CIA)),
        *(("KASSAN", person) for person in (ANNA, BO)),
    }
    world.night(SECOND)
    assert {*world.told("KASSAN", "action", "trigger", "personnummer", "fact_id")} == {
        ("CORRECTED", "HEAL", person, fact_id) for person in (ANNA, BO) for fact_id in ("D", "P")
    }
    assert units(world, "BOLAGET") == {ANNA: 10, BO: 8, CIA: 6, DAN: 4}
    assert world.lefi("reconcile", "--json").json["differences"] == 0
    a_full_refresh_changes_nothing(world, "2024-05-22")


@pytest.mark.slow
def test_spans_that_the_store_itself_has_lost_are_counted_and_made_anew_from_the_drops(world: World) -> None:
    sick(world)
    world.night(FIRST)
    rewrite(
        world,
        "facts",
        lambda rows: rows.with_columns(pl.when(pl.col("person") == ANNA).then(pl.col("spans").list.head(1)).otherwise("spans")),
    )
    found = world.lefi("reconcile", "--json").json
    assert [
        (each["benefit"], each["span_days"] - each["span_days_found"], each["facts"] - each["facts_found"]) for each in found["store"]
    ] == [("FK:SJP", 6, 0)]
    assert {(each["partner"], each["what"], each["count"]) for each in found["by"]} == {
        ("BOLAGET", "CORRECTED", 2),
        ("KASSAN", "CORRECTED", 2),
    }
    for path in (world.root / "store" / "facts").glob("*.parquet"):
        path.unlink()
    world.lefi("rebuild")
    assert world.lefi("reconcile", "--json").json["differences"] == 0
    world.night(SECOND)
    assert (world.told("BOLAGET"), world.told("KASSAN")) == ([], [])
    everybody_knows(world)
