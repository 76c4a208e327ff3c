"""Invented partners, from very large to tiny, and what each may be told."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Partner:
    """A partner. reach: share of the persons whom it watches, or, from 1 up, their number; taken: chance of each of its benefits per
    person; csv: it orders in CSV, else in Avro; nightly: share of the persons, or number, of whom it orders something in a night.
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
        "LIVBOLAGET-TEST",
        "Livbolaget (test)",
        "insurance",
        ("FK:SJP", "FK:FP", "FK:SA", "FK:TFP", "FK:GP", "FK:RBE", "FK:AS", "PM:AP"),
        0.6,
        0.45,
        0.001,
    ),
    Partner(
        "PENSIONSBOLAGET-TEST", "Pensionsbolaget (test)", "occupational-pension", ("PM:AP", "PM:EF", "PM:LINT", "FK:SA"), 0.15, 0.7, 0.0004
    ),
    Partner(
        "AKASSAN-TEST", "A-kassan (test)", "unemployment", ("FK:SJP", "FK:FP", "FK:AS", "FK:DPE", "FK:TFP", "FK:NP"), 0.08, 0.5, 0.0003
    ),
    Partner(
        "KOMMUNEN-TEST",
        "Kommunen (test)",
        "social-assistance",
        ("FK:BOB", "FK:BST", "FK:US", "FK:ABB", "FK:OMV", "FK:MEK"),
        0.02,
        0.5,
        0.0001,
        True,
    ),
    Partner("REGIONEN-TEST", "Regionen (test)", "employer", ("FK:SJP", "FK:FSJP", "FK:SBP", "FK:RBE", "FK:YL"), 0.006, 0.6, 0.0001, True),
    Partner("FACKET-TEST", "Facket (test)", "insurance", ("FK:SJP", "FK:YL"), 5, 1.0, 1, True),
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
