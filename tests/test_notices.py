"""The public notices: what is withheld, what was mended, what is planned, and the feed; all of it from the runs."""

import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pages.notices import CAUSES, LANGUAGES, SAID, Spell, spells_of
from storage.workspace import init
from tests.kit import ANNA, World

ATOM = {"a": "http://www.w3.org/2005/Atom"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notices of a service whose FK:SJP failed and came back, whose FK:TFP fails, and which is to close."""
    top = tmp_path_factory.mktemp("notices")
    world = World(top / "ws")
    world.partner("BOLAGET", "FK:SJP", "FK:TFP")
    world.closures({"benefits": ["PM:AP"], "from": "2024-06-08", "until": "2024-06-09", "text": "Byte av <system>"})
    world.subscribe("BOLAGET", ANNA, "FK:SJP")
    world.night("2024-05-30")
    world.night("2024-05-31", but=["FK:SJP"])
    world.night("2024-06-02", but=["FK:TFP"])
    world.night("2024-06-03", but=["FK:TFP"])
    ran = world.lefi("status", "--html", str(top / "site"))
    assert f"open {top / 'site'}/index.html" in ran.err
    return top / "site"


class Words(HTMLParser):
    """The words of a page, and the files that it links to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: set[str] = set()
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links |= {value for name, value in attrs if name in ("href", "src") and value and not value.startswith(("#", "data:"))}


def said(site: Path, name: str) -> str:
    """A page's words."""
    return " ".join(" ".join(Words((site / name).read_text("utf-8")).words).split())


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (
            "index.html",
            ("FK:TFP tillfällig föräldrapenning 2024-06-02 underlaget har inte kommit", "FK:SJP sjukpenning 2024-05-31 2024-06-02"),
        ),
        (
            "index.html",
            ("2024-06-08 2024-06-09 PM:AP allmän pension Byte av <system>", "BOLAGET 2024-06-03 00000004 0", "juni 2024", "maj 2024"),
        ),
        (
            "index.en.html",
            ("FK:TFP tillfällig föräldrapenning 2024-06-02 the source's data has not come", "You need not order anything", "June 2024"),
        ),
        ("2024-05.html", ("2024-05-31 FK:SJP sjukpenning levereras inte: underlaget har inte kommit",)),
        ("2024-06.html", ("2024-06-02 FK:SJP sjukpenning levereras åter; det som väntade är med", "2024-06-01 Ingen dygnskörning gjordes")),
        ("2024-06.en.html", ("2024-06-08 Planned closure 2024-06-08 to 2024-06-09: PM:AP allmän pension",)),
    ],
)
def test_a_page_says_what_is_so(site: Path, page: str, words: tuple[str, ...]) -> None:
    for each in words:
        assert each in said(site, page)


def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(site: Path) -> None:
    names = {path.name for path in site.iterdir()}
    assert names == {f"{page}{end}.html" for page in ("index", "2024-05", "2024-06") for end in ("", ".en")} | {
        "feed.sv.xml",
        "feed.en.xml",
    }
    for path in site.glob("*.html"):
        assert Words(path.read_text("utf-8")).links <= names
        assert "<script" not in path.read_text("utf-8")
        assert f'<html lang="{"en" if path.name.endswith(".en.html") else "sv"}">' in path.read_text("utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_feed_is_atom_with_the_newest_first(site: Path, language: str) -> None:
    feed = ElementTree.parse(site / f"feed.{language}.xml").getroot()
    assert feed.findtext("a:updated", namespaces=ATOM) == "2024-06-03T00:00:00Z"
    entries = feed.findall("a:entry", ATOM)
    when = [entry.findtext("a:updated", namespaces=ATOM) for entry in entries]
    assert when == sorted(when, key=str, reverse=True)
    ids = [entry.findtext("a:id", namespaces=ATOM) or "" for entry in entries]
    assert len(set(ids)) == len(ids) == 5
    assert all(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", each) for each in ids)
    links = [link.get("href") for entry in entries for link in entry.findall("a:link", ATOM)]
    assert all((site / str(link)).exists() for link in links)


def test_the_same_runs_make_the_same_bytes(site: Path, tmp_path: Path) -> None:
    world = object.__new__(World)
    world.root, world.registered = site.parent / "ws", set()
    world.lefi("status", "--html", str(tmp_path / "again"), "--json")
    assert {path.name: path.read_bytes() for path in site.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()
    }


def test_before_the_first_night_there_is_a_page_too(tmp_path: Path) -> None:
    init(tmp_path / "ws", 4)
    world = object.__new__(World)
    world.root, world.registered = tmp_path / "ws", set()
    world.lefi("status", "--html", str(tmp_path / "site"))
    assert "Ingen dygnskörning är gjord ännu" in said(tmp_path / "site", "index.html")
    assert "Allt fungerar" not in said(tmp_path / "site", "index.html")


def test_a_spell_goes_on_while_since_is_the_same() -> None:
    def night(day: str, *came: str, **held: tuple[str, str]) -> dict[str, object]:
        withheld = [{"benefit": b, "since": since, "code": code} for b, (since, code) in held.items()]
        taken = [{"dataset": "facts", "benefit": benefit} for benefit in came]
        return {"business_date": day, "withheld": withheld, "taken": [*taken, {"dataset": "persons", "benefit": None}]}

    reports = [
        night("2024-05-01", A=("2024-05-01", "GAP")),
        night("2024-05-02", A=("2024-05-01", "NO_DROP")),
        night("2024-05-04", A=("2024-05-04", "GAP"), B=("2024-05-04", "VOLUME")),
        night("2024-05-05", "A", B=("2024-05-04", "VOLUME")),
        night("2024-05-06"),  # B is not in conf
        night("2024-05-07", "A", B=("2024-05-04", "GAP")),
    ]
    assert list(spells_of(reports)) == [
        Spell("A", date(2024, 5, 1), "NO_DROP", date(2024, 5, 4)),
        Spell("A", date(2024, 5, 4), "GAP", date(2024, 5, 5)),
        Spell("B", date(2024, 5, 4), "GAP", None),
    ]


def test_both_languages_say_all() -> None:
    assert SAID["sv"].keys() == SAID["en"].keys()
    assert CAUSES["sv"].keys() == CAUSES["en"].keys()
