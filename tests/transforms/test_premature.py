"""R45: a block before the timetable lets it, by country and year of sending."""

from datetime import date

import polars as pl
import pytest
import yaml

from schemas.rules import CertificateRules
from storage.conf import packaged
from tests.transforms.facts import Row, fact, facts_frame
from transforms.premature import premature

RULES = CertificateRules.model_validate(yaml.safe_load(packaged("rules/certificates.yaml")))


def is_premature(business_date: str, country: str | None, sent: str | None = "2020-10-28", **fields: object) -> bool:
    row: Row = fact("LIFE_CERTIFICATE", sent, None, benefit="PM:LINT", country=country, status="5") | fields
    found = facts_frame([row]).select(premature(RULES, pl.lit(date.fromisoformat(business_date)))).item()
    assert isinstance(found, bool)
    return found


@pytest.mark.parametrize(
    ("country", "last_day"),
    [
        ("GR", "2021-02-28"),
        ("US", "2021-02-28"),
        ("TH", "2020-12-31"),
        ("BR", "2021-01-31"),
        ("GB", "2021-03-31"),
        ("DE", "2020-12-31"),
        (None, "2020-12-31"),
    ],
)
def test_a_block_is_premature_up_to_the_day_before_payments_stop(country: str | None, last_day: str) -> None:
    first_day = str(date.fromordinal(date.fromisoformat(last_day).toordinal() + 1))
    assert is_premature(last_day, country)
    assert not is_premature(first_day, country)


@pytest.mark.parametrize(
    "change",
    [
        {"sent": "2019-10-28"},
        {"sent": "2021-10-28"},
        {"sent": None},
        {"status": "4"},
        {"status": None},
        {"status": "05"},
        {"kind": "DECISION"},
    ],
)
def test_another_status_or_kind_or_a_year_without_timetable_is_never_premature(change: Row) -> None:
    assert not is_premature("2020-11-01", "GR", **change)
