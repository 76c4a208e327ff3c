"""The pages of a night: well formed, without scripts or the network, the same bytes for the same documents, and nobody's number on them."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from pages.frame import STYLE, table
from pages.night import nearness, night_page
from pages.pictures import bars, columns
from pipelines.run import earlier_reports
from tests.kit import ANNA, BO, World, span

VOID = {"meta", "link", "rect", "line", "br"}


class Page(HTMLParser):
    """A page as a list of elements; it must be well formed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag == "rect":  # one that has a title has an end, too
            return
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.seen if tag == name]


def page_of(world: World) -> Path:
    """The page of the last run."""
    return max((world.root / "runs").glob("*/report.html"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two nights: on the first all is told, with a deviation; on the second one benefit is missing, and a record is rejected."""
    made = World(tmp_path_factory.mktemp("pages") / "ws")
    made.partner("BOLAGET", "FK:SJP", "FK:FP")
    for person in (ANNA, BO):
        made.subscribe("BOLAGET", person, "FK:SJP")
        made.subscribe("BOLAGET", person, "FK:FP")
    made.decision(ANNA, "FK:SJP", "D1", "2024-05-01", "2024-05-10")
    made.payment(ANNA, "FK:SJP", "P1", "2024-05-01", "2024-05-10", stated_days=9)
    made.night("2024-05-21")
    made.decision(BO, "FK:FP", "D2", "2024-05-10", "2024-05-01", spans=[])
    made.night("2024-05-22", but=["FK:SJP"])
    return made


def test_every_night_leaves_its_page(world: World) -> None:
    assert [path.parent.name[:10] for path in sorted((world.root / "runs").glob("*/report.html"))] == ["2024-05-21", "2024-05-22"]


def test_the_page_says_what_came_of_the_night(world: World) -> None:
    said = " ".join(Page(page_of(world).read_text("utf-8")).texts)
    for wanted in (
        "The night of 2024-05-22",
        "FK:SJP is withheld since 2024-05-22 (NO_DROP)",
        "BOLAGET",
        "INVALID_PERIOD",
        "QUARANTINE_RATE",
    ):
        assert wanted in said
    first = " ".join(Page(min((world.root / "runs").glob("*/report.html")).read_text("utf-8")).texts)
    for wanted in ("DAY_COUNT_MISMATCH", "FK:SJP sjukpenning", "Nothing: every benefit is current."):
        assert wanted in first


def test_the_report_counts_deviations_and_the_days_paid(world: World) -> None:
    report = json.loads(min((world.root / "runs").glob("*/report.json")).read_text("utf-8"))
    assert report["deviations"] == {"FK:SJP": {"DAY_COUNT_MISMATCH": 1}}
    assert report["paid"] == {"FK:SJP": 10}
    size = sum(path.stat().st_size for path in world.deliveries("BOLAGET")[0].glob("*.avro"))
    assert report["deliveries"]["BOLAGET"]["bytes"] == size
    assert {"drop": "fk-sjp-2024-05-21", "dataset": "facts", "benefit": "FK:SJP", "partner": None, "rows": 2} in report["taken"]
    looked = {each["benefit"]: each for each in world.report()["gates"]}
    assert looked["FK:FP"]["rejected"] == 1
    assert "FK:SJP" not in looked
    assert set(report["steps"]) == {"plan", "stage", "verify"}
    assert all(each["peak_mib"] > 10 for each in report["steps"].values())
    assert set(report["peak_mib"]) == set(report["seconds"])


def test_a_drop_that_a_gate_stopped_stands_first_and_is_called_closed(world: World) -> None:
    other = world.twin("gate")
    for place in range(30):
        other.decision(ANNA, "FK:FP", f"W{place}", "2024-05-10", "2024-05-01", spans=[span("2024-05-01")])
    other.night("2024-05-23", but=["FK:SJP"])
    (closed,) = [each for each in other.report()["gates"] if each["state"] == "closed"]
    assert (closed["drop"], closed["rows"], closed["rejected"]) == ("fk-fp-2024-05-23", 30, 30)
    page = page_of(other).read_text("utf-8")
    assert page.index("fk-fp-2024-05-23 (f") > page.index('id="gates"')


def test_the_page_needs_no_script_and_no_network(world: World) -> None:
    page = Page(page_of(world).read_text("utf-8"))
    assert page.tags("script") == page.tags("img") == page.tags("iframe") == []
    assert [link["href"] for link in page.tags("link")] == ["data:,"]
    assert all(str(link["href"]).startswith("#") for link in page.tags("a"))
    assert "url(" not in STYLE
    assert "@import" not in STYLE


def test_the_page_can_be_read_by_ear_and_walked_by_keyboard(world: World) -> None:
    page = Page(page_of(world).read_text("utf-8"))
    assert page.tags("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.seen if re.fullmatch("h[1-6]", tag)]
    assert [levels[0], levels.count(1)] == [1, 1]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(page.tags("caption")) == len(page.tags("table")) > 4
    assert all(each["scope"] in ("col", "row") for each in page.tags("th"))
    assert all(each["role"] == "img" and each["aria-label"] for each in page.tags("svg"))
    names = {attributes["id"] for _, attributes in page.seen if "id" in attributes}
    assert {str(link["href"])[1:] for link in page.tags("a")} == names
    assert all(each.get("tabindex") == "0" and each["aria-label"] for tag, each in page.seen if each.get("class") == "scroll")


def luminance(colour: str) -> float:
    """Of a colour, as WCAG 2 defines it."""
    short = colour.lstrip("#")
    whole = "".join(sign * 2 for sign in short) if len(short) == 3 else short
    parts = [int(whole[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("place", [0, 1, 2], ids=["light", "dark", "print"])
def test_every_ink_stands_out_from_its_ground(place: int) -> None:
    colours: dict[str, str] = dict(re.findall(r"--(\w+):(#\w+)", re.findall(r":root\{(.*?)\}", STYLE, re.DOTALL)[place]))
    for ink in ("ink", "soft", "bar", "good", "bad"):
        for ground in ("ground", "card"):
            light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_the_same_documents_make_the_same_page(world: World) -> None:
    path = page_of(world)
    commit = json.loads((path.parent / "commit.json").read_text("utf-8"))
    run: Any = type("W", (), {"runs": world.root / "runs"})()
    before = process_time()
    again = night_page(world.report(), earlier_reports(run, path.parent.name), commit["conf"])
    assert process_time() - before < 0.2
    assert again == path.read_text("utf-8")


@pytest.mark.parametrize("place", ["durable.write:report.html", "durable.rename:report.html", "durable.rename:report.json"])
@pytest.mark.slow
def test_a_night_killed_at_its_page_writes_the_page_in_the_end(world: World, place: str) -> None:
    other = world.twin(place.partition(":")[0] + place[-4:])
    other.drops("2024-05-23")
    other.killed_night("2024-05-23", place)
    other.night("2024-05-23")
    commit = json.loads((page_of(other).parent / "commit.json").read_text("utf-8"))
    run: Any = type("W", (), {"runs": other.root / "runs"})()
    assert page_of(other).read_text("utf-8") == night_page(other.report(), earlier_reports(run, page_of(other).parent.name), commit["conf"])


@pytest.mark.parametrize(
    ("rows", "rejected", "usual", "expected"),
    [
        (0, 0, None, (0.0, 0.0)),
        (100, 10, None, (0.5, 0.0)),  # ten of the twenty records, though more than 1 %
        (10_000, 50, 10_000.0, (0.5, 0.1)),
        (5_000, 0, 1_000.0, (0.0, 0.5)),
        (2_000, 0, 10_000.0, (0.0, 0.5)),
        (1_000, 0, 10.0, (0.0, 0.0)),  # not more than 1000 rows
        (1_001, 0, 0.0, (0.0, 10.0)),
    ],
)
def test_nearness_is_one_at_the_limit(rows: int, rejected: int, usual: float | None, expected: tuple[float, float]) -> None:
    assert nearness({"rows": rows, "rejected": rejected, "usual": usual}) == pytest.approx(expected)


def test_texts_of_others_are_escaped_and_numbers_in_them_are_masked() -> None:
    for made in (
        table("<b>", ("<i>",), [(f"<script>{ANNA}",)]),
        bars("<b>", [(f"<i>{ANNA} ", 1, "&")]),
        columns("<b>", [(f"<i> {ANNA}", 2)]),
    ):
        assert [bad for bad in ("<script", "<b>", "<i>", ANNA) if bad in made] == []


def test_pictures_of_nothing_are_drawn() -> None:
    assert "NaN" not in bars("none", []) + columns("none", []) + columns("zero", [("a", 0)]) + bars("zero", [("a", 0, "0")])
