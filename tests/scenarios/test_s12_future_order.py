"""S12 (2020-05): an order with a future or wrong date raised exceptions; no notice to the partner. One coded receipt for each order line."""

from collections import Counter

from tests.kit import ANNA, BO, CIA, World, avro_rows, number
from tests.scenarios.entitled import everybody_knows

SUBSCRIBE = {"purpose": "insurance", "from_date": "2024-01-01"}
NOBODY = number("1933-03-03")


def test_every_line_has_its_one_receipt_whatever_is_wrong_with_it(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP", "FK:FP")
    world.persons(ANNA, BO, CIA)
    world.registered.add(NOBODY)
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-10")
    lines: list[tuple[str, str | None, str | None, dict[str, str | None], str]] = [
        ("SUBSCRIBE", ANNA, "FK:SJP", SUBSCRIBE, "ACCEPTED"),
        ("SUBSCRIBE", ANNA, "FK:SJP", SUBSCRIBE, "DUPLICATE"),
        ("SUBSCRIBE", BO, "FK:SJP", SUBSCRIBE | {"from_date": "2024-05-21"}, "FUTURE_DATE"),
        ("SUBSCRIBE", BO, "FK:SJP", SUBSCRIBE | {"from_date": "2024-02-30"}, "INVALID_DATE"),
        ("SUBSCRIBE", BO, "FK:SJP", SUBSCRIBE | {"from_date": "20240101"}, "INVALID_DATE"),
        ("SUBSCRIBE", BO, "FK:SJP", SUBSCRIBE | {"end_date": "2024-01-01"}, "INVALID_DATE"),
        ("SUBSCRIBE", BO, "FK:SJP", SUBSCRIBE | {"from_date": ""}, "MISSING_FIELD"),
        ("SUBSCRIBE", BO[:-1], "FK:SJP", SUBSCRIBE, "INVALID_PERSONNUMMER"),
        ("SUBSCRIBE", BO, "FK:XYZ", SUBSCRIBE, "UNKNOWN_BENEFIT"),
        ("SUBSCRIBE", BO, "FK:AS", SUBSCRIBE, "NOT_AUTHORISED"),
        ("SUBSCRIBE", NOBODY, "FK:SJP", SUBSCRIBE, "UNKNOWN_PERSON"),
        ("END", BO, "FK:SJP", {}, "NO_SUBSCRIPTION"),
        ("LOOK", BO, "FK:SJP", {}, "INVALID_ACTION"),
        ("SUBSCRIBE", CIA, "FK:FP", SUBSCRIBE | {"from_date": "2024-05-20"}, "ACCEPTED"),
        ("REFRESH", CIA, "FK:SJP", {}, "NO_SUBSCRIPTION"),
    ]
    for action, person, benefit, fields, _ in lines:
        world.order("BOLAGET", action, person, benefit, **fields)
    world.night("2024-05-20")
    assert world.receipts("BOLAGET") == [code for *_, code in lines]
    receipts = avro_rows(world.deliveries("BOLAGET")[-1] / "receipts.avro")
    assert {*Counter((each["order_id"], each["line_no"]) for each in receipts).values()} == {1}
    assert [each["accepted"] for each in receipts] == [each["code"] == "ACCEPTED" for each in receipts]
    assert all((each["effective_on"] is not None) == each["accepted"] for each in receipts)
    assert sorted(world.told("BOLAGET")) == sorted([("SNAPSHOT", ANNA, "FK:SJP", "D"), ("EMPTY", CIA, "FK:FP", None)])
    everybody_knows(world)

    world.order("BOLAGET", "SUBSCRIBE", BO, "FK:SJP", **SUBSCRIBE | {"from_date": "2024-05-21"})  # the future has come
    world.night("2024-05-21")
    assert world.receipts("BOLAGET") == ["ACCEPTED"]
    everybody_knows(world)
