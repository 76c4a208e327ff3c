"""Five nights on Prism, Beam's own and stricter local runner, where it is at hand."""

import shutil
from pathlib import Path

import pytest

from tests.engines.conftest import Told
from tests.engines.story import NIGHTS, five_nights, rehearsed, same_rows

pytestmark = pytest.mark.slow
HERE = shutil.which("prism") or shutil.which("prism", path=str(Path.home() / "go" / "bin"))


def test_the_story_has_something_of_everything(told: Told) -> None:
    reports = [night.report for night in told.nights]
    assert len(told.nights[-1].outbox) > len(told.nights[0].outbox)
    assert any(report["rejected"].get(f"fk-tfp-{NIGHTS[2]}") for report in reports), "no fact is rejected"
    assert any(refresh["slices"] > 1 for report in reports for refresh in report["refreshes"]), "no refresh is in slices"
    assert any(report["recalculations"] for report in reports)


@pytest.mark.skipif(HERE is None, reason="Prism is not at hand: `go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0`")
def test_five_nights_on_prism_have_the_same_bytes(told: Told) -> None:
    world = told.before.twin("prism")
    conf = (Path(__file__).parents[2] / "conf" / "engines.yaml").read_text("utf-8")
    world.write("conf/engines.yaml", conf.replace("binary: prism ", f"binary: {HERE} "))
    assert five_nights(world, "prism") == told.nights
    same_rows(world, told.embedded)
    assert rehearsed(world, "prism") == told.rehearsal
