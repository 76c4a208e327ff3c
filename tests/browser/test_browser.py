"""The pages in a real browser: they load without errors and without the network, pictures are drawn, the keyboard reaches all, a phone shows all.

`LEFI_SCREENSHOTS=FOLDER` keeps a picture of each page: light, dark, on a phone, on paper.
"""

import os
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from tests.browser.chromium import DARK, DESK, PHONE, PROGRAM, Page, browser
from tests.kit import World, numbers, small_story

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="SKIPPED: there is no Chromium here, so no page was looked at in a browser (apt-get install chromium)"
)
NAMES = ("report.html", "plan.html", "index.html", "index.en.html", "2024-05.html")
LOOKS = {"light": {}, "dark": {"scheme": DARK}, "phone": {"size": PHONE}, "paper": {"media": "print"}}
CONTRAST = """(() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const ground = e => {
    for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!c.endsWith(', 0)')) return c }
    return 'rgb(255, 255, 255)' };
  const poor = [];
  for (const e of document.querySelectorAll('h1,h2,p,li,a,td,th,caption,figcaption,b,span,strong')) {
    if (!e.textContent.trim()) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(e.tagName + ': ' + e.textContent.slice(0, 40));
  }
  return poor })()"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every kind of page, of a service with something to tell."""
    top = tmp_path_factory.mktemp("pages")
    world = World(top / "ws")
    world.closures({"benefits": ["PM:AP", "FK:SJP"], "from": "2024-06-08", "until": "2024-06-09", "text": "Byte av system"})
    for person in numbers(12):
        guarantee = {"insurance_years": 40, "income_related_yearly": Decimal(0), "yearly_amount": Decimal(100_000)}
        world.decision(person, "FK:SA", "G", "2024-01-01", None, guarantee=guarantee, amount=Decimal(8333))
    small_story(world, "2024-05-27", "2024-05-28", "2024-05-29")
    world.night("2024-05-27")
    world.night("2024-05-28")
    (world.folder("FK:SJP", "2024-05-29") / "_drop.json").rename(top / "head")
    world.night("2024-05-29")
    world.lefi("status", "--html", str(top / "site"))
    rule = ("--rule", "guarantee", "--effective", "2024-06-01", "--reason", "R", "--first-night", "2024-05-30", "--nights", "3")
    world.lefi("recalculate", *rule, "--plan", "--page", str(top / "plan.html"))
    report = max((world.root / "runs").glob("*/report.html"))
    return {"report.html": report, "plan.html": top / "plan.html", **{name: top / "site" / name for name in NAMES[2:]}}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.mark.parametrize("name", NAMES)
def test_a_page_loads_without_errors_and_without_the_network(page: Page, pages: dict[str, Path], name: str) -> None:
    page.requests.clear()
    page.complaints.clear()
    for look, options in LOOKS.items():
        page.look_like(**options)
        page.open(pages[name])
        if "LEFI_SCREENSHOTS" in os.environ:
            page.picture(Path(os.environ["LEFI_SCREENSHOTS"]) / f"{name}-{look}.png")
    assert page.requests == []
    assert page.complaints == []
    assert page.find("document.title").strip()
    assert page.find("document.documentElement.lang") in ("sv", "en")


@pytest.mark.parametrize("name", ["report.html", "plan.html"])
def test_the_pictures_are_drawn(page: Page, pages: dict[str, Path], name: str) -> None:
    page.look_like()
    page.open(pages[name])
    shapes = (
        "[...document.querySelectorAll('svg rect')].map(e => e.getBoundingClientRect()).filter(r => r.width > 0 && r.height > 0).length"
    )
    assert page.find("document.querySelectorAll('svg').length") >= 2
    assert page.find(shapes) >= 3
    outside = """[...document.querySelectorAll('svg text')].filter(e => { const a = e.getBoundingClientRect(), b = e.closest('svg').getBoundingClientRect();
        return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1 }).map(e => e.textContent)"""
    for size in (DESK, PHONE):
        page.look_like(size)
        assert page.find(outside) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(page: Page, pages: dict[str, Path], name: str, scheme: str) -> None:
    """WCAG 2, level AA: a contrast of 4.5."""
    page.look_like(scheme=scheme)
    page.open(pages[name])
    assert page.find(CONTRAST) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_phone_shows_all_without_scrolling_sideways(page: Page, pages: dict[str, Path], name: str) -> None:
    page.look_like(PHONE)
    page.open(pages[name])
    assert page.find("document.documentElement.scrollWidth") <= PHONE[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_keyboard_reaches_links_and_wide_tables_and_shows_where_it_is(page: Page, pages: dict[str, Path], name: str) -> None:
    page.look_like()
    page.open(pages[name])
    wanted = page.find("document.querySelectorAll('a[href],[tabindex=\"0\"]').length")
    seen = set()
    for _ in range(wanted):
        page.press("Tab", 9)
        seen.add(page.find("[...document.querySelectorAll('a[href],[tabindex=\"0\"]')].indexOf(document.activeElement)"))
        assert page.find("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert seen == set(range(wanted))


@pytest.mark.parametrize("name", NAMES)
def test_headings_go_down_one_step_at_a_time(page: Page, pages: dict[str, Path], name: str) -> None:
    page.open(pages[name])
    levels = page.find("[...document.querySelectorAll('h1,h2,h3,h4')].map(e => +e.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
