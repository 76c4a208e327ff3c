"""R21-R27, R37: what one night says in each state, and random nights in a row against the oracle and the partner's fold (R50)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from schemas.frames import TOLD
from tests.oracle import world as oracle
from tests.oracle.fold import Fold
from tests.transforms.facts import ANNA, BO, CIA, DAN, UNITS, Row, at, day, fact, numbered, span
from tests.transforms.kernel import Kernel, untexted
from transforms.compare import Compared, join

GroupKey = tuple[str, str, str]
SJP, SA = "FK:SJP", "FK:SA"
BUCKETS = {ANNA: 0, BO: 1, CIA: 1, DAN: 3}
OLD_ANNA = numbered("19900115981")


@dataclass
class Nights:
    """One partner and Anna's FK:SJP from night to night, the parts of the state set by hand."""

    facts: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)
    retracted: dict[Any, str] = field(default_factory=dict)
    names: dict[str, tuple[str, bool]] = field(default_factory=lambda: {ANNA: (ANNA, False), BO: (BO, False)})
    kernel: Kernel = field(default_factory=lambda: Kernel(BUCKETS))
    night: int = 0

    def subscribe(self, from_date: str = "05-01", person: str = ANNA, partner: str = "P") -> None:
        self.kernel.subscribe((partner, person, SJP), day(from_date), self.night + 1)

    def deliver(self, in_slice: bool = False, current: Sequence[str] = (SJP,)) -> list[Row]:
        """Tonight's records of partner P."""
        self.night += 1
        slices = set(self.kernel.subscriptions) if in_slice else set()
        found = self.kernel.compare(
            self.facts, self.rejected, self.names, self.retracted, {"P": self.night}, list(current), slices, self.night
        )
        return untexted(found.records).get("P", [])

    def say(self, **options: Any) -> list[tuple[str, str, str | None]]:
        """(action, trigger, fact_id) of tonight's records."""
        return [(row["action"], row["trigger"], row["fact_id"]) for row in self.deliver(**options)]


def told(*facts: Row, **names: Any) -> Nights:
    """Nights of which the first has said everything."""
    nights = Nights(facts=list(facts), **names)
    nights.subscribe()
    nights.deliver()
    return nights


def rejected(fact_id: str = "F", version: int = 1, code: str = "INVALID_PERIOD", **fields: Any) -> Row:
    return fact(fact_id=fact_id, version=version, **fields) | {"drop_benefit": SJP, "code": code}


# R21


@pytest.mark.parametrize(
    ("fields", "visible"),
    [
        ({"period_to": None}, True),
        ({"period_to": day("05-01")}, True),
        ({"period_to": day("04-30")}, False),
        ({"withdrawn": True}, False),
        ({"period_from": day("2030-01-01")}, True),
    ],
)
def test_a_fact_is_visible_when_it_stands_and_ends_on_or_after_the_from_date(fields: Row, visible: bool) -> None:
    nights = Nights([fact(fact_id="A") | fields])
    nights.subscribe("05-01")
    assert nights.say() == [("SNAPSHOT", "INITIAL", "A") if visible else ("EMPTY", "INITIAL", None)]


def test_a_lower_version_does_not_show_through_a_withdrawn_one() -> None:
    nights = Nights([fact(fact_id="A", version=1), fact(fact_id="A", version=2, withdrawn=True)])
    nights.subscribe()
    assert nights.say() == [("EMPTY", "INITIAL", None)]


def test_windows_are_not_cut_at_the_from_date() -> None:
    nights = Nights([fact("DECISION", "04-01", "05-31", spans=[span("04-01", "05-31")])])
    nights.subscribe("05-15")
    (row,) = nights.deliver()
    assert (row["windows"][0]["first"], row["windows"][0]["last"], row["units"]) == (day("04-01"), day("05-31"), 61)


# R24


def test_nothing_new_is_nothing_said() -> None:
    nights = told(fact(fact_id="A"))
    assert (nights.say(), nights.say()) == ([], [])


def test_a_fact_that_comes_changes_and_goes_is_new_corrected_and_annulled() -> None:
    nights = told()
    nights.facts.append(fact("DECISION", "05-01", None, fact_id="A", reason="came"))
    (new,) = nights.deliver()
    nights.facts.append(fact("DECISION", "05-02", None, fact_id="A", version=2, reason="moved"))
    (corrected,) = nights.deliver()
    nights.facts.append(fact("DECISION", "05-02", "05-05", fact_id="A", version=3, withdrawn=True, case_id="D", reason="wrong"))
    (annulled,) = nights.deliver()
    assert [(r["action"], r["trigger"], r["version"], r["case_id"], r["reason"]) for r in (new, corrected, annulled)] == [
        ("NEW", "CHANGE", 1, "C", "came"),
        ("CORRECTED", "CHANGE", 2, "C", "moved"),
        ("ANNULLED", "CHANGE", 3, "D", "wrong"),
    ]
    assert (new["supersedes"], corrected["supersedes"], annulled["supersedes"]) == (
        None,
        {"sequence": 2, "record_no": new["record_no"]},
        {"sequence": 3, "record_no": corrected["record_no"]},
    )
    assert nights.say() == []
    nights.facts.append(fact(fact_id="A", version=4))
    (again,) = nights.deliver()
    assert (again["action"], again["supersedes"]) == ("NEW", None)


def test_an_annulled_record_carries_nothing_but_what_names_the_fact() -> None:
    whole = {"amount": Decimal("10.00"), "extent_permille": 500, "outcome": "BEVILJAN", "status": "2", "country": "SE", "refers_to": "X"}
    nights = told(fact("PAYMENT", "05-01", "05-31", fact_id="A", **whole))
    nights.facts.append(fact("PAYMENT", "05-01", "05-31", fact_id="A", version=2, withdrawn=True, **whole))
    (row,) = nights.deliver()
    carried = {name: value for name, value in row.items() if value not in (None, [])}
    assert carried == {
        "record_no": 1,
        "action": "ANNULLED",
        "trigger": "CHANGE",
        "personnummer": ANNA,
        "protected": False,
        "benefit": SJP,
        "case_id": "C",
        "fact_id": "A",
        "version": 2,
        "kind": "PAYMENT",
        "unit": "CALENDAR_DAY",
        "supersedes": {"sequence": 1, "record_no": 1},
    }


def test_a_fact_that_ends_before_the_from_date_after_all_is_annulled_by_its_held_record() -> None:
    nights = told(fact("DECISION", "04-01", None, fact_id="A"))
    nights.facts.append(fact("LIFE_CERTIFICATE", "04-01", "04-30", fact_id="A", version=2, reason="ended"))
    (row,) = nights.deliver()
    assert [row[name] for name in ("action", "version", "kind", "reason", "period_from")] == [
        "ANNULLED",
        2,
        "LIFE_CERTIFICATE",
        "ended",
        None,
    ]


def test_a_fact_that_is_gone_is_annulled_as_last_told_with_the_retractions_reason() -> None:
    nights = told(fact(fact_id="A", version=7, case_id="K", reason="its own"))
    nights.facts.clear()
    nights.retracted[ANNA, SJP, "A"] = "sent by mistake"
    (row,) = nights.deliver()
    assert [row[name] for name in ("action", "case_id", "version", "kind", "reason")] == ["ANNULLED", "K", 7, "DECISION", "sent by mistake"]


def test_a_retraction_that_leaves_an_earlier_version_is_a_correction_with_that_ones_reason() -> None:
    nights = told(fact(fact_id="A", status="1", reason="first"), fact(fact_id="A", version=2, status="2"))
    del nights.facts[1]
    nights.retracted[ANNA, SJP, "A"] = "sent by mistake"
    (row,) = nights.deliver()
    assert [row[name] for name in ("action", "version", "status", "reason")] == ["CORRECTED", 1, "1", "first"]


def test_a_retraction_that_leaves_a_withdrawn_version_annuls_with_that_ones_reason_or_none() -> None:
    nights = told(fact(fact_id="A", withdrawn=True), fact(fact_id="A", version=2, reason="its own"))
    del nights.facts[1]
    nights.retracted[ANNA, SJP, "A"] = "sent by mistake"
    (row,) = nights.deliver()
    assert [row[name] for name in ("action", "version", "reason")] == ["ANNULLED", 1, None]


CONTENT: list[Row] = [
    {"case_id": "D"},
    {"kind": "LIFE_CERTIFICATE"},
    {"period_from": day("05-02")},
    {"period_from": None},
    {"period_to": day("05-30")},
    {"period_to": None},
    {"spans": [span("05-02", "05-03")]},
    {"spans": [span("05-02", "05-04", 500)]},
    {"spans": [span("05-02", "05-04", level="GRUND")]},
    {"amount": Decimal("10.01")},
    {"amount": None},
    {"extent_permille": 500},
    {"outcome": "AVSLAG"},
    {"outcome": ""},
    {"outcome": None},
    {"status": "3"},
    {"country": "NO"},
    {"refers_to": "Y"},
]
NOT_CONTENT: list[Row] = [
    {},
    {"reason": "another"},
    {"recorded_at": at(9)},
    {"source_run": "another"},
    {"stated_days": 5},
    {"personnummer": OLD_ANNA},
    {"spans": [span("05-02", "05-03"), span("05-04"), span("05-09", waiting=True)]},
    {"amount": Decimal("10.0")},
    {"guarantee": {"insurance_years": 40, "income_related_yearly": Decimal("1.00"), "yearly_amount": Decimal("2.00")}},
]
WHOLE: Row = {
    "amount": Decimal("10.00"),
    "extent_permille": 1000,
    "outcome": "BEVILJAN",
    "status": "2",
    "country": "SE",
    "refers_to": "X",
    "spans": [span("05-02", "05-04")],
}


def changed(changes: list[Row]) -> list[str | None]:
    """The first night's facts that the second night speaks of, when each has a second version with a change."""
    first = [fact("DECISION", "05-01", "05-31", **WHOLE) | {"fact_id": str(change)} for change in changes]
    nights = told(*first)
    nights.facts += [row | {"version": 2} | change for row, change in zip(first, changes, strict=True)]
    rows = nights.say()
    assert {row[:2] for row in rows} <= {("CORRECTED", "CHANGE")}
    return [fact_id for _, _, fact_id in rows]


def test_other_content_is_a_correction() -> None:
    assert sorted(map(str, changed(CONTENT))) == sorted(map(str, CONTENT))


def test_a_new_version_with_the_same_content_is_not_said() -> None:
    assert changed(NOT_CONTENT) == []


def test_a_corrected_decision_corrects_the_payments_of_its_case_and_the_claims_deviation() -> None:
    decision = fact("DECISION", "05-01", "05-31", fact_id="D", spans=[span("05-01", "05-10")])
    nights = told(
        decision, fact("PAYMENT", "05-01", "05-31", fact_id="P"), fact("RECOVERY_CLAIM", "05-01", "05-31", fact_id="R", refers_to="Q")
    )
    nights.facts.append(fact("DECISION", "05-01", "05-31", fact_id="D", version=2, spans=[span("05-01", "05-11")]))
    nights.facts.append(fact("PAYMENT", "05-01", "05-31", fact_id="Q", withdrawn=True))
    rows = nights.deliver()
    assert [(row["action"], row["fact_id"], row["version"]) for row in rows] == [
        ("CORRECTED", "D", 2),
        ("CORRECTED", "P", 1),
        ("CORRECTED", "R", 1),
    ]
    assert rows[1]["windows"][0]["last"] == day("05-11")


def test_what_was_withheld_is_said_at_once_when_the_benefit_is_current_again() -> None:
    nights = told(fact(fact_id="A"))
    nights.facts += [fact(fact_id="B"), fact(fact_id="A", version=2, status="2")]
    assert nights.say(current=[]) == []
    nights.facts += [fact(fact_id="B", version=2, withdrawn=True), fact(fact_id="C")]
    assert nights.say() == [("CORRECTED", "CHANGE", "A"), ("NEW", "CHANGE", "C")]


def test_a_difference_that_reconcile_found_is_healed_once() -> None:
    nights = told()
    nights.kernel.heal(("P", ANNA, SJP), "A")
    nights.facts += [fact(fact_id="A"), fact(fact_id="B")]
    assert nights.say(current=[]) == []
    assert nights.say() == [("NEW", "HEAL", "A"), ("NEW", "CHANGE", "B")]
    nights.kernel.heals.add(("P", ANNA, SJP, "A"))  # what reconcile found stays on record
    nights.facts.append(fact(fact_id="A", version=2, status="2"))
    assert nights.say() == [("CORRECTED", "CHANGE", "A")]


# R23


def test_a_slice_gives_a_snapshot_of_tonights_state_in_place_of_the_differences() -> None:
    nights = told(fact(fact_id="A"), fact(fact_id="B"))
    nights.facts += [fact(fact_id="A", version=2, status="2"), fact(fact_id="B", version=2, withdrawn=True)]
    assert nights.say(in_slice=True) == [("SNAPSHOT", "REFRESH", "A")]
    assert nights.say() == []
    nights.facts.append(fact(fact_id="A", version=3))
    (row,) = nights.deliver()
    assert row["supersedes"] == {"sequence": 2, "record_no": 1}


def test_of_the_snapshots_triggers_the_first_of_the_contract_is_named() -> None:
    nights = told()
    nights.rejected.append(rejected())
    nights.deliver()
    nights.rejected.clear()
    nights.names[ANNA] = (OLD_ANNA, True)
    nights.subscribe("04-01")
    states = []
    for undo in ({"initial_due": False}, {"deviation_number": None}, {"numbers": [OLD_ANNA], "protected": True}, {}):
        before = {key: dict(row) for key, row in nights.kernel.subscriptions.items()}
        states += nights.say(in_slice=True)
        nights.kernel.subscriptions = {key: row | undo for key, row in before.items()}
    assert [trigger for _, trigger, _ in states] == ["INITIAL", "HEAL", "CHANGE", "REFRESH"]


@pytest.mark.parametrize(("name", "former"), [((OLD_ANNA, False), ANNA), ((ANNA, True), None)])
def test_another_number_or_flag_gives_a_snapshot_that_names_the_former_number_once(name: tuple[str, bool], former: str | None) -> None:
    nights = told(fact(fact_id="A"), fact(fact_id="B"))
    nights.names[ANNA] = name
    rows = nights.deliver()
    assert [(r["action"], r["trigger"], r["personnummer"], r["protected"], r["former_personnummer"]) for r in rows] == [
        ("SNAPSHOT", "CHANGE", *name, former)
    ] * 2
    assert nights.say() == []
    (row,) = nights.deliver(in_slice=True)[:1]
    assert row["former_personnummer"] is None


def test_an_empty_group_with_another_number_says_so_too() -> None:
    nights = told()
    nights.names[ANNA] = (OLD_ANNA, False)
    (row,) = nights.deliver()
    assert [row[name] for name in ("action", "trigger", "former_personnummer", "unit")] == ["EMPTY", "CHANGE", ANNA, "CALENDAR_DAY"]


@pytest.mark.parametrize(("ceases", "stays"), [(ANNA, BO), (BO, ANNA)])
def test_what_was_told_to_a_subscription_that_has_ended_is_told_to_nobody_after_a_merge(ceases: str, stays: str) -> None:
    nights = told(fact(fact_id="A"))
    nights.subscribe(person=BO)
    nights.facts.append(fact(fact_id="B", person=BO))
    nights.deliver()
    del nights.kernel.subscriptions["P", ANNA, SJP]
    nights.kernel.merge(ceases, stays, nights.night + 1)
    nights.facts = [row | {"person": stays} for row in nights.facts]
    nights.names = {stays: (BO, False)}
    assert nights.say() == [("NEW", "CHANGE", "A")]
    nights.facts.append(fact(fact_id="B", person=stays, version=2, status="2"))
    assert nights.say() == [("CORRECTED", "CHANGE", "B")]


def test_after_a_merge_the_lowest_other_number_is_named_and_the_others_are_emptied() -> None:
    nights = told(fact(fact_id="A"))
    nights.kernel.subscribe(("P", BO, SJP), day("04-01"), nights.night)
    nights.deliver()
    nights.kernel.merge(BO, ANNA, nights.night + 1)
    nights.names = {ANNA: (DAN, False)}
    rows = nights.deliver()
    assert [(r["action"], r["trigger"], r["personnummer"], r["former_personnummer"], r["fact_id"]) for r in rows] == [
        ("SNAPSHOT", "CHANGE", DAN, min(ANNA, BO), "A"),
        ("EMPTY", "CHANGE", max(ANNA, BO), None, None),
    ]
    assert nights.say() == []


# R37


def test_a_freeze_is_said_once_and_ends_with_a_snapshot() -> None:
    nights = told(fact(fact_id="A"))
    nights.rejected = [rejected("B", code="INVALID_SPAN", arrival=2), rejected("C", code="INVALID_EXTENT", arrival=1)]
    nights.facts.append(fact(fact_id="A", version=2, status="2"))
    (row,) = nights.deliver()
    carried = {name for name, value in row.items() if value not in (None, [], False)}
    assert carried == {"record_no", "action", "trigger", "personnummer", "benefit", "unit", "deviation"}
    assert (row["action"], row["trigger"], row["deviation"]["code"]) == ("DEVIATION", "CHANGE", "INVALID_EXTENT")
    nights.rejected = [rejected("D")]
    nights.names[ANNA] = (OLD_ANNA, True)
    assert nights.say(in_slice=True) == []
    nights.rejected.clear()
    (row,) = nights.deliver()
    assert [row[name] for name in ("action", "trigger", "version", "former_personnummer")] == ["SNAPSHOT", "HEAL", 2, ANNA]
    assert nights.say() == []


def test_a_freeze_before_the_first_delivery_is_the_first_delivery() -> None:
    nights = Nights([fact(fact_id="A")], [rejected()])
    nights.subscribe()
    assert [nights.say(), nights.say()] == [[("DEVIATION", "INITIAL", None)], []]
    nights.rejected.clear()
    assert nights.say() == [("SNAPSHOT", "HEAL", "A")]


def test_a_subscription_moved_back_during_a_freeze_is_delivered_initially_after_it() -> None:
    nights = told(fact(fact_id="A"))
    nights.rejected.append(rejected())
    assert nights.say() == [("DEVIATION", "CHANGE", None)]
    nights.subscribe("04-01")
    assert nights.say() == []
    nights.rejected.clear()
    assert nights.say() == [("SNAPSHOT", "INITIAL", "A")]


def test_a_subscription_moved_back_in_the_night_in_which_a_freeze_begins_is_delivered_initially_after_it() -> None:
    nights = told(fact(fact_id="A"))
    nights.rejected.append(rejected())
    nights.subscribe("04-01")
    assert nights.say() == [("DEVIATION", "CHANGE", None)]
    nights.rejected.clear()
    assert nights.say() == [("SNAPSHOT", "INITIAL", "A")]


def test_numbers_that_only_a_deviation_told_are_named_when_the_freeze_ends() -> None:
    nights = Nights([fact(fact_id="A")], [rejected()])
    nights.subscribe()
    assert [row["personnummer"] for row in nights.deliver()] == [ANNA]
    nights.names[ANNA] = (OLD_ANNA, False)
    nights.rejected.clear()
    assert [(row["trigger"], row["personnummer"], row["former_personnummer"]) for row in nights.deliver()] == [("HEAL", OLD_ANNA, ANNA)]
    nights.names[ANNA] = (DAN, False)
    nights.rejected.append(rejected())
    assert [row["personnummer"] for row in nights.deliver()] == [DAN]
    nights.names[ANNA] = (ANNA, False)
    nights.rejected.clear()
    assert [(r["action"], r["personnummer"], r["former_personnummer"]) for r in nights.deliver()] == sorted(
        [("SNAPSHOT", ANNA, min(DAN, OLD_ANNA)), ("EMPTY", max(DAN, OLD_ANNA), None)], key=lambda row: row[1]
    )


def test_a_freeze_that_nobody_was_told_of_leaves_no_trace() -> None:
    nights = told(fact(fact_id="A"))
    nights.rejected.append(rejected())
    assert nights.say(current=[]) == []
    nights.rejected.clear()
    assert nights.say() == []


def test_another_freeze_without_a_delivered_free_night_between_is_the_same_freeze() -> None:
    nights = told(fact(fact_id="A"))
    nights.rejected = [rejected("B")]
    assert nights.say() == [("DEVIATION", "CHANGE", None)]
    nights.rejected.clear()
    assert nights.say(current=[]) == []
    nights.rejected = [rejected("C")]
    assert nights.say() == []
    nights.rejected.clear()
    assert nights.say() == [("SNAPSHOT", "HEAL", "A")]
    nights.rejected = [rejected("D")]
    assert nights.say() == [("DEVIATION", "CHANGE", None)]


# R27


def test_records_come_by_bucket_then_number_benefit_period_and_fact_and_are_numbered_so() -> None:
    nights = Nights(
        [
            fact("DECISION", "05-02", None, fact_id="A"),
            fact("DECISION", None, None, fact_id="Z"),
            fact("DECISION", "05-01", None, fact_id="Ä"),
            fact("DECISION", "05-01", None, fact_id="B"),
        ]
    )
    nights.names |= {CIA: (CIA, False), DAN: (DAN, False)}
    for person in (CIA, DAN, BO, ANNA):
        nights.subscribe(person=person)
    nights.kernel.subscribe(("P", BO, SA), day("05-01"), 1)
    rows = nights.deliver(current=[SJP, SA])
    assert [(row["record_no"], row["personnummer"], row["benefit"], row["fact_id"]) for row in rows] == [
        (1, ANNA, SJP, "Z"),
        (2, ANNA, SJP, "B"),
        (3, ANNA, SJP, "Ä"),
        (4, ANNA, SJP, "A"),
        (1_000_000_001, BO, SA, None),
        (1_000_000_002, BO, SJP, None),
        (1_000_000_003, CIA, SJP, None),
        (3_000_000_001, DAN, SJP, None),
    ]


def test_each_partner_has_numbers_of_its_own() -> None:
    kernel = Kernel(BUCKETS)
    for partner in ("P", "Q"):
        kernel.subscribe((partner, ANNA, SJP), day("05-01"), 1)
    found = kernel.compare([fact()], [], {ANNA: (ANNA, False)}, {}, {"P": 4, "Q": 9}, [SJP], [], 1)
    assert {partner: [row["record_no"] for row in rows] for partner, rows in untexted(found.records).items()} == {"P": [1], "Q": [1]}
    assert dict(found.told.select("partner", "sequence").iter_rows()) == {"P": 4, "Q": 9}


def first_night(*persons: str) -> Compared:
    """What two partners are told first of some persons, three of whom share a bucket; nothing is known of Bo."""
    kernel = Kernel({DAN: 3, BO: 3, ANNA: 3, CIA: 1})
    for partner in ("Q", "P"):
        for person in persons:
            for benefit in (SJP, SA):
                kernel.subscribe((partner, person, benefit), day("05-01"), 1)
    about = [(person, benefit) for person in (ANNA, DAN, CIA) for benefit in (SJP, SA)]
    starts = {"B": "05-09", "A": None, "Ä": "05-02"}
    facts = [fact("DECISION", start, personnummer=p, benefit=b, fact_id=name) for p, b in about for name, start in starts.items()]
    return kernel.compare(facts, [], {person: (person, False) for person in persons}, {}, {"P": 4, "Q": 9}, [SJP, SA], [], 1)


def test_what_is_compared_in_parts_is_as_if_it_had_been_compared_at_once() -> None:
    once, parts = first_night(ANNA, BO, CIA, DAN), [first_night(ANNA, DAN), first_night(CIA, BO)]
    joined = join(parts)
    assert_frame_equal(joined.records, once.records)
    assert_frame_equal(joined.told, once.told)
    assert_frame_equal(joined.subscriptions, once.subscriptions, check_row_order=False)
    assert_frame_equal(join(parts[:1]).records, parts[0].records)


def test_the_ledger_has_a_row_of_each_fact_told_by_bucket_person_benefit_fact_and_partner() -> None:
    found = first_night(DAN, CIA, ANNA, BO)
    assert found.told.schema == TOLD
    assert found.told.height == found.records["fact_id"].count() == 36
    assert found.records["action"].cast(pl.String()).to_list().count("EMPTY") == 4
    assert_frame_equal(found.told, found.told.sort("bucket", "person", "benefit", "fact_id", "partner"))


def test_of_subscriptions_only_those_are_stated_anew_whose_partner_was_told_something_of_the_whole() -> None:
    kernel, names = Kernel(BUCKETS), {ANNA: (ANNA, False)}
    kernel.subscribe(("P", ANNA, SJP), day("05-01"), 1)
    nights = [kernel.compare([fact()], [], names, {}, {"P": night}, [SJP], [], night) for night in (1, 2)]
    assert [night.subscriptions.height for night in nights] == [1, 0]


# Random nights in a row, against the oracle and the partner's fold

PERSONS = [ANNA, BO, CIA]
NUMBERS = [DAN, *(numbered(f"195001{place:02}980") for place in range(1, 30))]
PARTNERS, BENEFITS = ["P", "Q"], [SJP, SA]
FROM_DATES = [day("05-10"), day("05-01"), day("04-20")]
KINDS = ["DECISION", "DECISION", "PAYMENT", "RECOVERY_CLAIM"]
PERSON, BENEFIT, FACT_ID = st.sampled_from(PERSONS), st.sampled_from(BENEFITS), st.sampled_from(["F1", "F2", "Å3"])
GROUP = st.tuples(st.sampled_from(PARTNERS), PERSON, BENEFIT)
A_FACT = st.fixed_dictionaries(
    {
        "benefit": BENEFIT,
        "fact_id": FACT_ID,
        "version": st.integers(1, 4),
        "kind": st.sampled_from(KINDS),
        "first": st.integers(0, 20),
        "length": st.integers(0, 12),
        "case_id": st.sampled_from(["C", "C", "D"]),
        "withdrawn": st.sampled_from([False, False, False, True]),
        "status": st.sampled_from([None, "", "1"]),
        "reason": st.sampled_from([None, "why"]),
        "extent_permille": st.sampled_from([None, 500]),
        "spanned": st.booleans(),
    }
)
EVENT = st.one_of(
    st.tuples(st.just("fact"), PERSON, A_FACT),
    st.tuples(st.just("fact"), PERSON, A_FACT),
    st.tuples(st.just("fact"), PERSON, A_FACT),
    st.tuples(st.just("subscribe"), GROUP, st.sampled_from(FROM_DATES)),
    st.tuples(st.just("subscribe"), GROUP, st.sampled_from(FROM_DATES)),
    st.tuples(st.just("reject"), PERSON, A_FACT),
    st.tuples(st.just("release"), st.integers(0, 5)),
    st.tuples(st.just("retract"), st.integers(0, 9)),
    st.tuples(st.just("rename"), PERSON),
    st.tuples(st.just("protect"), PERSON),
    st.tuples(st.just("merge"), PERSON, PERSON, st.booleans()),
    st.tuples(st.just("end"), GROUP),
    st.tuples(st.just("slice"), GROUP),
    st.tuples(st.just("heal"), GROUP, FACT_ID),
)
NIGHT = st.tuples(st.lists(EVENT, max_size=10), st.sampled_from([BENEFITS, BENEFITS, BENEFITS, [SA], [SJP], []]))


class Story:
    """The same events for oracle and code."""

    def __init__(self) -> None:
        self.world = oracle.World(UNITS, BUCKETS.__getitem__, names={person: (person, False) for person in PERSONS})
        self.kernel = Kernel(BUCKETS)
        self.root = {person: person for person in PERSONS}
        self.folds = {partner: Fold() for partner in PARTNERS}
        self.slices: set[GroupKey] = set()
        self.fresh = iter(NUMBERS)
        self.night = self.arrival = 0
        for key in [(partner, person, benefit) for partner in PARTNERS for person in PERSONS[:2] for benefit in BENEFITS[:1]]:
            self.apply("subscribe", key, FROM_DATES[1])

    def key(self, group: GroupKey) -> GroupKey:
        return group[0], self.root[group[1]], group[2]

    def record(self, person: str, given: Mapping[str, Any]) -> Row:
        self.arrival += 1
        fields = dict(given)
        first = day("04-25") + timedelta(fields.pop("first"))
        last = first + timedelta(fields.pop("length"))
        spans = [{"first": first, "last": last, "extent_permille": 1000, "level": None, "waiting": False}] if fields.pop("spanned") else []
        person = self.root[person]
        period: Row = {"period_from": first, "period_to": last, "refers_to": "F1", "recorded_at": at(self.arrival % 3)}
        return fact(person=person, personnummer=person, arrival=self.arrival, spans=spans, **fields) | period

    def apply(self, event: str, *given: Any) -> None:
        world, kernel = self.world, self.kernel
        match event, given:
            case "fact", (person, fields):
                row = self.record(person, fields)
                if not any(
                    (other["person"], other["benefit"], other["fact_id"], other["version"])
                    == (row["person"], row["benefit"], row["fact_id"], row["version"])
                    for other in world.facts
                ):
                    world.facts.append(row)
            case "reject", (person, fields):
                code = "VERSION_CONFLICT" if fields["spanned"] else "INVALID_SPAN"
                world.rejected.append(self.record(person, fields) | {"drop_benefit": fields["benefit"], "code": code})
            case "release", (place,):
                del world.rejected[place : place + 1]
            case "retract", (place,):
                for row in world.facts[place : place + 1]:
                    world.retracted[row["person"], row["benefit"], row["fact_id"]] = f"retracted {row['arrival']}"
                del world.facts[place : place + 1]
            case "rename", (person,):
                world.names[self.root[person]] = (next(self.fresh), world.names[self.root[person]][1])
            case "protect", (person,):
                number, protected = world.names[self.root[person]]
                world.names[self.root[person]] = (number, not protected)
            case "merge", (one, other, number_of_one):
                ceases, stays = self.root[one], self.root[other]
                if ceases != stays:
                    name = world.names.pop(ceases)
                    world.names[stays] = name if number_of_one else world.names[stays]
                    self.root = {person: stays if key == ceases else key for person, key in self.root.items()}
                    oracle.merge(world, ceases, stays)
                    world.retracted = {(stays if k[0] == ceases else k[0], *k[1:]): reason for k, reason in world.retracted.items()}
                    kernel.merge(ceases, stays, self.night + 1)
            case "subscribe", (group, from_date):
                oracle.subscribe(world, self.key(group), from_date)
                kernel.subscribe(self.key(group), from_date, self.night + 1)
            case "end", (group,):
                oracle.end(world, self.key(group))
                kernel.subscriptions.pop(self.key(group), None)
            case "slice", (group,):
                self.slices.add(group)
            case "heal", (group, fact_id) if self.key(group) in world.groups:
                world.groups[self.key(group)].heal.add(fact_id)
                kernel.heal(self.key(group), fact_id)

    def deliver(self, current: Sequence[str]) -> None:
        """The night, by code and by oracle; then the partner has of every group that R50 promises just what is visible."""
        self.night += 1
        sequences = {"P": self.night, "Q": self.night + 5}
        slices = {self.key(group) for group in self.slices}
        world = self.world
        found = self.kernel.compare(world.facts, world.rejected, world.names, world.retracted, sequences, current, slices, self.night)
        delivered = untexted(found.records)
        assert delivered == {partner: rows for partner, rows in oracle.deliver(world, sequences, current, slices).items() if rows}
        self.slices.clear()
        for partner, rows in delivered.items():
            self.folds[partner].deliver(sequences[partner], rows)
        for key in world.groups:
            if key[2] in current and oracle.freezing(world, key) is None:
                number, _ = world.names[key[1]]
                picture = self.folds[key[0]].facts.get((number, key[2]), {})
                assert self.folds[key[0]].groups[number, key[2]] is None
                assert {fact_id: content_of(row) for fact_id, (_, row) in picture.items()} == {
                    fact_id: content for fact_id, (_, content) in oracle.visible(world, key).items()
                }


def content_of(row: Row) -> Row:
    """R22's fields of a delivered record."""
    return {name: row[name] for name in oracle.CONTENT} | {"deviation": row["deviation"] and row["deviation"]["code"]}


@settings(max_examples=25, deadline=None)
@given(nights=st.lists(NIGHT, min_size=1, max_size=5))
def test_any_nights_say_what_the_oracle_says_and_leave_the_partner_with_what_is_visible(nights: list[Any]) -> None:
    story = Story()
    for events, current in nights:
        for event in events:
            story.apply(*event)
        story.deliver(current)
    story.deliver(BENEFITS)
