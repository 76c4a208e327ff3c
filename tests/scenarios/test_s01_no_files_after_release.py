"""S01 (2025-05): after a release no files were sent for three nights. A run without deliveries fails loudly; the next one delivers all."""

from collections.abc import Iterable
from typing import Any

import pytest

import pipelines.nightly
from pipelines.put_together import Delivery
from storage import failpoints
from tests.kit import ANNA, BO, World
from tests.scenarios.entitled import a_full_refresh_changes_nothing, everybody_knows
from tests.straight import Beside


def lose_deliveries(patch: pytest.MonkeyPatch) -> None:
    """A release that forgets the deliveries that it has made."""

    def forgetful(elements: Iterable[Any]) -> Beside:
        return Beside([element for element in elements if not isinstance(element, Delivery)])

    patch.setattr(pipelines.nightly, "AsList", forgetful)


def test_three_nights_that_fail_are_loud_and_the_fourth_delivers_what_they_owe(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for partner in ("BOLAGET", "KASSAN"):
        world.partner(partner, "FK:SJP", "FK:FP")
        world.subscribe(partner, ANNA, "FK:SJP")
    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-10")
    world.night("2024-05-20")
    delivered = world.outbox()

    world.write("conf/partners.yaml", "partners: {BOLAGET: {nam: Bolaget}}")
    world.payment(ANNA, "FK:SJP", "P1", "2024-05-01", "2024-05-05")
    assert "conf/partners.yaml: partners.BOLAGET" in world.night("2024-05-21", code=2).err
    world.write_conf()

    world.payment(ANNA, "FK:SJP", "P2", "2024-05-06", "2024-05-10")
    world.subscribe("KASSAN", BO, "FK:FP")
    with monkeypatch.context() as patch:
        lose_deliveries(patch)
        assert "control totals: " in world.night("2024-05-22", code=4).err

    world.decision(ANNA, "FK:SJP", "D", "2024-05-01", "2024-05-08", version=2)
    with monkeypatch.context() as patch:
        failpoints.reached.clear()
        patch.setenv("LEFI_FAILPOINT", "verify=error")
        assert world.night("2024-05-23", code=1).err
    assert world.outbox() == delivered
    assert world.lefi("status", "--json").json["last_night"] == "2024-05-20"

    world.night("2024-05-24")
    assert world.lefi("status", "--json").json["missed"] == ["2024-05-21", "2024-05-22", "2024-05-23"]
    assert [world.manifest(partner)["sequence"] for partner in ("BOLAGET", "KASSAN")] == [2, 2]
    assert world.manifest("BOLAGET")["previous_business_date"] == "2024-05-20"
    assert sorted(world.told("BOLAGET", "action", "fact_id")) == [("CORRECTED", "D"), ("NEW", "P1"), ("NEW", "P2")]
    assert world.receipts("KASSAN") == ["ACCEPTED"]
    everybody_knows(world)
    a_full_refresh_changes_nothing(world, "2024-05-25")
