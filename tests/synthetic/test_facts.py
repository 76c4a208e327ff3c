"""The facts of the stock and of the nights: valid by every rule, and as varied as promised."""

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import polars as pl
import pytest
import yaml

from schemas.contracts import BENEFIT_FACT
from schemas.personnummer import valid
from synthetic.catalogue import BENEFITS, CERTIFICATES, MONTHLY, SPELLS
from synthetic.certificates import SENT
from synthetic.count import count_days
from synthetic.dice import Dice
from synthetic.facts import CLAIM, DECISION, FACT, PAYMENT, held, recorded_days, records
from synthetic.nights import night_facts, touched
from synthetic.people import People, populate
from synthetic.scenarios import ORDINARY, SCENARIOS
from synthetic.stock import stock
from tests.kit import ROOT

START = date(2026, 1, 5)
SIZE = 4_000
NIGHTS = 6
Drafts = dict[str, list[pl.DataFrame]]


@pytest.fixture(scope="module")
def people() -> People:
    return populate(Dice((7,)), SIZE, START, ORDINARY)


@pytest.fixture(scope="module")
def drafts(people: People) -> Drafts:
    """By benefit: the stock, and what is said in each night."""
    said: Drafts = {benefit: [] for benefit in BENEFITS}
    for night in range(1, NIGHTS + 1):
        for benefit, frame in night_facts(people, ORDINARY, night, said).items():
            said[benefit].append(frame)
    return {benefit: [stock(people, ORDINARY, benefit, np.arange(SIZE)), *said[benefit]] for benefit in BENEFITS}


@pytest.fixture(scope="module")
def facts(people: People, drafts: Drafts) -> pl.DataFrame:
    """All records, with the night that said them."""
    return pl.concat(
        records(frame, people, benefit, "run").with_columns(night=pl.lit(night))
        for benefit, frames in drafts.items()
        for night, frame in enumerate(frames)
    )


def test_the_records_have_the_contracts_columns(facts: pl.DataFrame) -> None:
    assert facts.drop("night").schema == BENEFIT_FACT.frame


def test_no_record_breaks_a_rule_of_r35(facts: pl.DataFrame) -> None:
    named = pl.col("spans").struct.rename_fields(["first", "last", "permille", "level", "waiting"])
    spans = facts.with_row_index("row").explode("spans").drop_nulls("spans").with_columns(named.struct.unnest())
    layered = [benefit for benefit, spell in SPELLS.items() if spell.double]
    apart = spans.filter(~pl.col("benefit").is_in(layered)).sort("row", "first").with_columns(before=pl.col("last").shift().over("row"))
    broken = {
        "INVALID_PERSONNUMMER": facts.filter(~valid(pl.col("personnummer"))),
        "MISSING_FIELD": facts.filter(pl.col("case_id").is_in(["", None]) | pl.col("fact_id").is_in(["", None])),
        "INVALID_PERIOD": facts.filter(pl.col("period_to") < pl.col("period_from")),
        "a payment or claim without a period": facts.filter(
            pl.col("kind").is_in(["PAYMENT", "RECOVERY_CLAIM"]) & (pl.col("period_from").is_null() | pl.col("period_to").is_null())
        ),
        "a span with its last day first": spans.filter(pl.col("last") < pl.col("first")),
        "a span outside its period": spans.filter(
            (pl.col("first") < pl.col("period_from")) | (pl.col("last") > pl.col("period_to").fill_null(date.max))
        ),
        "spans that overlap": apart.filter(pl.col("first") <= pl.col("before")),
        "INVALID_EXTENT": facts.filter(~pl.col("extent_permille").fill_null(1).is_between(1, 1000)),
        "a span's INVALID_EXTENT": spans.filter(~pl.col("permille").is_between(1, 1000)),
        "PREMATURE_BLOCK": facts.filter(status="5"),
    }
    assert {rule: len(rows) for rule, rows in broken.items() if len(rows)} == {}


def test_the_versions_of_a_fact_come_in_order_and_none_is_missing(facts: pl.DataFrame) -> None:
    chains = facts.sort("night", "version").group_by("fact_id", "benefit").agg("version", "recorded_at", "kind", "case_id", "period_from")
    assert chains.filter(pl.col("version") != pl.int_ranges(1, pl.col("version").list.len() + 1, dtype=pl.Int32)).is_empty()
    assert chains.filter(pl.col("recorded_at") != pl.col("recorded_at").list.sort()).is_empty()
    assert chains.filter(pl.col("kind").list.n_unique() > 1).is_empty()
    rounds = chains.filter(pl.col("benefit") == "PM:LINT")
    assert rounds.filter(pl.col("period_from").list.n_unique() > 1).is_empty()


def test_a_fact_says_something_other_than_the_version_before(facts: pl.DataFrame) -> None:
    content = ["withdrawn", "period_from", "period_to", "spans", "extent_permille", "amount", "stated_days", "status"]
    ordered = facts.sort("fact_id", "version").select("fact_id", "version", content=pl.struct(content))
    same = ordered.filter((pl.col("fact_id") == pl.col("fact_id").shift()) & pl.col("content").eq_missing(pl.col("content").shift()))
    assert same.is_empty()


def test_there_are_about_ten_facts_to_a_person_in_every_benefit(facts: pl.DataFrame) -> None:
    of_stock = facts.filter(night=0)
    assert 8 < len(of_stock) / SIZE < 13
    assert set(of_stock["benefit"]) == set(BENEFITS)
    assert set(of_stock["kind"]) == {"DECISION", "PAYMENT", "RECOVERY_CLAIM", "LIFE_CERTIFICATE"}


def test_three_in_a_hundred_facts_of_the_stock_were_corrected(facts: pl.DataFrame) -> None:
    of_stock = facts.filter((pl.col("night") == 0) & (pl.col("benefit") != "PM:LINT"))
    corrected = of_stock.filter(reason="RATTELSE", withdrawn=False).select("fact_id").n_unique()
    assert corrected / of_stock["fact_id"].n_unique() == pytest.approx(0.03, abs=0.005)
    assert 0 < of_stock["withdrawn"].sum() < 0.015 * len(of_stock)


def test_a_night_touches_half_a_percent_of_the_persons_a_tenth_of_them_again(people: People, drafts: Drafts) -> None:
    for night in range(1, NIGHTS + 1):
        said = set(pl.concat(frames[night] for benefit, frames in drafts.items() if benefit != CERTIFICATES)["person"])
        assert said <= set(touched(people, night).tolist())
        assert 0.002 * SIZE < len(said) <= 0.005 * SIZE
    again = set(touched(people, 2).tolist()) & set(touched(people, 3).tolist())
    assert len(again) in (1, 2)


def test_the_nights_have_everything_that_can_happen(facts: pl.DataFrame) -> None:
    later = facts.filter(pl.col("night") > 0)
    assert set(later["reason"]) >= {None, "FORLANGNING", "RATTELSE", "FELAKTIG_UTBETALNING", "ATERTAGEN"}
    assert later.filter(pl.col("recorded_at").dt.date() != START + pl.duration(days=pl.col("night"))).is_empty()


def test_a_claim_follows_weeks_after_the_payment_that_it_refers_to(facts: pl.DataFrame) -> None:
    claims = facts.filter((pl.col("kind") == "RECOVERY_CLAIM") & (pl.col("version") == 1))
    assert 0 < claims["refers_to"].null_count() / len(claims) < 0.06
    paid = facts.filter((pl.col("kind") == "PAYMENT") & (pl.col("version") == 1)).select("fact_id", "case_id", paid_at="recorded_at")
    both = claims.drop_nulls("refers_to").join(paid, left_on=["refers_to", "case_id"], right_on=["fact_id", "case_id"])
    assert len(both) == len(claims) - claims["refers_to"].null_count()
    assert both.select(((pl.col("recorded_at") - pl.col("paid_at")).dt.total_days() >= 7).all()).item()


@pytest.mark.parametrize("benefit", SPELLS)
def test_the_days_that_are_stated_are_mostly_those_that_are_compensated(benefit: str) -> None:
    people = populate(Dice((3,)), 8_000, START, ORDINARY)
    now = held(stock(people, ORDINARY, benefit, np.arange(people.size))).filter(~pl.col("withdrawn"))
    payments, spell = now.filter(kind=PAYMENT), SPELLS[benefit]
    days = count_days(payments, now.filter(kind=DECISION), spell.weekly, bool(spell.double))
    right = (payments["stated_days"] == days).drop_nulls()
    assert right.mean() == pytest.approx(0.97, abs=0.025 + 1 / len(right) ** 0.5)
    assert 0 < payments["stated_days"].null_count() < len(payments) / 4


def test_parental_days_are_paid_up_to_ninety_days_back(facts: pl.DataFrame) -> None:
    paid = facts.filter((pl.col("benefit") == "FK:FP") & (pl.col("kind") == "PAYMENT") & (pl.col("version") == 1) & (pl.col("night") == 0))
    late = paid.select((pl.col("recorded_at").dt.date() - pl.col("period_to")).dt.total_days().max())
    assert 60 < late.item() <= 90


def test_two_incomes_lie_on_one_date_of_temporary_parental_benefit(drafts: Drafts) -> None:
    spans = (
        drafts["FK:TFP"][0].filter(kind=DECISION).select("spans").with_row_index("row").explode("spans").drop_nulls("spans").unnest("spans")
    )
    assert spans.group_by("row", "first").len().filter(pl.col("len") == 2).height > 10


def test_sickness_benefit_has_a_waiting_day_and_steps_of_extent(drafts: Drafts) -> None:
    granted = drafts["FK:SJP"][0].filter((pl.col("kind") == DECISION) & (pl.col("nr") == 1) & (pl.col("outcome") == "BEVILJAN"))
    first = granted.select(pl.col("spans").list.first().struct.unnest())
    assert first["waiting"].all()
    assert (first["first"] == first["last"]).all()
    steps = granted.select(pl.col("spans").list.eval(pl.element().struct.field("extent_permille")).list.n_unique().max())
    assert steps.item() > 1


def test_activity_support_is_paid_in_arrears_by_the_month(facts: pl.DataFrame) -> None:
    paid = facts.filter((pl.col("benefit") == "FK:AS") & (pl.col("kind") == "PAYMENT") & (pl.col("night") == 0))
    assert paid.select((pl.col("recorded_at").dt.date() > pl.col("period_to")).all()).item()
    whole = paid.filter((pl.col("period_from").dt.day() == 1) & (pl.col("period_to").dt.month_end() == pl.col("period_to")))
    assert len(whole) > len(paid) / 3


@pytest.mark.parametrize("start", [date(2018, 6, 4), date(2021, 12, 6), START], ids=str)
def test_a_guarantee_is_what_its_rule_makes_it(start: date) -> None:
    people = populate(Dice((7,)), SIZE, start, ORDINARY)
    decisions = stock(people, ORDINARY, "FK:SA", np.arange(SIZE)).filter(pl.col("guarantee").is_not_null()).unnest("guarantee")
    assert (decisions["amount"] * 12 == decisions["yearly_amount"]).all()
    assert decisions["insurance_years"].is_between(3, 40).all()
    first = decisions.filter(nr=1)
    assert len(first) > 30
    rule = yaml.safe_load((ROOT / "conf" / "rules" / "guarantee.yaml").read_text("utf-8"))
    for row in first.iter_rows(named=True):
        born = date.fromordinal(date(1970, 1, 1).toordinal() + int(people.birth_date(np.array([row["person"]]))[0]))
        on = max(row["period_from"], date(start.year - 1, 12, 1))
        age = on.year - born.year - (on.month < born.month)
        bands = next(each["bands"] for each in reversed(rule["factors"]) if each["from"] <= on)
        factor = next(band["factor"] for band in bands if band["below"] is None or age < band["below"])
        level = Decimal(factor) * rule["base_amounts"][on.year]["sek"] * row["insurance_years"] / 40 * row["extent_permille"] / 1000
        exact = (level - row["income_related_yearly"]) / 12
        assert row["yearly_amount"] == 12 * exact.quantize(Decimal(1), ROUND_HALF_UP)


def test_certificates_are_sent_on_the_day_of_their_country(facts: pl.DataFrame) -> None:
    sent = facts.filter(benefit="PM:LINT").select("country", "period_from").unique()
    day_of = {country: day for day, countries in SENT.items() for country in countries}
    for country, day in sent.iter_rows():
        assert (day.month, day.day) == day_of.get(country, (8, 26))


def test_nothing_new_is_said_of_the_dead(people: People, drafts: Drafts) -> None:
    for frames in drafts.values():
        new = pl.concat(frames).filter(version=1)
        assert people.alive(new["person"].to_numpy(), recorded_days(new)).all()


def test_facts_are_under_the_number_of_their_time(people: People, facts: pl.DataFrame) -> None:
    coordination = facts.filter(pl.col("personnummer").str.slice(6, 1) >= "6")
    assert 0 < len(coordination) / len(facts) < 0.04
    cases = facts.group_by("benefit", "case_id").agg(pl.col("personnummer").n_unique())
    assert cases["personnummer"].max() == 2


def test_any_portion_of_persons_gives_the_same_facts(people: People) -> None:
    for benefit in ("FK:TFP", "PM:AP", "PM:LINT"):
        whole = stock(people, ORDINARY, benefit, np.arange(SIZE))
        some = np.arange(0, SIZE, 7)
        part = stock(people, ORDINARY, benefit, some)
        assert part.sort(*FACT, "version").equals(whole.filter(pl.col("person").is_in(some.tolist())).sort(*FACT, "version"))


def test_s02_has_most_payments_larger_than_what_is_compensated() -> None:
    shares = []
    for scenario in (ORDINARY, SCENARIOS["S02"]):
        people = populate(Dice((7,)), SIZE, START, scenario)
        paid = stock(people, scenario, "FK:RBE", np.arange(SIZE)).filter(kind=PAYMENT)
        days = (paid["period_to"] - paid["period_from"]).dt.total_days() + 1
        larger = (days > paid["stated_days"]).drop_nulls()
        shares.append(larger.sum() / len(larger))
    assert shares[0] < 0.25
    assert shares[1] > 0.5


def test_s09_pays_parental_days_a_month_late_or_more() -> None:
    scenario = SCENARIOS["S09"]
    people = populate(Dice((7,)), SIZE, START, scenario)
    paid = stock(people, scenario, "FK:FP", np.arange(SIZE)).filter((pl.col("kind") == PAYMENT) & (pl.col("version") == 1))
    late = (paid["recorded"] // 86_400_000 - paid["period_to"].to_physical()).to_numpy()
    assert 30 <= late.min() <= late.max() <= 90


def test_monthly_benefits_are_paid_a_whole_month_at_a_time(drafts: Drafts) -> None:
    for benefit in MONTHLY:
        paid = drafts[benefit][0].filter(pl.col("kind").is_in([PAYMENT, CLAIM]))
        assert (paid["period_from"].dt.day() == 1).all()
        assert (paid["period_to"] == paid["period_from"].dt.month_end()).all()
