"""Rules that are data with dates (STYLE 7): factors and base amounts of the guarantee benefit, timetables of life certificates."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Rule(BaseModel):
    """A part of conf/rules: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class AgeBand(Rule):
    """The factor of those who do not reach the age `below` by the end of the month; null: of everybody else. factor: hundredths at most."""

    below: int | None = Field(ge=1)
    factor: Decimal = Field(gt=0, lt=100, decimal_places=2)


class Factors(Rule):
    """The factors that hold from a date, youngest band first."""

    first: date = Field(alias="from")
    source: str = Field(min_length=1)
    bands: tuple[AgeBand, ...] = Field(min_length=1)

    @field_validator("bands")
    @classmethod
    def cover_every_age(cls, bands: tuple[AgeBand, ...]) -> tuple[AgeBand, ...]:
        """The bands rise, and the last one has no end."""
        ages = [band.below for band in bands]
        if ages[-1] is not None or None in ages[:-1] or not rising([age for age in ages if age is not None]):
            raise ValueError(f"`below` must rise and be null in the last band alone, not {ages}")
        return bands


class BaseAmount(Rule):
    """A year's prisbasbelopp, in whole kronor."""

    sek: int = Field(gt=0, lt=1_000_000)
    source: str = Field(min_length=1)


class GuaranteeRules(Rule):
    """conf/rules/guarantee.yaml (R41)."""

    factors: tuple[Factors, ...]
    base_amounts: dict[int, BaseAmount]

    @field_validator("factors")
    @classmethod
    def in_order(cls, factors: tuple[Factors, ...]) -> tuple[Factors, ...]:
        """Each from a later date than the one before."""
        if not rising([each.first for each in factors]):
            raise ValueError(f"`from` must rise, not {[str(each.first) for each in factors]}")
        return factors

    def bands_on(self, on: date) -> tuple[AgeBand, ...] | None:
        """The age bands of a date; None when conf has none."""
        return next((each.bands for each in reversed(self.factors) if each.first <= on), None)

    def base_amount_on(self, on: date) -> int | None:
        """The prisbasbelopp of a date's year, in kronor; None when conf has none."""
        amount = self.base_amounts.get(on.year)
        return amount.sek if amount else None


class CertificateRound(Rule):
    """The steps of a round for some countries. others: for all that the year does not list, too. payments_stop: the first day without payments."""

    countries: tuple[str, ...]
    others: bool = False
    sent: date
    reminder: date
    withdrawal_decided: date
    payments_stop: date

    @model_validator(mode="after")
    def in_steps(self) -> "CertificateRound":
        """One step after the other; payments stop with a month."""
        steps = [self.sent, self.reminder, self.withdrawal_decided, self.payments_stop]
        if not rising(steps):
            raise ValueError(f"the steps must follow one another, not {[str(step) for step in steps]}")
        if self.payments_stop.day != 1:
            raise ValueError(f"payments_stop must be the first of a month, not {self.payments_stop}")
        return self


class CertificateYear(Rule):
    """The rounds of a year, one of them for the countries that none lists."""

    source: str = Field(min_length=1)
    rounds: tuple[CertificateRound, ...]

    @field_validator("rounds")
    @classmethod
    def each_country_once(cls, rounds: tuple[CertificateRound, ...]) -> tuple[CertificateRound, ...]:
        """Every country has exactly one round."""
        listed = sorted(country for each in rounds for country in each.countries)
        twice = {country for country, follower in pairwise(listed) if country == follower}
        if twice:
            raise ValueError(f"{', '.join(sorted(twice))} in two rounds")
        if sum(each.others for each in rounds) != 1:
            raise ValueError("exactly one round must be that of the `others`")
        return rounds


class CertificateRules(Rule):
    """conf/rules/certificates.yaml (R45): the rounds by the year in which they are sent."""

    years: dict[int, CertificateYear]

    @field_validator("years")
    @classmethod
    def sent_in_their_year(cls, years: dict[int, CertificateYear]) -> dict[int, CertificateYear]:
        """A round stands under the year in which it is sent."""
        wrong = [(year, each.sent) for year, rounds in years.items() for each in rounds.rounds if each.sent.year != year]
        if wrong:
            raise ValueError(f"under {wrong[0][0]} stands a round that is sent on {wrong[0][1]}")
        return years


class Rules(Rule):
    """All of conf/rules."""

    guarantee: GuaranteeRules
    certificates: CertificateRules


def rising(values: Sequence[int] | Sequence[date]) -> bool:
    """Whether each value is greater than the one before."""
    return all(before < after for before, after in pairwise(values))  # type: ignore[operator]  # one kind of value at a time
