"""docs/scaling.md: its tables are what benchmarks/scaling.py makes of what was measured."""

import json

from benchmarks.scaling import markdown, reckoned, rows
from tests.kit import ROOT


def test_the_tables_of_the_page_are_those_of_the_figures() -> None:
    page = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    found = json.loads((ROOT / "benchmarks" / "results" / "scaling.json").read_text("utf-8"))
    assert markdown(rows(found["measured"])) in page
    assert markdown(reckoned(found["measured"], found["intake"])) in page
    assert f"is merged in {found['intake']['merge_cpu_ms']:.0f} ms of CPU" in page
    assert f"in a merged file in {found['intake']['read_cpu_ms']:.1f}" in page
