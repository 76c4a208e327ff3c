"""What the invented partners order, and how each line is answered (R13)."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
import yaml

from schemas.config import Partners
from schemas.contracts import ORDER_LINE
from synthetic.catalogue import BENEFITS
from synthetic.dice import Dice
from synthetic.orders import EVERY_KIND, LINE, MISTAKES, members, night_lines, stock_lines, watched
from synthetic.partners import PARTNERS, Partner, partners_yaml
from synthetic.people import People, populate
from synthetic.scenarios import ORDINARY, SCENARIOS
from tests.oracle import orders as oracle

START = date(2026, 1, 5)
SIZE = 4_000
NIGHTS = 12
PERMISSIONS = {(partner.code, partner.purpose, benefit) for partner in PARTNERS for benefit in partner.benefits}


@pytest.fixture(scope="module")
def people() -> People:
    return populate(Dice((7,)), SIZE, START, ORDINARY)


def answers(people: People, partner: Partner, nights: int) -> list[list[str]]:
    """The receipts' codes of the first business date and the nights after it."""
    everybody = np.arange(people.size)
    persons = {
        number: f"{place}"
        for day in (0, nights)
        for place, number in enumerate(people.number(everybody, np.full(people.size, people.start + day)))
    }
    births = dict.fromkeys(persons.values(), START)
    standing: list[oracle.Row] = []
    codes = []
    for night in range(nights + 1):
        frame = (
            night_lines(people, ORDINARY, partner, night)
            if night
            else stock_lines(people, ORDINARY, partner, members(people, ORDINARY, partner), EVERY_KIND)
        )
        taken = oracle.Night(START + timedelta(days=night), night, births, PERMISSIONS, set(BENEFITS))
        place = {"order_id": "O", "partner": partner.code, "drop": "D", "bucket": 0}
        rows = [
            {**row, **place, "line_no": number, "position": number, "person": persons.get(row["personnummer"])}
            for number, row in enumerate(frame.to_dicts(), 1)
        ]
        oracle.take(taken, standing, rows)
        standing = list(taken.subscriptions.values())
        codes.append([receipt["code"] for receipt in taken.receipts])
    return codes


@pytest.mark.parametrize("partner", PARTNERS, ids=lambda partner: partner.code)
def test_the_first_orders_are_accepted_and_then_comes_every_mistake(people: People, partner: Partner) -> None:
    codes = answers(people, partner, 0)[0]
    good = [code for code in codes if code == "ACCEPTED"]
    mistakes = codes[len(good) :]
    assert codes == good + mistakes
    assert set(mistakes) == set(MISTAKES)
    assert len(mistakes) == max(EVERY_KIND, round(0.002 * len(good)))


def test_later_orders_are_mostly_accepted_and_have_every_mistake(people: People) -> None:
    nights = answers(people, PARTNERS[0], NIGHTS)[1:]
    codes = [code for night in nights for code in night]
    assert set(codes) == {"ACCEPTED", *MISTAKES}


def test_later_orders_begin_end_and_move_subscriptions_back(people: People) -> None:
    lines = pl.concat(night_lines(people, ORDINARY, PARTNERS[0], night) for night in range(1, NIGHTS + 1))
    ends = lines.filter((pl.col("action") == "END") & pl.col("purpose").is_null())
    assert 0 < ends["end_date"].null_count() < len(ends)
    assert len(lines.filter(pl.col("from_date") == "2023-07-20")) > 0
    assert lines.filter(action="REFRESH").is_empty()


def test_partners_are_from_very_large_to_tiny_with_three_subscriptions_a_person_in_all(people: People) -> None:
    groups = [int(watched(people, ORDINARY, partner, members(people, ORDINARY, partner)).sum()) for partner in PARTNERS]
    persons = [len(members(people, ORDINARY, partner)) for partner in PARTNERS]
    assert persons == sorted(persons, reverse=True)
    assert persons[0] / SIZE == pytest.approx(0.6, abs=0.03)
    assert persons[-1] == 5
    assert sum(groups) / SIZE == pytest.approx(3, abs=0.3)


def test_the_lines_have_the_contracts_columns(people: People) -> None:
    assert {"order_id": ORDER_LINE.frame["order_id"], "line_no": ORDER_LINE.frame["line_no"], **LINE} == dict(ORDER_LINE.frame)
    for partner in PARTNERS:
        assert stock_lines(people, ORDINARY, partner, members(people, ORDINARY, partner), EVERY_KIND).schema == LINE
        assert night_lines(people, ORDINARY, partner, 1).schema == LINE


def test_s10_subscribes_to_every_pair_of_three_benefits(people: People) -> None:
    pairs = watched(people, SCENARIOS["S10"], PARTNERS[0], members(people, SCENARIOS["S10"], PARTNERS[0]))
    named = {tuple(np.array(PARTNERS[0].benefits)[row]) for row in pairs}
    assert named == {("FK:FP", "FK:GP"), ("FK:GP", "FK:AS"), ("FK:FP", "FK:AS")}


def test_the_conf_file_says_what_the_partners_order() -> None:
    conf = Partners.model_validate(yaml.safe_load(partners_yaml()))
    assert {code: set(partner.permitted) for code, partner in conf.partners.items()} == {p.code: set(p.benefits) for p in PARTNERS}


def test_a_single_person_is_ordered_by_everybody_it_can_be() -> None:
    alone = populate(Dice((7,)), 1, START, ORDINARY)
    for partner in PARTNERS:
        assert len(members(alone, ORDINARY, partner)) <= 1
        assert night_lines(alone, ORDINARY, partner, 1).schema == LINE
