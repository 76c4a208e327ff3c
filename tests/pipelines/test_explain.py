"""`lefi explain`: told stories, and what it says of them."""

import io
from itertools import count
from typing import Any

import polars as pl
import pytest

from schemas.contracts import BENEFIT_FACT
from storage import avro
from tests.kit import ANNA, BO, CIA, World, completed, day, number, span

NIGHT, NEXT, LATER = "2024-05-21", "2024-05-22", "2024-05-23"
TWINS = count()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Anna's sick pay: two decisions of one case, and a payment over both; one night."""
    world = World(tmp_path_factory.mktemp("story") / "ws")
    world.partner("BOLAGET", "FK:SJP", "FK:FP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10")
    world.decision(ANNA, "FK:SJP", "D2", "2024-05-08", "2024-05-15", 500)
    world.payment(ANNA, "FK:SJP", "P", "2024-04-28", "2024-05-20")
    world.night(NIGHT)
    return world


@pytest.fixture
def told(story: World) -> World:
    """The story, for a test to go on with."""
    return story.twin(f"twin-{next(TWINS)}")


def explained(world: World, *arguments: str, person: str = ANNA, partner: str = "BOLAGET") -> Any:
    return world.lefi("explain", "--partner", partner, "--person", person, "--json", *arguments).json


def group(world: World, benefit: str = "FK:SJP", person: str = ANNA) -> Any:
    return explained(world, "--benefit", benefit, person=person)["groups"][0]


def facts(world: World, benefit: str = "FK:SJP", person: str = ANNA) -> dict[str, Any]:
    return {fact["fact_id"]: fact for fact in group(world, benefit, person)["facts"]}


def shown(world: World, person: str = ANNA) -> str:
    return world.lefi("explain", "--partner", "BOLAGET", "--person", person).out


# From facts to records


def test_a_payment_names_the_decision_of_each_day_and_of_each_window(told: World) -> None:
    payment = facts(told)["P"]
    assert [tuple(each.values()) for each in payment["decided"]] == [
        ("2024-04-28", "2024-04-30", None),
        ("2024-05-01", "2024-05-07", "D1"),
        ("2024-05-08", "2024-05-15", "D2"),
        ("2024-05-16", "2024-05-20", None),
    ]
    assert [(w["first"], w["last"], w["extent_permille"], w["units"], w["decisions"]) for w in payment["windows"]] == [
        ("2024-05-01", "2024-05-07", 1000, 7, ["D1"]),
        ("2024-05-08", "2024-05-15", 500, 8, ["D2"]),
    ]
    assert (payment["units"], payment["deviation"], payment["visible"]) == (15, None, True)


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
def test_a_payment_at_the_ends_of_the_calendar_is_explained(world: World, day: str) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    first, last = sorted(["2024-05-01", day])
    world.payment(ANNA, "FK:SJP", "P", first, last)
    world.night(NIGHT)
    assert [tuple(each.values()) for each in facts(world)["P"]["decided"]] == [(first, last, None)]


def test_a_record_with_days_that_no_date_has_is_named(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-10")
    world.decision(ANNA, "FK:SJP", "far", "2024-05-01", "2024-05-10")
    rows = [completed(BENEFIT_FACT, row, place, day(NIGHT)) for place, row in enumerate(world.waiting.pop("FK:SJP"))]
    far = pl.when(pl.col("fact_id") == "far").then(pl.lit(3_000_000, pl.Int32()).cast(pl.Date())).otherwise("period_to")
    frame = pl.DataFrame(rows, schema=BENEFIT_FACT.frame, orient="row").with_columns(far.alias("period_to"))
    data = avro.header(BENEFIT_FACT, bytes(16)) + avro.encode(frame, BENEFIT_FACT, bytes(16))
    world.drops(NIGHT, ["FK:SJP"])
    world.raw_drop(NIGHT, {"dataset": "facts", "benefit": "FK:SJP"}, {"part-0.avro": data}, 2)
    world.night(NIGHT)
    assert [(each["code"], each["fact_id"], each["state"]) for each in group(world)["rejected"]] == [("INVALID_PERIOD", "far", "freezes")]


def test_what_a_merge_carried_over_is_of_the_delivery_that_told_it(world: World) -> None:
    other = number("1990-02-02", 981)
    world.partner("BOLAGET", "FK:SJP")
    world.person(other)
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-10")
    world.night(NIGHT)
    world.lefi("rebucket")
    world.night(NEXT)
    world.person(ANNA, former_personnummer=other)
    world.night(LATER)
    said = facts(world)["D"]["told"]
    assert [(each["business_date"], each["sequence"], each["action"]) for each in said] == [(NIGHT, 1, "SNAPSHOT")]
    assert said[0]["file"].startswith("outbox/BOLAGET/00000001/")


def test_a_window_over_two_decisions_names_both(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10")
    world.decision(ANNA, "FK:SJP", "D2", "2024-05-11", "2024-05-20")
    world.payment(ANNA, "FK:SJP", "P", "2024-05-01", "2024-05-20")
    world.night(NIGHT)
    assert [w["decisions"] for w in facts(world)["P"]["windows"]] == [["D1", "D2"]]


def test_a_payment_that_no_decision_covers_is_one_stretch_without_a_decision(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.payment(ANNA, "FK:SJP", "P", "2024-05-01", "2024-05-20")
    world.night(NIGHT)
    payment = facts(world)["P"]
    assert (payment["decided"], payment["deviation"]) == (
        [{"first": "2024-05-01", "last": "2024-05-20", "decision": None}],
        "PERIOD_MISMATCH",
    )
    assert payment["told"][0]["deviation"] == "PERIOD_MISMATCH"


def test_each_record_told_is_named_with_its_file_and_the_last_one_holds(told: World) -> None:
    told.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10", 750, version=2, reason="changed")
    told.night(NEXT)
    decision = facts(told)["D1"]
    delivered = [(record["record_no"], record["fact_id"]) for record in told.records("BOLAGET", 2)]
    assert [(t["sequence"], t["action"], t["trigger"], t["reason"], t["holds"]) for t in decision["told"]] == [
        (1, "SNAPSHOT", "INITIAL", None, False),
        (2, "CORRECTED", "CHANGE", "changed", True),
    ]
    assert (decision["told"][1]["record_no"], "D1") in delivered
    assert decision["told"][1]["file"] == "outbox/BOLAGET/00000002/part-00001.avro"
    assert (decision["state"], facts(told)["P"]["state"]) == ("told", "told")


def test_each_version_says_where_it_came_from_and_whether_it_counts(told: World) -> None:
    told.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10", 750, version=2, source_run="R2")
    told.night(NEXT)
    told.lefi("retract", "--source-run", "R2", "--reason", "sent in error")
    assert [(v["version"], v["state"], v["drop"]) for v in facts(told)["D1"]["versions"]] == [
        (1, "superseded", f"fk-sjp-{NIGHT}"),
        (2, "to be retracted", f"fk-sjp-{NEXT}"),
    ]
    told.night(LATER)
    decision = facts(told)["D1"]
    assert [(v["version"], v["state"], v["source_run"]) for v in decision["versions"]] == [
        (1, "held", f"FK:SJP/{NIGHT}"),
        (2, "retracted", "R2"),
    ]
    assert decision["told"][-1]["action"] == "CORRECTED"


# Why something is not delivered


def test_a_fact_that_ended_before_from_date_is_not_visible(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP", since="2024-05-11")
    world.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10")
    world.night(NIGHT)
    decision = facts(world)["D1"]
    assert (decision["state"], decision["visible"], decision["told"]) == ("not visible", False, [])
    assert decision["why"] == "its period ends on 2024-05-10, before the subscription's from_date 2024-05-11 (R21)"
    assert [(r["action"], r["trigger"]) for r in group(world)["records"]] == [("EMPTY", "INITIAL")]


def test_a_withdrawn_fact_names_its_annulment(told: World) -> None:
    told.decision(ANNA, "FK:SJP", "D2", "2024-05-08", "2024-05-15", version=2, withdrawn=True)
    told.night(NEXT)
    decision = facts(told)["D2"]
    assert (decision["state"], decision["why"]) == ("withdrawn", "version 2 withdraws it (R21); ANNULLED in delivery 2")


def test_a_retracted_fact_says_so(told: World) -> None:
    words = ("retract", "--source-run", f"FK:SJP/{NIGHT}", "--reason", "sent in error", "--json")
    assert told.lefi(*words).json["records"] > 0
    told.night(NEXT)
    assert told.lefi(*words).json["records"] == 0, "what was taken back counts as never received (R44)"
    assert (facts(told)["P"]["state"], facts(told)["P"]["kind"]) == ("retracted", None)


def test_a_frozen_group_names_the_record_that_freezes_it(told: World) -> None:
    told.decision(ANNA, "FK:SJP", "D1", "2024-05-10", "2024-05-01", version=2, spans=[])
    told.night(NEXT)
    frozen = group(told)
    (rejected,) = frozen["rejected"]
    assert (rejected["code"], rejected["drop"], rejected["state"]) == ("INVALID_PERIOD", f"fk-sjp-{NEXT}", "freezes")
    assert {fact["state"] for fact in frozen["facts"]} == {"frozen"}
    assert frozen["why"][0].startswith(f"frozen by {rejected['id']} (INVALID_PERIOD")
    assert [(r["action"], r["deviation"]) for r in frozen["records"]] == [("DEVIATION", "INVALID_PERIOD")]
    told.lefi("release", rejected["id"], "--reason", "confirmed")
    assert "a release is given" in group(told)["why"][0]
    told.night(LATER)
    assert (group(told)["rejected"][0]["state"], group(told)["why"], facts(told)["P"]["state"]) == ("released", [], "told")


def test_a_cured_freeze_holds_nothing_back(told: World) -> None:
    told.decision(ANNA, "FK:SJP", "D1", "2024-05-10", "2024-05-01", version=2, spans=[])
    told.night(NEXT)
    told.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10", version=3)
    told.night(LATER)
    assert (group(told)["rejected"][0]["state"], group(told)["why"]) == ("cured", [])


def test_a_first_delivery_waits_while_its_benefit_is_withheld(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.closures(off=["FK:SJP"])
    world.night(NIGHT)
    waiting = group(world)
    assert waiting["why"][0].startswith(f"FK:SJP is withheld since {NIGHT}: SWITCHED_OFF")
    assert waiting["why"][1] == "the first delivery of the subscription is due (R23)"
    assert waiting["due"] == ["EMPTY (INITIAL)"]


def test_a_consumed_change_of_a_withheld_benefit_is_due(told: World) -> None:
    told.decision(ANNA, "FK:SJP", "D2", "2024-05-08", "2024-05-15", 750, version=2)
    told.drops(NEXT)
    told.night(LATER, 0, ["FK:SJP"])
    withheld, changed = group(told), facts(told)["D2"]
    assert (withheld["withheld"]["code"], withheld["withheld"]["since"]) == ("NO_DROP", LATER)
    assert changed["state"] == "waiting"
    assert changed["why"].startswith(f"CORRECTED (CHANGE) is due: FK:SJP is withheld since {LATER}: NO_DROP")
    assert "a change waits to be compared, until the benefit is current (R4)" in withheld["why"]


def test_a_refresh_that_waits_is_named(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP", refresh_persons_per_night=1)
    for person in (ANNA, BO, CIA):
        world.subscribe("BOLAGET", person, "FK:SJP")
    world.night(NIGHT)
    given = world.lefi("refresh", "--partner", "BOLAGET", "--json").json["order_id"]
    assert group(world)["refreshes"] == [{"order_id": given, "line_no": 1, "slices": 0, "waiting": 3}]
    world.night(NEXT)
    waiting = [group(world, person=person)["refreshes"] for person in (ANNA, BO, CIA)]
    assert sorted(waiting, key=len) == [[], *[[{"order_id": given, "line_no": 1, "slices": 1, "waiting": 2}]] * 2]


def test_a_difference_that_nothing_holds_back_points_to_reconcile_and_then_to_the_heal(told: World) -> None:
    told.units({"FK:SJP": "FIVE_DAY_WEEK"})
    assert (facts(told)["P"]["state"], facts(told)["P"]["why"].split(" is due: ")[0]) == ("waiting", "CORRECTED (CHANGE)")
    assert "`lefi reconcile` names it" in facts(told)["P"]["why"]
    told.lefi("reconcile", "--heal")
    assert group(told)["why"] == ["`lefi reconcile --heal` asked for it: the next night delivers the difference (R24)"]


# Subscriptions


def test_what_was_never_ordered_says_so_and_whether_it_could_be(told: World) -> None:
    told.partner("KASSAN", "FK:FP")
    (never,) = explained(told, partner="KASSAN")["groups"]
    assert (never["subscription"], never["why"]) == (None, ["never ordered, and conf/partners.yaml does not permit FK:SJP"])
    assert {fact["state"] for fact in never["facts"]} == {"not subscribed"}
    assert group(told, "FK:FP")["why"] == ["never ordered: no order line for this person and FK:FP was accepted"]


def test_an_ended_subscription_says_when_and_how(told: World) -> None:
    told.end("BOLAGET", ANNA, "FK:SJP")
    told.night(NEXT)
    ended = group(told)
    assert ended["why"] == [f"the subscription ended in the night of {NEXT}: by an END, or conf did not permit it then (R12, R15)"]
    assert [(term["business_date"], term["gone"]) for term in ended["history"]] == [(NIGHT, False), (NEXT, True)]
    assert [told["holds"] for fact in ended["facts"] for told in fact["told"]] == [False, False, False]


def test_a_permission_taken_out_of_conf_is_named_before_and_after_the_night(told: World) -> None:
    told.partner("BOLAGET", "FK:FP")
    assert group(told)["why"][0] == "conf no longer permits FK:SJP for 'insurance': the next night ends the subscription (R12)"
    told.night(NEXT)
    assert group(told)["why"] == [f"the subscription ended in the night of {NEXT}: conf no longer permits FK:SJP for 'insurance' (R12)"]


def test_an_end_date_that_came_is_named(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.subscribe("BOLAGET", ANNA, "FK:SJP", until=NEXT)
    world.night(NIGHT)
    world.night(NEXT)
    assert group(world)["why"] == [f"the subscription ended on {NEXT}, its end date (R12)"]


def test_orders_wait_while_persons_is_withheld(told: World) -> None:
    told.order("BOLAGET", "SUBSCRIBE", ANNA, "FK:FP", purpose="insurance", from_date="2024-01-01")
    told.night(NEXT, 0, ["PERSONS"])
    assert group(told, "FK:FP")["why"][1] == f"PERSONS is withheld since {NEXT} (NO_DROP): orders wait (R5)"


# Persons


def test_a_merged_person_has_all_numbers_and_what_was_told_under_each(told: World) -> None:
    new = number("1990-01-15", 981)
    told.person(new, former_personnummer=ANNA, protected=True)
    told.night(NEXT)
    for asked in (ANNA, new):
        answer = explained(told, person=asked)
        assert (answer["person"]["personnummer"], answer["person"]["numbers"]) == (new, sorted([ANNA, new]))
        assert (answer["person"]["birth_date"], answer["person"]["protected"]) == ("1990-01-15", True)
        sequences = {fact["fact_id"]: [told["sequence"] for told in fact["told"]] for fact in answer["groups"][0]["facts"]}
        assert sequences == {"D1": [1, 2], "D2": [1, 2], "P": [1, 2]}


def test_persons_that_become_one_keep_what_each_was_told(told: World) -> None:
    told.subscribe("BOLAGET", BO, "FK:SJP")
    told.decision(BO, "FK:SJP", "E", "2024-05-01", "2024-05-10", case_id="other")
    told.night(NEXT)
    told.person(BO, former_personnummer=ANNA)
    told.night(LATER)
    together = facts(told, person=ANNA)
    assert set(together) == {"D1", "D2", "E", "P"}
    assert [(told["sequence"], told["action"]) for told in together["E"]["told"]] == [(2, "SNAPSHOT"), (3, "SNAPSHOT")]
    assert {fact["state"] for fact in together.values()} == {"told"}


def test_a_person_known_by_facts_only_is_explained(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    world.fact("FK:SJP", ANNA, "D1", period_from="2024-05-01", period_to="2024-05-10", spans=[span("2024-05-01")])
    world.night(NIGHT)
    answer = explained(world)
    assert answer["person"]["personnummer"] is None
    assert "no register record has come" in shown(world)


# The command


def test_the_number_is_read_from_stdin(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ANNA}\n"))
    assert explained(told, person="-")["person"]["personnummer"] == ANNA


def test_a_malformed_number_is_wrong_usage_and_not_repeated(told: World) -> None:
    ran = told.lefi("explain", "--partner", "BOLAGET", "--person", ANNA[:-1] + "x", code=2)
    assert ran.err == "lefi: --person: not a personnummer (R10): 12 digits, a real date, the right check digit\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--partner", "NOBODY", "--person", ANNA], "--partner NOBODY: not in conf/partners.yaml"),
        (["--partner", "BOLAGET", "--person", ANNA, "--benefit", "FK:XX"], "--benefit FK:XX: not in conf/benefits.yaml"),
        (
            ["--partner", "BOLAGET", "--person", BO],
            "--person: nobody with this number is known: no register record or fact has come for it, and no order was accepted",
        ),
    ],
)
def test_what_is_not_there_is_refused(told: World, arguments: list[str], said: str) -> None:
    assert told.lefi("explain", *arguments, code=3).err == f"lefi: {said}\n"


def test_before_the_first_night_there_is_nothing_to_explain(world: World) -> None:
    world.partner("BOLAGET", "FK:SJP")
    assert "no night has been run yet" in world.lefi("explain", "--partner", "BOLAGET", "--person", ANNA, code=3).err


def test_the_tree_for_people_tells_the_same_story(told: World) -> None:
    text = shown(told)
    for said in (
        f"person {ANNA}: born 1990-01-15, not protected",
        "subscription from 2024-01-01, purpose insurance",
        "P told: delivery 1, record ",
        "PAYMENT 2024-04-28 to 2024-05-20, case case of FK:SJP, 1000.00 SEK, visible",
        "2024-05-16 to 2024-05-20: no decision",
        "window 2024-05-08 to 2024-05-15, 500 permille, 8 units, by D2",
        "outbox/BOLAGET/00000001/part-00001.avro; holds",
    ):
        assert said in text


def test_facts_of_a_benefit_never_ordered_are_shown_to_whoever_asks_for_it(told: World) -> None:
    told.decision(ANNA, "FK:FP", "F", "2024-05-01", "2024-05-10")
    told.night(NEXT)
    assert "1 facts received; --benefit shows them" in shown(told)
    asked = told.lefi("explain", "--partner", "BOLAGET", "--person", ANNA, "--benefit", "FK:FP").out
    assert "F not subscribed: never ordered" in asked


def test_explain_changes_nothing(told: World) -> None:
    before = {path: path.read_bytes() for path in told.root.rglob("*") if path.is_file()}
    shown(told)
    assert {path: path.read_bytes() for path in told.root.rglob("*") if path.is_file()} == before
