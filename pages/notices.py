"""The public notices (`lefi status --html DIR`): a small site in Swedish and English, with a feed, made of the runs' reports alone."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape
from itertools import groupby, pairwise
from typing import Any

from pages.frame import document, paragraph, section, table, text
from schemas.config import REGISTER

HEALED_DAYS = 30
FEED_ENTRIES = 50
LANGUAGES = ("sv", "en")
MONTHS = {
    "sv": ("januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti", "september", "oktober", "november", "december"),
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"),
}
SAID = {
    "sv": {
        "title": "Driftinformation",
        "other": "In English",
        "feed": "Prenumerera på driftinformationen (Atom)",
        "as_of": "Läget efter dygnskörningen {}",
        "none_yet": "Ingen dygnskörning är gjord ännu.",
        "now": "Just nu",
        "all_well": "Allt fungerar: alla förmåner levereras.",
        "held": "Dessa förmåner levereras inte just nu. Inget går förlorat: det som väntar levereras i den första dygnskörning där förmånen är "
        "med. Ni behöver inte beställa något.",
        "closures": "Planerade stopp",
        "no_closures": "Inga planerade stopp.",
        "healed": "Åtgärdat de senaste 30 dagarna",
        "no_healed": "Inget att berätta.",
        "partners": "Senaste leverans till varje mottagare",
        "history": "Tidigare händelser",
        "no_history": "Inga händelser.",
        "back": "Till startsidan",
        "benefit": "Förmån",
        "since": "Sedan",
        "until": "Levererades åter",
        "cause": "Orsak",
        "from": "Från och med",
        "to": "Till och med",
        "text": "Information",
        "partner": "Mottagare",
        "date": "Datum",
        "sequence": "Löpnummer",
        "records": "Poster",
        "event": "Händelse",
        "began": "{benefit} levereras inte: {cause}",
        "ended": "{benefit} levereras åter; det som väntade är med",
        "closure": "Planerat stopp {first} till {last}: {benefits}",
        "missed": "Ingen dygnskörning gjordes; nästa levererade allt som hade ändrats",
        "PERSONS": "personuppgifter och beställningar",
    },
    "en": {
        "title": "Service notices",
        "other": "På svenska",
        "feed": "Subscribe to the notices (Atom)",
        "as_of": "As of the night of {}",
        "none_yet": "No night has been run yet.",
        "now": "Now",
        "all_well": "All is well: every benefit is delivered.",
        "held": "These benefits are not delivered at present. Nothing is lost: what waits is delivered in the first night in which the benefit is "
        "there. You need not order anything.",
        "closures": "Planned closures",
        "no_closures": "No planned closures.",
        "healed": "Mended in the last 30 days",
        "no_healed": "Nothing to tell.",
        "partners": "The last delivery to each partner",
        "history": "Earlier events",
        "no_history": "No events.",
        "back": "To the first page",
        "benefit": "Benefit",
        "since": "Since",
        "until": "Delivered again",
        "cause": "Cause",
        "from": "From",
        "to": "To",
        "text": "Information",
        "partner": "Partner",
        "date": "Date",
        "sequence": "Sequence",
        "records": "Records",
        "event": "Event",
        "began": "{benefit} is not delivered: {cause}",
        "ended": "{benefit} is delivered again, with what had waited",
        "closure": "Planned closure {first} to {last}: {benefits}",
        "missed": "No night was run; the next one delivered all that had changed",
        "PERSONS": "personal data and orders",
    },
}
CAUSES = {
    "sv": {
        "NO_DROP": "underlaget har inte kommit",
        "PLANNED_CLOSURE": "planerat stopp",
        "SWITCHED_OFF": "förmånen är avstängd tills vidare",
        "BROKEN_DROP": "underlaget är skadat",
        "GAP": "ett tidigare underlag saknas",
        "QUARANTINE_RATE": "för många uppgifter i underlaget är felaktiga",
        "VOLUME": "underlagets storlek är osannolik",
    },
    "en": {
        "NO_DROP": "the source's data has not come",
        "PLANNED_CLOSURE": "planned closure",
        "SWITCHED_OFF": "the benefit is switched off until further notice",
        "BROKEN_DROP": "the source's data is damaged",
        "GAP": "earlier data of the source is missing",
        "QUARANTINE_RATE": "too much of the source's data is wrong",
        "VOLUME": "the size of the source's data is implausible",
    },
}


@dataclass(frozen=True)
class Spell:
    """Nights in a row in which a benefit was withheld. code: that of the last of them; until: the first night in which it was current again."""

    benefit: str
    since: date
    code: str
    until: date | None


@dataclass(frozen=True)
class Event:
    """Something that happened. name: tells it from all others."""

    on: date
    name: str
    sv: str
    en: str


def notices(reports: Sequence[Mapping[str, Any]], conf: Mapping[str, Any]) -> dict[str, str]:
    """The site, file by file. reports: of all settled nights, oldest first; conf: that of the last one (as in its commit.json)."""
    spells = list(spells_of(reports))
    happened = sorted(events(reports, spells, conf), key=lambda event: (event.on, event.name), reverse=True)
    site: dict[str, str] = {}
    for language in LANGUAGES:
        months = [(month, list(group)) for month, group in groupby(happened, lambda event: f"{event.on:%Y-%m}")]
        site[page_name("index", language)] = first_page(language, reports, spells, conf, [month for month, _ in months])
        for month, group in months:
            site[page_name(month, language)] = month_page(language, month, group)
        site[f"feed.{language}.xml"] = feed(language, reports, happened[:FEED_ENTRIES])
    return site


def page_name(name: str, language: str) -> str:
    """A page's file; Swedish is the first language."""
    return f"{name}.html" if language == "sv" else f"{name}.{language}.html"


def spells_of(reports: Iterable[Mapping[str, Any]]) -> Iterator[Spell]:
    """When each benefit was withheld, those that last still at the end."""
    running: dict[str, Spell] = {}
    for report in reports:
        tonight = date.fromisoformat(report["business_date"])
        held = {each["benefit"]: each for each in report["withheld"]}
        came = {each["benefit"] or REGISTER for each in report.get("taken", ()) if each["dataset"] != "orders"}
        again = {benefit for benefit in running if benefit in came and benefit not in held}  # else it is only not in conf tonight
        anew = {benefit for benefit in running if benefit in held and str(running[benefit].since) != held[benefit]["since"]}
        for benefit in sorted(again | anew):
            ended = running.pop(benefit)
            yield Spell(benefit, ended.since, ended.code, tonight)
        for benefit, each in held.items():
            running[benefit] = Spell(benefit, date.fromisoformat(each["since"]), each["code"], None)
    yield from running.values()


def named(benefit: str, language: str, conf: Mapping[str, Any]) -> str:
    """A benefit by code and name."""
    if benefit == REGISTER:
        return SAID[language]["PERSONS"]
    known = conf["benefits"].get(benefit)
    return f"{benefit} {known['name']}" if known else benefit


def events(reports: Sequence[Mapping[str, Any]], spells: Iterable[Spell], conf: Mapping[str, Any]) -> Iterator[Event]:
    """All that happened: benefits withheld and delivered again, and dates without a night."""

    def said(name: str, spell: Spell) -> dict[str, str]:
        return {
            language: SAID[language][name].format(benefit=named(spell.benefit, language, conf), cause=CAUSES[language][spell.code])
            for language in LANGUAGES
        }

    for spell in spells:
        yield Event(spell.since, f"began/{spell.benefit}/{spell.since}", **said("began", spell))
        if spell.until:
            yield Event(spell.until, f"ended/{spell.benefit}/{spell.since}", **said("ended", spell))
    nights = [date.fromisoformat(report["business_date"]) for report in reports]
    for before, after in pairwise(nights):
        for day in range(1, (after - before).days):
            missed = before + timedelta(days=day)
            yield Event(missed, f"missed/{missed}", SAID["sv"]["missed"], SAID["en"]["missed"])
    for closure in conf["closures"]:
        first, last = closure["first"], closure["last"]
        told = {
            language: SAID[language]["closure"].format(
                first=first, last=last, benefits=", ".join(named(each, language, conf) for each in closure["benefits"])
            )
            for language in LANGUAGES
        }
        yield Event(date.fromisoformat(first), f"closure/{'+'.join(closure['benefits'])}/{first}", **told)


def first_page(
    language: str, reports: Sequence[Mapping[str, Any]], spells: Sequence[Spell], conf: Mapping[str, Any], months: Sequence[str]
) -> str:
    """How things are."""
    said = SAID[language]
    last = date.fromisoformat(reports[-1]["business_date"]) if reports else None
    body = [
        f"<header><h1>{text(said['title'])}</h1>\n",
        paragraph(said["as_of"].format(last) if last else said["none_yet"], "soft"),
        switch("index", language),
        "</header>\n<main>\n",
        section(said["now"], *(now(language, spells, conf) if last else [paragraph(said["none_yet"])]), name="now"),
        section(said["closures"], *closures(language, conf, last), name="closures"),
        section(said["healed"], *healed(language, spells, conf, last), name="healed"),
        section(said["partners"], *last_deliveries(language, reports, conf), name="partners"),
        section(said["history"], *history(language, months), name="history"),
        "</main>\n",
    ]
    return document(said["title"], body, language, link_to_feed(language))


def link_to_feed(language: str) -> str:
    """For feed readers that look at a page."""
    return f'<link rel="alternate" type="application/atom+xml" href="feed.{language}.xml" title="{text(SAID[language]["title"])}">'


def switch(name: str, language: str) -> str:
    """Links to the same page in the other language, and to the feed."""
    other = "en" if language == "sv" else "sv"
    return (
        f'<nav aria-label="{text(SAID[language]["title"])}"><ul>'
        f'<li><a href="{page_name(name, other)}" lang="{other}" hreflang="{other}">{text(SAID[language]["other"])}</a></li>'
        f'<li><a href="feed.{language}.xml">{text(SAID[language]["feed"])}</a></li></ul></nav>\n'
    )


def now(language: str, spells: Sequence[Spell], conf: Mapping[str, Any]) -> Iterable[str]:
    """What is withheld."""
    said = SAID[language]
    held = [spell for spell in spells if not spell.until and (spell.benefit == REGISTER or spell.benefit in conf["benefits"])]
    if not held:
        yield paragraph(said["all_well"], "good")
        return
    yield paragraph(said["held"])
    rows = [(named(each.benefit, language, conf), each.since, CAUSES[language][each.code]) for each in held]
    yield table(said["now"], (said["benefit"], said["since"], said["cause"]), rows, "heard")


def closures(language: str, conf: Mapping[str, Any], last: date | None) -> Iterable[str]:
    """Planned closures that are not over."""
    said = SAID[language]
    coming = sorted(
        (each for each in conf["closures"] if last is None or date.fromisoformat(each["last"]) >= last),
        key=lambda each: (each["first"], each["last"], each["benefits"]),
    )
    if not coming:
        yield paragraph(said["no_closures"])
        return
    rows = [(each["first"], each["last"], ", ".join(named(b, language, conf) for b in each["benefits"]), each["text"]) for each in coming]
    yield table(said["closures"], (said["from"], said["to"], said["benefit"], said["text"]), rows, "heard")


def healed(language: str, spells: Sequence[Spell], conf: Mapping[str, Any], last: date | None) -> Iterable[str]:
    """What was withheld and is delivered again."""
    said = SAID[language]
    recent = [each for each in spells if each.until and last and (last - each.until).days < HEALED_DAYS]
    if not recent:
        yield paragraph(said["no_healed"])
        return
    rows = [
        (named(each.benefit, language, conf), each.since, each.until, CAUSES[language][each.code])
        for each in sorted(recent, key=lambda each: (each.until or date.max, each.benefit), reverse=True)
    ]
    yield table(said["healed"], (said["benefit"], said["since"], said["until"], said["cause"]), rows, "heard")


def last_deliveries(language: str, reports: Sequence[Mapping[str, Any]], conf: Mapping[str, Any]) -> Iterable[str]:
    """Each partner's last delivery, also of those that are partners no more."""
    said = SAID[language]
    newest: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for report in reports:
        newest |= {partner: (report["business_date"], delivery) for partner, delivery in report["deliveries"].items()}
    names = {code: each["name"] or code for code, each in conf["partners"].items()}
    rows = [
        (names.get(partner, partner), day, f"{each['sequence']:08d}", each["records"]) for partner, (day, each) in sorted(newest.items())
    ]
    if rows:
        yield table(said["partners"], (said["partner"], said["date"], said["sequence"], said["records"]), rows, "heard")


def month_name(month: str, language: str) -> str:
    """YYYY-MM in words."""
    return f"{MONTHS[language][int(month[5:]) - 1]} {month[:4]}"


def history(language: str, months: Sequence[str]) -> Iterable[str]:
    """Links to the months in which something happened."""
    if not months:
        yield paragraph(SAID[language]["no_history"])
        return
    items = "".join(f'<li><a href="{page_name(month, language)}">{text(month_name(month, language))}</a></li>' for month in months)
    yield f"<ul>{items}</ul>\n"


def month_page(language: str, month: str, happened: Sequence[Event]) -> str:
    """What happened in a month."""
    said = SAID[language]
    title = f"{said['title']}, {month_name(month, language)}"
    rows = [(event.on, getattr(event, language)) for event in happened]
    body = [
        f"<header><h1>{text(title)}</h1>\n",
        switch(month, language),
        f'<p><a href="{page_name("index", language)}">{text(said["back"])}</a></p></header>\n<main>\n',
        table(month_name(month, language), (said["date"], said["event"]), rows, "heard"),
        "</main>\n",
    ]
    return document(title, body, language, link_to_feed(language))


def feed(language: str, reports: Sequence[Mapping[str, Any]], happened: Sequence[Event]) -> str:
    """The newest events as Atom (RFC 4287). Times are those of business dates: there is no clock in what is published."""

    def urn(name: str) -> str:
        return uuid.uuid5(uuid.NAMESPACE_URL, f"lefi:notices:{name}").urn

    def entry(event: Event) -> str:
        when = f"{event.on}T00:00:00Z"
        said = escape(getattr(event, language))
        page = page_name(f"{event.on:%Y-%m}", language)
        return (
            f"<entry><id>{urn(event.name)}</id><title>{said}</title><updated>{when}</updated>"
            f'<link rel="alternate" href="{page}"/><content type="text">{said}</content></entry>\n'
        )

    updated = reports[-1]["business_date"] if reports else "1970-01-01"
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{language}">\n'
        f"<id>{urn(language)}</id><title>{escape(SAID[language]['title'])}</title><updated>{updated}T00:00:00Z</updated>"
        f'<author><name>lefi</name></author><link rel="self" href="feed.{language}.xml"/>'
        f'<link rel="alternate" href="{page_name("index", language)}"/>\n{"".join(map(entry, happened))}</feed>\n'
    )
