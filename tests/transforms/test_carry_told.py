"""R12, R15: what of a ledger counts for the person that stays."""

import polars as pl
import pytest

from schemas.frames import SUBSCRIPTIONS, TOLD
from tests.transforms.facts import ANNA, BO, Row
from transforms.carry_told import carry_told, with_carried


def told(fact_id: str, night: int, partner: str = "P", **fields: object) -> Row:
    """A row of Anna's ledger."""
    blank = {"bucket": 0, "partner": partner, "person": ANNA, "benefit": "FK:SJP", "fact_id": fact_id, "night": night, "digest": b"d"}
    return dict.fromkeys(TOLD) | blank | {"version": 1, "sequence": night, "record_no": 1} | fields


def carried(rows: list[Row], snapshot_nights: dict[str, int]) -> list[tuple[str, str, int, int]]:
    """(partner, fact_id, night, sequence) of what is carried over in night 9 for the partners that have a subscription."""
    active = [
        dict.fromkeys(SUBSCRIPTIONS) | {"partner": partner, "person": ANNA, "benefit": "FK:SJP", "snapshot_night": night}
        for partner, night in snapshot_nights.items()
    ]
    found = carry_told(pl.DataFrame(rows, TOLD, orient="row"), pl.DataFrame(active, SUBSCRIPTIONS, orient="row"), 9)
    assert found.schema == TOLD
    return found.select("partner", "fact_id", "night", "sequence").rows()


def test_the_newest_row_of_each_fact_counts_as_of_tonight_and_names_its_record_still() -> None:
    assert carried([told("A", 5), told("A", 3), told("B", 4)], {"P": 3}) == [("P", "A", 9, 5), ("P", "B", 9, 4)]


def test_what_was_told_before_the_last_snapshot_is_left_behind() -> None:
    assert carried([told("A", 3), told("B", 4)], {"P": 4}) == [("P", "B", 9, 4)]


def test_what_was_told_to_a_subscription_that_has_ended_is_left_behind() -> None:
    rows = [told("A", 3), told("A", 3, partner="Q"), told("B", 3, benefit="FK:FP"), told("C", 3, person=BO)]
    assert carried(rows, {"Q": 1}) == [("Q", "A", 9, 3)]


def test_an_annulled_fact_stays_annulled() -> None:
    row = told("A", 5, digest=None)
    active = pl.DataFrame(
        [dict.fromkeys(SUBSCRIPTIONS) | {name: row[name] for name in ("partner", "person", "benefit")} | {"snapshot_night": 1}]
    )
    found = carry_told(pl.DataFrame([told("A", 4), row], TOLD, orient="row"), active.cast(SUBSCRIPTIONS), 9)
    assert found["digest"].to_list() == [None]


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ([], ["A", "B"]),
        ([("SNAPSHOT", {})], []),
        ([("EMPTY", {})], []),
        ([("CORRECTED", {})], ["A", "B"]),
        ([("SNAPSHOT", {"partner": "Q"})], ["A", "B"]),
        ([("SNAPSHOT", {"person": BO})], ["A", "B"]),
        ([("SNAPSHOT", {"benefit": "FK:FP"})], ["A", "B"]),
    ],
)
def test_of_what_was_carried_over_counts_what_no_snapshot_of_the_night_has_replaced(said: list[tuple[str, Row]], left: list[str]) -> None:
    rows = [{"partner": "P", "person": ANNA, "benefit": "FK:SJP", "action": action} | of for action, of in said]
    records = pl.DataFrame(rows, dict.fromkeys(("partner", "person", "benefit", "action"), pl.String()), orient="row")
    found = with_carried(TOLD.to_frame(), pl.DataFrame([told("B", 9), told("A", 9)], TOLD, orient="row"), records)
    assert found.filter(pl.col("night") == 9)["fact_id"].to_list() == left
    assert found.select("fact_id", "sequence").rows() == [("A", 9), ("B", 9)]
    assert set(found["night"]) <= {8, 9}


def test_what_the_night_tells_itself_of_a_fact_takes_the_place_of_what_was_carried_over() -> None:
    tonight = [told("A", 9, version=2), told("A", 9, person=BO, version=3), told("C", 9, version=4, bucket=1)]
    carried_over = pl.DataFrame([told("A", 9), told("A", 9, partner="Q"), told("A", 9, benefit="FK:AS"), told("B", 9)], TOLD, orient="row")
    records = pl.DataFrame(schema=dict.fromkeys(("partner", "person", "benefit", "action"), pl.String()))
    found = with_carried(pl.DataFrame(tonight, TOLD, orient="row"), carried_over, records)
    assert found.schema == TOLD
    assert found.select("person", "benefit", "fact_id", "partner", "night", "version").rows() == [
        (BO, "FK:SJP", "A", "P", 9, 3),
        (ANNA, "FK:AS", "A", "P", 9, 1),
        (ANNA, "FK:SJP", "A", "P", 8, 1),
        (ANNA, "FK:SJP", "A", "P", 9, 2),
        (ANNA, "FK:SJP", "A", "Q", 9, 1),
        (ANNA, "FK:SJP", "B", "P", 9, 1),
        (ANNA, "FK:SJP", "C", "P", 9, 4),
    ]
