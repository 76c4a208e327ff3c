"""Scenarios of DOMAIN section 7 that only need data: what a population puts its weight on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from schemas.errors import UsageError


@dataclass(frozen=True)
class Scenario:
    """An emphasis.

    shares: factors on the share of persons who have a benefit; larger: share of payments whose period is larger than the case; gap: share
    of steps that end early, at least; late: parental days are claimed 30 to 90 days afterwards; pairs: partners that may have several of
    AS, FP and GP subscribe to two of them per person, and to nothing else.
    """

    text: str = ""
    born_from: date | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    larger: float = 0.08
    gap: float = 0.0
    late: bool = False
    pairs: bool = False


ORDINARY = Scenario()
SCENARIOS: Mapping[str, Scenario] = {
    "S02": Scenario("payment periods larger than the compensated days", shares={"FK:SJP": 2.0, "FK:RBE": 3.0}, larger=0.8, gap=0.8),
    "S07": Scenario("everybody is born after 1999", born_from=date(2000, 1, 1), shares={"FK:SJP": 3.0}),
    "S09": Scenario("parental days claimed up to 90 days afterwards", shares={"FK:FP": 4.0}, late=True),
    "S10": Scenario("subscriptions to two of AS, FP and GP", shares={"FK:AS": 4.0, "FK:FP": 3.0, "FK:GP": 5.0}, pairs=True),
}


def scenario_of(name: str | None) -> Scenario:
    """The emphasis of a name such as S02; None is the ordinary population. UsageError names what there is."""
    if name is None:
        return ORDINARY
    if name not in SCENARIOS:
        known = ", ".join(f"{key} ({scenario.text})" for key, scenario in SCENARIOS.items())
        raise UsageError(f"--scenario {name}: there is none that generate can make of that name; there are {known}")
    return SCENARIOS[name]
