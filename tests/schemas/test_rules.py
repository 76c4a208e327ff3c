"""conf/rules: what is packaged, how it is replaced, and what is refused by key and value."""

from pathlib import Path

import pytest

from schemas.errors import UsageError
from schemas.rules import CertificateRules, GuaranteeRules
from storage.conf import packaged, read_rule

GUARANTEE, CERTIFICATES = packaged("rules/guarantee.yaml"), packaged("rules/certificates.yaml")


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return folder


def test_every_packaged_value_names_its_source() -> None:
    rules = read_rule(Path("nowhere"), "guarantee", GuaranteeRules)
    assert {year: amount.sek for year, amount in rules.base_amounts.items()} == {
        2016: 44300, 2017: 44800, 2018: 45500, 2019: 46500, 2020: 47300, 2021: 47600, 2022: 48300, 2023: 52500, 2024: 57300, 2025: 58800, 2026: 59200,
    }  # fmt: skip
    assert [(str(each.first), *(str(band.factor) for band in each.bands)) for each in rules.factors] == [
        ("2017-07-01", "2.15", "2.20", "2.25", "2.30", "2.35", "2.40", "2.45"),
        ("2018-07-01", "2.23", "2.28", "2.33", "2.38", "2.43", "2.48", "2.53"),
        ("2022-01-01", "2.48", "2.53", "2.58", "2.63", "2.68", "2.73", "2.78"),
    ]


@pytest.mark.parametrize("name", ["guarantee.yaml", "rules/guarantee.yaml"])
def test_a_file_of_the_workspace_replaces_the_packaged_one_whole(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "factors: []\nbase_amounts: {2030: {sek: 60000, source: S}}")
    rules = read_rule(tmp_path, "guarantee", GuaranteeRules)
    assert (list(rules.base_amounts), rules.factors) == ([2030], ())


def test_the_same_file_in_both_places_is_refused(tmp_path: Path) -> None:
    write(write(tmp_path, "guarantee.yaml", GUARANTEE), "rules/guarantee.yaml", GUARANTEE)
    with pytest.raises(UsageError, match=r"conf/guarantee.yaml and conf/rules/guarantee.yaml are both there"):
        read_rule(tmp_path, "guarantee", GuaranteeRules)


@pytest.mark.parametrize(
    ("right", "wrong", "text"),
    [
        ('{below: 23, factor: "2.20"}', '{below: 20, factor: "2.20"}', r"factors.0.bands: `below` must rise"),
        (
            '{below: null, factor: "2.45"}',
            '{below: 40, factor: "2.45"}',
            r"factors.0.bands: `below` must rise and be null in the last band",
        ),
        ('factor: "2.15"', 'factor: "2.155"', r"factors.0.bands.0.factor: Decimal input should have no more than 2 decimal places"),
        ("from: 2018-07-01", "from: 2017-07-01", r"factors: `from` must rise"),
        ('{sek: 44300, source: "SFS 2015:536"}', "{sek: 44300}", r"base_amounts.2016.source: is missing"),
        ("sek: 44300", "sek: 44300.5", r"base_amounts.2016.sek: Input should be a valid integer"),
        ("sek: 44300", "kronor: 44300", r"base_amounts.2016"),
    ],
)
def test_wrong_factors_are_refused_by_key(tmp_path: Path, right: str, wrong: str, text: str) -> None:
    assert right in GUARANTEE
    with pytest.raises(UsageError, match=rf"^conf/rules/guarantee.yaml: {text}"):
        read_rule(write(tmp_path, "rules/guarantee.yaml", GUARANTEE.replace(right, wrong, 1)), "guarantee", GuaranteeRules)


@pytest.mark.parametrize(
    ("right", "wrong", "text"),
    [
        ("[BR, CA, CL]", "[BR, CA, US]", r"years.2020.rounds: US in two rounds"),
        ("others: true", "others: false", r"years.2020.rounds: exactly one round must be that of the `others`"),
        (
            "payments_stop: 2021-01-01",
            "payments_stop: 2021-01-02",
            r"years.2020.rounds.0: payments_stop must be the first of a month, not 2021-01-02",
        ),
        ("reminder: 2020-11-02", "reminder: 2020-08-02", r"years.2020.rounds.0: the steps must follow one another"),
        ("  2020:", "  2021:", r"years: under 2021 stands a round that is sent on 2020-08-26"),
    ],
)
def test_a_wrong_timetable_is_refused_by_key(tmp_path: Path, right: str, wrong: str, text: str) -> None:
    assert right in CERTIFICATES
    with pytest.raises(UsageError, match=rf"^conf/rules/certificates.yaml: {text}"):
        read_rule(write(tmp_path, "rules/certificates.yaml", CERTIFICATES.replace(right, wrong, 1)), "certificates", CertificateRules)
