"""S10 (2020-09): persons watched for two of AS, FP and GP got nothing. Every subset of benefits gives the union of the single ones."""

from itertools import combinations

import pytest

from tests.kit import ANNA, BO, Row, World
from tests.scenarios.entitled import a_full_refresh_changes_nothing, told

pytestmark = pytest.mark.slow
SINGLE = {"AS": ("FK:AS",), "FP": ("FK:FP",), "GP": ("FK:GP",)}
SUBSETS = {"-".join(names): tuple(f"FK:{name}" for name in names) for size in (1, 2, 3) for names in combinations(SINGLE, size)}
NIGHTS = ("2024-05-20", "2024-05-21", "2024-05-22")


def said(world: World, partner: str) -> list[Row]:
    """What a partner was told tonight, without what counts its records."""
    rows = [record | {"record_no": None, "supersedes": record["supersedes"] is not None} for record in world.records(partner)]
    return sorted(rows, key=lambda row: (row["personnummer"], row["benefit"], row["fact_id"] or ""))


def test_each_subset_is_told_the_union_of_its_benefits_in_every_night(world: World) -> None:
    for partner, benefits in SUBSETS.items():
        world.partner(partner, *benefits)
        for benefit in benefits:
            for person in (ANNA, BO):
                world.subscribe(partner, person, benefit)
    for version, today in enumerate(NIGHTS, 1):
        for benefit in ("FK:AS", "FK:FP", "FK:GP"):
            world.decision(ANNA, benefit, "D", "2024-05-01", f"2024-05-1{version}", version=version)
            world.payment(ANNA, benefit, f"P{version}", "2024-05-01", "2024-05-31")
        if version == 2:
            world.decision(BO, "FK:GP", "first", "2024-05-01", "2024-05-10")
        if version == 3:
            world.fact("FK:GP", BO, "first", version=2, withdrawn=True, period_from="2024-05-01", period_to="2024-05-10")
        world.night(today)
        for partner, benefits in SUBSETS.items():
            union = [row for benefit in benefits for row in said(world, benefit.removeprefix("FK:"))]
            assert union, "nobody was told anything"
            assert said(world, partner) == sorted(union, key=lambda row: (row["personnummer"], row["benefit"], row["fact_id"] or ""))
    for partner, benefits in SUBSETS.items():
        union_known = {group: facts for benefit in benefits for group, facts in told(world, benefit.removeprefix("FK:")).items()}
        assert told(world, partner) == union_known
    a_full_refresh_changes_nothing(world, "2024-05-23")
