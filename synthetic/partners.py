"""Invented partners, from very large to tiny, and what each may be told."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Partner:
    """A partner.

    reach: share of the grown persons whom it watches, or, from 1 up, their number; taken: share of the benefits that are possible at a
    person's age; nightly: share of all persons, or number, of whom it orders something in a night; csv: it orders in CSV, else in Avro.
    """

    code: str
    name: str
    purpose: str
    benefits: Sequence[str]
    reach: float
    taken: float
    nightly: float
    csv: bool = False

    def count(self, rate: float, persons: int) -> int:
        """A rate as a number of persons."""
        return min(persons, round(rate) if rate >= 1 else max(1, round(rate * persons)))


PARTNERS: Sequence[Partner] = (
    Partner(
        code="LIVBOLAGET-TEST",
        name="Livbolaget (test)",
        purpose="insurance",
        benefits=("FK:SJP", "FK:FP", "FK:SA", "FK:TFP", "FK:GP", "FK:RBE", "FK:AS", "PM:AP"),
        reach=0.72,
        taken=0.85,
        nightly=0.002,
    ),
    Partner(
        code="PENSIONSBOLAGET-TEST",
        name="Pensionsbolaget (test)",
        purpose="occupational-pension",
        benefits=("PM:AP", "PM:EF", "PM:LINT", "FK:SA"),
        reach=0.25,
        taken=0.8,
        nightly=0.0006,
    ),
    Partner(
        code="AKASSAN-TEST",
        name="A-kassan (test)",
        purpose="unemployment",
        benefits=("FK:SJP", "FK:FP", "FK:AS", "FK:DPE", "FK:TFP", "FK:NP"),
        reach=0.1,
        taken=0.7,
        nightly=0.0004,
    ),
    Partner(
        code="KOMMUNEN-TEST",
        name="Kommunen (test)",
        purpose="social-assistance",
        benefits=("FK:BOB", "FK:BST", "FK:US", "FK:ABB", "FK:OMV", "FK:MEK"),
        reach=0.02,
        taken=0.6,
        nightly=0.0002,
        csv=True,
    ),
    Partner(
        code="REGIONEN-TEST",
        name="Regionen (test)",
        purpose="employer",
        benefits=("FK:SJP", "FK:FSJP", "FK:SBP", "FK:RBE", "FK:YL"),
        reach=0.006,
        taken=0.7,
        nightly=0.0001,
        csv=True,
    ),
    Partner(
        code="FACKET-TEST",
        name="Facket (test)",
        purpose="insurance",
        benefits=("FK:SJP", "FK:YL"),
        reach=5,
        taken=1,
        nightly=1,
        csv=True,
    ),
)


def partners_yaml() -> str:
    """The conf file of the invented partners."""
    lines = ["# Invented partners of a synthetic workspace (`lefi generate`).", "partners:"]
    for partner in PARTNERS:
        listed = ", ".join(f'"{benefit}"' for benefit in partner.benefits)
        lines += [
            f"  {partner.code}:",
            f"    name: {partner.name}",
            "    permissions:",
            f"      - {{purpose: {partner.purpose}, benefits: [{listed}]}}",
        ]
    return "\n".join(lines) + "\n"
