"""R12-R16: tables of cases, sequences, and random lines against the oracle."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contracts import RECEIPT
from schemas.errors import VerificationError
from schemas.frames import SUBSCRIPTIONS
from tests.oracle import orders as oracle
from tests.transforms.facts import ANNA, BO, CIA, DAN
from transforms.judge_lines import CODES
from transforms.take_orders import LINES, RECEIPTS, REFRESHES, Taken, end_subscriptions, settle_receipts, take_orders

Row = dict[str, Any]
D = date(2024, 5, 21)
NIGHT = 7


UNREGISTERED = DAN
BIRTH = {ANNA: date(1990, 1, 15), BO: date(1985, 6, 30), CIA: date(2000, 2, 28)}
BUCKET = {ANNA: 0, BO: 1, CIA: 2, UNREGISTERED: 3}
BENEFITS = ("FK:SJP", "FK:FP", "FK:AS")
PERMISSIONS = {("P", "insurance", "FK:SJP"), ("P", "pension", "FK:SJP"), ("P", "insurance", "FK:FP"), ("Q", "insurance", "FK:SJP")}


def line(action: str, number: str | None = None, benefit: str | None = None, **fields: str | None) -> Row:
    """An order line of partner P; the number is its person's key."""
    return {"action": action, "personnummer": number, "benefit": benefit, **fields}


def subscribe(from_date: str = "2024-05-01", number: str = ANNA, **fields: str | None) -> Row:
    return {"purpose": "insurance", **line("SUBSCRIBE", number, "FK:SJP", from_date=from_date), **fields}


def end(end_date: str | None = None, number: str = ANNA, **fields: str | None) -> Row:
    return {**line("END", number, "FK:SJP", end_date=end_date), **fields}


def refresh(**fields: str | None) -> Row:
    return {**line("REFRESH"), **fields}


def placed(rows: Sequence[Row]) -> list[Row]:
    """The lines as they arrive, in the order given."""
    blank = dict.fromkeys(LINES.names())
    return [
        {
            **blank,
            "order_id": "O1",
            "line_no": place + 1,
            "partner": "P",
            "drop": "p/2024-05-21",
            "position": place,
            "bucket": BUCKET.get(row.get("personnummer") or "", 0),
            "person": row.get("personnummer") if row.get("personnummer") in BUCKET else None,
            **row,
        }
        for place, row in enumerate(rows)
    ]


def standing(from_date: date = date(2024, 3, 1), number: str = ANNA, **fields: Any) -> Row:
    """A subscription of last night whose partner has been told something."""
    return {
        "bucket": BUCKET[number],
        "partner": "P",
        "person": number,
        "benefit": "FK:SJP",
        "purpose": "insurance",
        "from_date": from_date,
        "end_date": None,
        "numbers": [number],
        "protected": True,
        "initial_due": False,
        "delivered": True,
        "deviation_number": number,
        "heal_due": True,
        "snapshot_night": 3,
        **fields,
    }


def permissions(of: set[tuple[str, str, str]] = PERMISSIONS) -> pl.DataFrame:
    return pl.DataFrame(sorted(of), schema=["partner", "purpose", "benefit"], orient="row")


def persons(numbers: Sequence[str] = tuple(BIRTH)) -> pl.DataFrame:
    return pl.DataFrame({"person": numbers, "birth_date": [BIRTH[number] for number in numbers]})


def take(rows: Sequence[Row], held: Sequence[Row] = ()) -> Taken:
    return take_orders(
        pl.DataFrame(placed(rows), LINES), pl.DataFrame(held, SUBSCRIPTIONS, orient="row"), persons(), permissions(), BENEFITS, D, NIGHT
    )


def codes(rows: Sequence[Row], held: Sequence[Row] = ()) -> list[str | None]:
    return take(rows, held).receipts["code"].to_list()


# One line at a time


@pytest.mark.parametrize(
    ("code", "row"),
    [
        ("INVALID_ACTION", line("subscribe", ANNA, "FK:SJP")),
        ("INVALID_ACTION", line("")),
        ("MISSING_FIELD", subscribe(personnummer=None)),
        ("MISSING_FIELD", subscribe(benefit="")),
        ("MISSING_FIELD", subscribe(purpose="")),
        ("MISSING_FIELD", subscribe(from_date="")),
        ("MISSING_FIELD", end(number="")),
        ("MISSING_FIELD", end(benefit=None)),
        ("INVALID_PERSONNUMMER", subscribe(personnummer=ANNA[:-1] + str((int(ANNA[-1]) + 1) % 10))),
        ("INVALID_PERSONNUMMER", refresh(personnummer="9001151234")),
        ("UNKNOWN_BENEFIT", subscribe(benefit="FK:XYZ")),
        ("UNKNOWN_BENEFIT", refresh(benefit="fk:sjp")),
        ("INVALID_DATE", subscribe("2024-02-30")),
        ("INVALID_DATE", subscribe("20240501")),
        ("INVALID_DATE", subscribe("2024-5-1")),
        ("INVALID_DATE", subscribe("2024-05-01 ")),
        ("INVALID_DATE", subscribe("2024-05-01\n")),
        ("INVALID_DATE", subscribe("+024-05-01")),
        ("INVALID_DATE", subscribe("0000-05-01")),
        ("INVALID_DATE", subscribe("٢٠٢٤-05-01")),
        ("INVALID_DATE", subscribe(end_date="soon")),
        ("INVALID_DATE", subscribe("2024-05-21", end_date="2024-05-21")),
        ("INVALID_DATE", subscribe("2024-07-01", end_date="2024-06-01")),
        ("INVALID_DATE", subscribe("2024-05-01", end_date="2024-05-21")),
        ("INVALID_DATE", end("yesterday")),
        ("INVALID_DATE", refresh(born_from="1990")),
        ("INVALID_DATE", refresh(born_to="1990-13-01")),
        ("INVALID_DATE", refresh(born_from="1990-01-02", born_to="1990-01-01")),
        ("INVALID_DATE", subscribe("2024-06-01", end_date="2024-06-01")),
        ("FUTURE_DATE", subscribe("2024-05-22")),
        ("FUTURE_DATE", subscribe("2024-05-22", end_date="2024-06-01")),
        ("NOT_AUTHORISED", subscribe(benefit="FK:AS")),
        ("NOT_AUTHORISED", subscribe(purpose="other")),
        ("NOT_AUTHORISED", subscribe(partner="Q", purpose="pension")),
        ("UNKNOWN_PERSON", subscribe(number=UNREGISTERED)),
        ("UNKNOWN_PERSON", end(number=UNREGISTERED)),
        ("UNKNOWN_PERSON", refresh(personnummer=UNREGISTERED)),
        ("NO_SUBSCRIPTION", end()),
        ("NO_SUBSCRIPTION", end(benefit="FK:AS")),
        ("NO_SUBSCRIPTION", refresh(personnummer=ANNA)),
        ("ACCEPTED", subscribe("2024-05-21")),
        ("ACCEPTED", subscribe("0001-01-01", end_date="9999-12-31")),
        ("ACCEPTED", subscribe("2024-02-29", end_date="2024-05-22")),
    ],
)
def test_a_line_gets_the_code_of_its_fault(code: str, row: Row) -> None:
    assert codes([row]) == [code]


FAULTS: list[tuple[str, Row]] = [
    ("MISSING_FIELD", {"purpose": None}),
    ("INVALID_PERSONNUMMER", {"personnummer": "199001159800x"}),
    ("UNKNOWN_BENEFIT", {"benefit": "FK:XYZ"}),
    ("INVALID_DATE", {"end_date": "never"}),
    ("FUTURE_DATE", {"from_date": "2024-05-22"}),
    ("NOT_AUTHORISED", {"purpose": "other"}),
    ("UNKNOWN_PERSON", {"personnummer": UNREGISTERED}),
]


@pytest.mark.parametrize("first", range(len(FAULTS)))
def test_of_several_faults_the_first_of_the_contract_is_answered(first: int) -> None:
    row = subscribe()
    for _, fault in reversed(FAULTS[first:]):
        row |= fault
    assert codes([row, row | {"action": "START"}]) == [FAULTS[first][0], "INVALID_ACTION"]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (end(purpose="other", from_date="nonsense", born_from="nonsense", born_to="x"), "ACCEPTED"),
        (refresh(personnummer=ANNA, purpose="other", from_date="2099-01-01", end_date="nonsense"), "ACCEPTED"),
        (subscribe("2024-02-01", born_from="nonsense", born_to="nonsense"), "ACCEPTED"),
    ],
)
def test_fields_that_the_action_does_not_use_are_not_looked_at(row: Row, code: str) -> None:
    assert codes([row], [standing()]) == [code]


def test_empty_fields_are_null_also_where_they_narrow_a_refresh() -> None:
    taken = take([refresh(personnummer=ANNA, benefit="", born_from="", born_to="")], [standing()])
    assert taken.receipts["code"].to_list() == ["ACCEPTED"]
    assert taken.refreshes["person"].to_list() == [ANNA]


def test_a_receipt_names_its_line_and_has_a_text_without_the_number() -> None:
    taken = take([subscribe(), subscribe(from_date=ANNA)])
    accepted, refused = taken.receipts.to_dicts()
    assert accepted == {
        "order_id": "O1",
        "line_no": 1,
        "accepted": True,
        "code": "ACCEPTED",
        "text": "The subscription starts: everything visible from from_date on is delivered.",
        "effective_on": D,
        "partner": "P",
        "drop": "p/2024-05-21",
        "position": 0,
        "bucket": 0,
    }
    assert refused["text"] == "from_date must be a real date, written YYYY-MM-DD."
    assert refused["effective_on"] is None
    assert taken.receipts.schema == RECEIPTS


def test_every_code_of_the_contract_can_be_answered() -> None:
    symbols = RECEIPT.fields["code"]["symbols"]
    assert set(CODES.values()) == set(symbols)


def test_receipts_are_in_the_order_of_position_whatever_the_order_of_the_lines() -> None:
    lines = pl.DataFrame(placed([subscribe(), subscribe(), end(), subscribe()]), LINES).reverse()
    taken = take_orders(lines, SUBSCRIPTIONS.to_frame(), persons(), permissions(), BENEFITS, D, NIGHT)
    assert taken.receipts["position"].to_list() == [0, 1, 2, 3]
    assert taken.receipts["code"].to_list() == ["ACCEPTED", "DUPLICATE", "ACCEPTED", "ACCEPTED"]


def test_a_night_without_lines_gives_back_what_goes_on() -> None:
    held = [standing(number=BO), standing(), standing(number=CIA, end_date=D)]
    taken = take([], held)
    assert taken.subscriptions.to_dicts() == [held[1], held[0]]
    assert taken.receipts.is_empty()
    assert taken.refreshes.schema == REFRESHES


def test_a_frame_with_other_columns_is_refused_by_name() -> None:
    with pytest.raises(VerificationError, match=r"orders, subscriptions of last night: .*benefit"):
        take_orders(pl.DataFrame([], LINES), pl.DataFrame({"benefit": []}), persons(), permissions(), BENEFITS, D, NIGHT)


# What has ended before any line (R12, R15)


@pytest.mark.parametrize(
    ("row", "goes_on"),
    [
        (standing(), True),
        (standing(end_date=D + timedelta(days=1)), True),
        (standing(end_date=D), False),
        (standing(end_date=D - timedelta(days=9)), False),
        (standing(purpose="other"), False),
        (standing(benefit="FK:AS"), False),
        (standing(partner="GONE"), False),
    ],
)
def test_a_subscription_ends_with_its_date_its_permission_or_its_partner(row: Row, goes_on: bool) -> None:
    ended = end_subscriptions(pl.DataFrame([row], SUBSCRIPTIONS), permissions(), D)
    assert ended.to_dicts() == [row] * goes_on


def test_an_ended_subscription_can_be_started_anew_in_the_same_night() -> None:
    taken = take([end(), subscribe("2024-04-01")], [standing(purpose="other")])
    assert taken.receipts["code"].to_list() == ["NO_SUBSCRIPTION", "ACCEPTED"]
    assert taken.subscriptions.to_dicts() == [new(date(2024, 4, 1))]


# Sequences of lines, by R14 and R15


def new(from_date: date, **fields: Any) -> Row:
    """A subscription of which its partner has been told nothing."""
    untold: Row = {"numbers": [], "protected": None, "initial_due": True, "delivered": False, "deviation_number": None, "heal_due": False}
    return standing(from_date, **untold, snapshot_night=NIGHT, **fields)


JUNE, JULY = date(2024, 6, 1), date(2024, 7, 1)


@pytest.mark.parametrize(
    ("held", "rows", "answers", "after"),
    [
        pytest.param([], [subscribe()], ["ACCEPTED"], [new(date(2024, 5, 1))], id="starts"),
        pytest.param([], [subscribe(), subscribe()], ["ACCEPTED", "DUPLICATE"], [new(date(2024, 5, 1))], id="twice"),
        pytest.param(
            [],
            [subscribe(end_date="2024-06-01"), subscribe("2024-05-02", purpose="pension", end_date="2024-07-01")],
            ["ACCEPTED", "DUPLICATE"],
            [new(date(2024, 5, 1), end_date=JUNE)],
            id="a duplicate changes nothing",
        ),
        pytest.param(
            [],
            [subscribe(), subscribe("2024-04-01", purpose="pension"), subscribe("2024-04-15")],
            ["ACCEPTED", "ACCEPTED", "DUPLICATE"],
            [new(date(2024, 4, 1), purpose="pension")],
            id="a new one moves back",
        ),
        pytest.param(
            [standing(end_date=JUNE)],
            [subscribe("2024-02-29", purpose="pension")],
            ["ACCEPTED"],
            [standing(date(2024, 2, 29), end_date=JUNE, purpose="pension", initial_due=True)],
            id="moving back keeps the end and what was told",
        ),
        pytest.param(
            [standing(end_date=JUNE)],
            [subscribe("2024-02-29", end_date="2024-07-01")],
            ["ACCEPTED"],
            [standing(date(2024, 2, 29), end_date=JULY, initial_due=True)],
            id="moving back takes over a given end",
        ),
        pytest.param([standing()], [subscribe("2024-03-01")], ["DUPLICATE"], [standing()], id="the same date is a duplicate"),
        pytest.param([standing()], [end()], ["ACCEPTED"], [], id="ends today"),
        pytest.param([standing()], [end("2024-05-20")], ["ACCEPTED"], [], id="a past end is today"),
        pytest.param([standing()], [end("2024-06-01")], ["ACCEPTED"], [standing(end_date=JUNE)], id="ends later"),
        pytest.param(
            [standing(end_date=JUNE)],
            [end("2024-07-01")],
            ["ACCEPTED"],
            [standing(end_date=JULY)],
            id="a later end replaces an earlier one",
        ),
        pytest.param([standing()], [end("2024-06-01"), end("2024-07-01"), end()], ["ACCEPTED"] * 3, [], id="ends later, then today"),
        pytest.param([standing()], [end(), end()], ["ACCEPTED", "NO_SUBSCRIPTION"], [], id="ends once"),
        pytest.param(
            [standing()],
            [end(), subscribe(), subscribe("2024-03-01")],
            ["ACCEPTED"] * 3,
            [new(date(2024, 3, 1))],
            id="starts anew after an end, and knows nothing of the life before",
        ),
        pytest.param(
            [standing(date(2024, 1, 1))],
            [end(), end(), subscribe("2024-05-01", end_date="2024-06-01"), end(), subscribe("2024-05-10")],
            ["ACCEPTED", "NO_SUBSCRIPTION", "ACCEPTED", "ACCEPTED", "ACCEPTED"],
            [new(date(2024, 5, 10))],
            id="three lives",
        ),
        pytest.param(
            [standing()],
            [end("2024-06-01"), subscribe("2024-05-01"), subscribe("2024-02-01")],
            ["ACCEPTED", "DUPLICATE", "ACCEPTED"],
            [standing(date(2024, 2, 1), end_date=JUNE, initial_due=True)],
            id="an end to come does not end it yet",
        ),
        pytest.param(
            [standing()],
            [subscribe("2024-01-01", end_date="2024-06-01", purpose="pension"), subscribe("2023-01-01", purpose="pension")],
            ["ACCEPTED", "ACCEPTED"],
            [standing(date(2023, 1, 1), end_date=JUNE, purpose="pension", initial_due=True)],
            id="moves back twice",
        ),
        pytest.param(
            [standing()],
            [subscribe(number=BO), subscribe(benefit="FK:FP"), subscribe(partner="Q")],
            ["ACCEPTED"] * 3,
            [new(date(2024, 5, 1), benefit="FK:FP"), standing(), new(date(2024, 5, 1), partner="Q"), new(date(2024, 5, 1), number=BO)],
            id="other groups are others",
        ),
    ],
)
def test_each_line_sees_the_effect_of_those_before(held: list[Row], rows: list[Row], answers: list[str], after: list[Row]) -> None:
    taken = take(rows, held)
    assert taken.receipts["code"].to_list() == answers
    assert taken.subscriptions.to_dicts() == after


@pytest.mark.parametrize(("given", "holds"), [(None, D), ("2023-12-31", D), ("2024-05-21", D), ("2024-06-01", JUNE)])
def test_the_receipt_of_an_end_names_the_date_that_holds(given: str | None, holds: date) -> None:
    assert take([end(given)], [standing()]).receipts["effective_on"].to_list() == [holds]


# What a refresh matches, by R16


def matched(taken: Taken) -> list[tuple[int, str, str]]:
    return list(taken.refreshes.select("position", "person", "benefit").iter_rows())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [(ANNA, "FK:FP"), (ANNA, "FK:SJP"), (BO, "FK:SJP"), (CIA, "FK:SJP")]),
        ({"benefit": "FK:SJP"}, [(ANNA, "FK:SJP"), (BO, "FK:SJP"), (CIA, "FK:SJP")]),
        ({"personnummer": ANNA}, [(ANNA, "FK:FP"), (ANNA, "FK:SJP")]),
        ({"personnummer": ANNA, "benefit": "FK:FP"}, [(ANNA, "FK:FP")]),
        ({"personnummer": BO, "benefit": "FK:FP"}, []),
        ({"born_from": "1990-01-15"}, [(ANNA, "FK:FP"), (ANNA, "FK:SJP"), (CIA, "FK:SJP")]),
        ({"born_to": "1990-01-14"}, [(BO, "FK:SJP")]),
        ({"born_from": "2000-02-28", "born_to": "2000-02-28"}, [(CIA, "FK:SJP")]),
        ({"born_from": "2000-02-29"}, []),
        ({"personnummer": CIA, "born_to": "1999-12-31"}, []),
        ({"partner": "Q"}, [(ANNA, "FK:SJP")]),
    ],
)
def test_a_refresh_matches_the_partners_groups_by_benefit_person_and_registered_birth_date(
    fields: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    held = [standing(), standing(benefit="FK:FP"), standing(number=BO), standing(number=CIA), standing(partner="Q")]
    taken = take([refresh(**fields)], held)
    assert matched(taken) == [(0, *group) for group in expected]
    certain = "ACCEPTED" if expected else "NO_SUBSCRIPTION"
    assert taken.receipts["code"].to_list() == [certain if "personnummer" in fields else None]
    assert settle_receipts(taken.receipts, taken.refreshes, D)["code"].to_list() == [certain]


def test_a_subscriber_who_is_not_registered_any_more_is_refreshed_where_no_birth_date_is_asked_for() -> None:
    held = [standing(number=UNREGISTERED)]
    assert matched(take([refresh(), refresh(born_from="1900-01-01")], held)) == [(0, UNREGISTERED, "FK:SJP")]


def test_refreshes_come_by_line_then_bucket_person_benefit_and_partner() -> None:
    held = [standing(number=CIA), standing(number=BO), standing(benefit="FK:SJP"), standing(benefit="FK:FP")]
    groups = [(ANNA, "FK:FP"), (ANNA, "FK:SJP"), (BO, "FK:SJP"), (CIA, "FK:SJP")]
    assert matched(take([refresh(), refresh(personnummer=CIA), refresh()], held)) == [
        *((0, *group) for group in groups),
        (1, CIA, "FK:SJP"),
        *((2, *group) for group in groups),
    ]


def test_a_thousand_groups_are_kept_apart() -> None:
    held = [standing(date(2024, 3, 1), partner=f"P{place:04}") for place in range(1000)]
    rows = [subscribe("2024-04-01", partner=f"P{place:04}") for place in range(1000)]
    allowed = permissions({(f"P{place:04}", "insurance", "FK:SJP") for place in range(1000)})
    taken = take_orders(pl.DataFrame(placed(rows), LINES), pl.DataFrame(held, SUBSCRIPTIONS), persons(), allowed, BENEFITS, D, NIGHT)
    assert taken.receipts["code"].unique().to_list() == ["DUPLICATE"]
    assert taken.subscriptions.to_dicts() == held


def test_a_refresh_sees_the_lines_before_it_only() -> None:
    rows = [
        refresh(),
        end(),
        refresh(),
        subscribe(),
        refresh(),
        subscribe("2024-04-01"),
        end("2024-06-01"),
        refresh(),
        end(),
        refresh(personnummer=ANNA),
    ]
    taken = take(rows, [standing()])
    assert matched(taken) == [(0, ANNA, "FK:SJP"), (4, ANNA, "FK:SJP"), (7, ANNA, "FK:SJP")]
    assert taken.receipts["code"].to_list()[-1] == "NO_SUBSCRIPTION"


def test_a_refresh_of_a_subscription_that_has_ended_tonight_matches_nothing() -> None:
    taken = take([refresh(personnummer=ANNA)], [standing(end_date=D)])
    assert taken.receipts["code"].to_list() == ["NO_SUBSCRIPTION"]


def test_settled_receipts_are_one_for_each_line_of_all_buckets() -> None:
    held = [standing(number=BO)]
    lines = pl.DataFrame(placed([refresh(), refresh(born_to="x"), refresh(benefit="FK:FP"), subscribe()]), LINES)
    first = take_orders(lines, SUBSCRIPTIONS.to_frame(), persons([ANNA]), permissions(), BENEFITS, D, NIGHT)
    second = take_orders(lines.head(3), pl.DataFrame(held, SUBSCRIPTIONS), persons([BO]), permissions(), BENEFITS, D, NIGHT)
    assert first.receipts["accepted"].to_list() == [None, False, None, True]
    both = settle_receipts(pl.concat([first.receipts, second.receipts]), pl.concat([first.refreshes, second.refreshes]), D)
    assert both.select("code", "accepted", "effective_on").rows() == [
        ("ACCEPTED", True, D),
        ("INVALID_DATE", False, None),
        ("NO_SUBSCRIPTION", False, None),
        ("ACCEPTED", True, D),
    ]
    assert both["text"].null_count() == 0


# Random lines against the oracle

DAYS = ["2024-05-20", "2024-05-21", "2024-05-22", "2024-04-30", "2024-03-01", "2024-02-28", "2024-06-01", None, None, "", "2024-02-30"]
BIRTHDAYS = [None, None, None, "1985-06-30", "1990-01-15", "2000-02-28", "2000-02-29", "19900115"]
LINE = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["SUBSCRIBE"] * 6 + ["END"] * 4 + ["REFRESH"] * 2 + ["STOP"]),
        "partner": st.sampled_from("PPPQ"),
        "personnummer": st.sampled_from([ANNA, ANNA, ANNA, BO, BO, CIA, UNREGISTERED, "199001150000", None, ""]),
        "benefit": st.sampled_from(["FK:SJP"] * 5 + ["FK:FP", "FK:AS", "FK:XYZ", None, ""]),
        "purpose": st.sampled_from(["insurance"] * 5 + ["pension", "pension", "other", ""]),
        "from_date": st.sampled_from(DAYS),
        "end_date": st.sampled_from(DAYS + [None] * 6),
        "born_from": st.sampled_from(BIRTHDAYS),
        "born_to": st.sampled_from(BIRTHDAYS),
    }
)
GROUPS = [(partner, number, benefit) for partner in ("P", "Q", "GONE") for number in BIRTH for benefit in BENEFITS]
SOME_DAYS = st.integers(-3, 3).map(lambda days: D + timedelta(days=days))
STATE = st.fixed_dictionaries(
    {
        "purpose": st.sampled_from(["insurance", "insurance", "pension"]),
        "from_date": SOME_DAYS,
        "end_date": st.none() | SOME_DAYS,
        "initial_due": st.booleans(),
        "heal_due": st.booleans(),
        "protected": st.none() | st.booleans(),
    }
)
HELD = st.dictionaries(st.sampled_from(GROUPS), STATE).map(
    lambda held: [standing(number=number) | {"partner": p, "benefit": b} | state for (p, number, b), state in held.items()]
)


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(LINE, max_size=60), held=HELD)
def test_any_lines_are_taken_as_one_by_one_in_one_set_of_buckets_or_in_several(rows: list[Row], held: list[Row]) -> None:
    lines = placed(rows)
    night = oracle.Night(D, NIGHT, BIRTH, PERMISSIONS, BENEFITS)
    oracle.take(night, held, lines)

    broad = (pl.col("action") == "REFRESH") & (pl.col("personnummer").fill_null("") == "")
    parts = []
    for buckets in ([0, 1, 2, 3], [0, 3], [1, 2]):
        mine = pl.DataFrame(lines, LINES).filter(broad | pl.col("bucket").is_in(buckets))
        own = pl.DataFrame(held, SUBSCRIPTIONS).filter(pl.col("bucket").is_in(buckets))
        registered = persons([number for number in BIRTH if BUCKET[number] in buckets])
        parts.append(take_orders(mine, own, registered, permissions(), BENEFITS, D, NIGHT))

    for taken in (parts[:1], parts[1:]):
        refreshes = pl.concat(part.refreshes for part in taken).sort("position", "bucket", "person", "benefit")
        receipts = settle_receipts(pl.concat(part.receipts for part in taken), refreshes, D)
        subscriptions = pl.concat(part.subscriptions for part in taken).sort("bucket", "person", "benefit", "partner")
        assert receipts.drop("text").sort("position").to_dicts() == [
            {name: row[name] for name in receipts.columns if name != "text"} for row in night.receipts
        ]
        assert subscriptions.to_dicts() == sorted(
            night.subscriptions.values(), key=lambda row: [row[name] for name in ("bucket", "person", "benefit", "partner")]
        )
        assert refreshes.to_dicts() == sorted(
            night.refreshes, key=lambda row: [row[name] for name in ("position", "bucket", "person", "benefit")]
        )
