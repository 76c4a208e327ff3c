"""The page of a night (contract, section 1: runs/<run>/report.html), made of its report and those of the nights before."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from pages.advice import ADVICE, next_step
from pages.frame import contents, count, document, megabytes, paragraph, section, table, text
from pages.pictures import bars, columns
from schemas.config import DAY_UNITS, REGISTER
from schemas.gates import RATE_PERCENT, RATE_RECORDS, VOLUME_FACTOR, VOLUME_HISTORY, VOLUME_ROWS, VOLUME_WINDOW

NIGHTS_SHOWN = 20  # before tonight, in the pictures
LISTED = 20
ACTIONS = ("NEW", "CORRECTED", "ANNULLED", "SNAPSHOT", "EMPTY", "DEVIATION")
UNITS = {"CALENDAR_DAY": "days", "WORKING_TIME": "days", "FIVE_DAY_WEEK": "days", "MONTH": "months", "EVENT": ""}
SECTIONS = {
    "in": "What came in",
    "out": "What went out",
    "withheld": "Withheld",
    "deviations": "Deviations and rejected records",
    "gates": "How near the gates were",
    "queues": "Refreshes and recalculations",
    "cost": "Time and memory",
}


def night_page(report: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]], conf: Mapping[str, Any]) -> str:
    """The page. earlier: reports of the nights before, oldest first; conf: that of the night, for the names of benefits and partners."""
    names = {code: each["name"] for code, each in conf["benefits"].items()} | {REGISTER: "register of persons"}
    nights = [*earlier, report]
    title = f"The night of {report['business_date']}"
    body = [
        f"<header><h1>{text(title)}</h1>\n",
        paragraph(f"Night {report['night']}, run {report['run']}", "soft"),
        headline(report),
        f'<p class="next"><strong>Next step:</strong> {text(next_step("WORKSPACE", date.fromisoformat(report["business_date"]), (), report))}</p>\n</header>\n',
        contents(SECTIONS, "Parts of this page"),
        "<main>\n",
        section(SECTIONS["in"], *came_in(report, nights, names), name="in"),
        section(SECTIONS["out"], *went_out(report, nights, names, conf), name="out"),
        section(SECTIONS["withheld"], *withheld(report, names), name="withheld"),
        section(SECTIONS["deviations"], *deviations(report, names), name="deviations"),
        section(SECTIONS["gates"], *gates(report, names), name="gates"),
        section(SECTIONS["queues"], *queues(report), name="queues"),
        section(SECTIONS["cost"], *cost(report), name="cost"),
        "</main>\n",
    ]
    return document(title, body)


def rows_in(report: Mapping[str, Any]) -> int:
    """Rows of the drops that a night consumed."""
    return sum(each["rows"] for each in report.get("taken", ()))


def records_out(report: Mapping[str, Any]) -> int:
    """Records of all deliveries of a night."""
    return sum(each["records"] for each in report["deliveries"].values())


def headline(report: Mapping[str, Any]) -> str:
    """The night in five numbers."""
    rejected = sum(sum(codes.values()) for codes in report["rejected"].values())
    shown = {
        "drops consumed": len(report.get("taken", ())),
        "rows in": rows_in(report),
        "records out": records_out(report),
        "benefits withheld": len(report["withheld"]),
        "records rejected": rejected,
    }
    return f'<ul class="facts">{"".join(f"<li><b>{count(number)}</b><span>{name}</span></li>" for name, number in shown.items())}</ul>\n'


def came_in(report: Mapping[str, Any], nights: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> Iterable[str]:
    """Drops and rows: tonight by chain, and of the last nights."""
    known = [night for night in nights if "taken" in night]  # an older version did not write it
    yield columns(f"Rows that came in, the last {len(known)} nights", [(night["business_date"], rows_in(night)) for night in known])
    drops, rows = Counter[str](), Counter[str]()
    for each in report.get("taken", ()):
        of = each["benefit"] or (f"orders of {each['partner']}" if each["partner"] else REGISTER)
        drops[of] += 1
        rows[of] += each["rows"]
    yield table(
        "Drops that were consumed", ("Of", "Name", "Drops", "Rows"), ((of, names.get(of, ""), drops[of], rows[of]) for of in sorted(rows))
    )
    others = [each for each in report["drops"] if each["state"] != "consumed"]
    if others:
        shown = ((each["drop"], each["state"], each["code"], each["text"]) for each in others[:LISTED])
        yield table(among("Drops that were left in the inbox", others), ("Drop", "State", "Code", "Why"), shown)


def went_out(
    report: Mapping[str, Any], nights: Sequence[Mapping[str, Any]], names: Mapping[str, str], conf: Mapping[str, Any]
) -> Iterable[str]:
    """Deliveries: sizes, and records by partner, benefit and action."""
    deliveries = report["deliveries"]
    yield columns(
        f"Records that went out, the last {len(nights)} nights",
        [(night["business_date"], records_out(night)) for night in nights],
        "second",
    )
    sizes = [(partner, float(each.get("bytes", 0)), megabytes(each.get("bytes", 0))) for partner, each in deliveries.items()]
    yield bars("Size of each delivery", sizes)
    partners = {name: each["name"] for name, each in conf["partners"].items()}
    yield table(
        "Deliveries",
        ("Partner", "Name", "Sequence", "Records", "Receipts"),
        (
            (partner, partners.get(partner, ""), f"{each['sequence']:08d}", each["records"], each["receipts"])
            for partner, each in deliveries.items()
        ),
    )
    units = {code: each["unit"] for code, each in conf["benefits"].items()}
    paid = {benefit: number for benefit, number in report.get("paid", {}).items() if number}
    for title, wanted in (("Compensated days", DAY_UNITS), ("Compensated months", ("MONTH",))):
        shown = [
            (f"{benefit} {names[benefit]}", float(paid[benefit]), count(paid[benefit])) for benefit in paid if units[benefit] in wanted
        ]
        if shown:
            yield bars(f"{title} of the payments that were told tonight, by benefit; what two partners were told counts twice", shown)
    lines = [
        (partner, benefit, *(actions.get(action, 0) for action in ACTIONS))
        for partner, each in deliveries.items()
        for benefit, actions in each["totals"].items()
    ]
    yield table("Records by partner, benefit and action", ("Partner", "Benefit", *ACTIONS), lines)


def withheld(report: Mapping[str, Any], names: Mapping[str, str]) -> Iterable[str]:
    """What was kept back, why, since when, from whom, and what ends it."""
    if not report["withheld"]:
        yield paragraph("Nothing: every benefit is current.", "good")
        return
    rows = []
    for each in report["withheld"]:
        whose = [partner for partner, delivery in report["deliveries"].items() if each["benefit"] in delivery["withheld"]]
        benefit = f"{each['benefit']} {names.get(each['benefit'], '')}"
        rows.append((benefit, each["code"], each["since"], each["text"], ", ".join(whose) or "nobody", ADVICE[each["code"]]))
    yield table("Withheld tonight", ("Benefit", "Code", "Since", "Why", "Partners who watch it", "What ends it"), rows)


def deviations(report: Mapping[str, Any], names: Mapping[str, str]) -> Iterable[str]:
    """Deviations delivered, records rejected tonight, and those that freeze somebody still."""
    told = [
        (code, f"{benefit} {names.get(benefit, '')}", number)
        for benefit, codes in report.get("deviations", {}).items()
        for code, number in codes.items()
    ]
    if told:
        yield table("Records delivered with a deviation", ("Code", "Benefit", "Records"), sorted(told))
    rejected = [(code, drop, number) for drop, codes in report["rejected"].items() for code, number in codes.items()]
    if rejected:
        yield table("Records rejected tonight", ("Code", "Drop", "Records"), sorted(rejected))
    open_ = Counter((each["code"], each["benefit"]) for each in report["quarantine"])
    if open_:
        rows = ((code, f"{benefit} {names.get(benefit, '')}", number) for (code, benefit), number in sorted(open_.items()))
        yield table("Rejected records that wait for a correction or `lefi release`", ("Code", "Benefit", "Records"), rows)
    if not (told or rejected or open_):
        yield paragraph("None.", "good")


def nearness(gate: Mapping[str, Any]) -> tuple[float, float]:
    """How near a drop came to each gate of R4: QUARANTINE_RATE and VOLUME. 1 is the limit; 0 where the gate does not look."""
    rows, rejected, usual = gate["rows"], gate["rejected"], gate["usual"]
    rate = min(rejected / RATE_RECORDS, rejected * 100 / (rows * RATE_PERCENT)) if rows else 0.0
    if usual is None or rows <= VOLUME_ROWS:
        return rate, 0.0
    return rate, (max(rows / usual, usual / rows) / VOLUME_FACTOR if usual else float(VOLUME_FACTOR))


def gates(report: Mapping[str, Any], names: Mapping[str, str]) -> Iterable[str]:
    """The drops that came nearest to a gate, or were stopped by one."""
    looked = sorted(report.get("gates", ()), key=lambda each: (each["state"] != "closed", -max(nearness(each)), each["drop"]))
    yield paragraph(
        f"QUARANTINE_RATE stops a drop with more than {RATE_PERCENT} % and more than {RATE_RECORDS} records rejected; VOLUME one of more than {VOLUME_ROWS} "
        f"rows that has less than 1/{VOLUME_FACTOR} of the usual, or more than {VOLUME_FACTOR} times as many: the median of the last {VOLUME_WINDOW} drops, "
        f"once there are {VOLUME_HISTORY} (R4)."
    )
    rows = []
    for each in looked[:LISTED]:
        rate, volume = nearness(each)
        share = f"{each['rejected'] * 100 / each['rows']:.2f} %" if each["rows"] else "none"
        usual = "too few drops before" if each["usual"] is None else count(round(each["usual"]))
        near = (f"{rate:.0%}", f"{volume:.0%}" if each["rows"] > VOLUME_ROWS and each["usual"] is not None else "not looked at")
        drop = f"{each['drop']} ({names.get(each['benefit'], each['benefit'])})"
        rows.append((drop, each["state"], each["rows"], usual, each["rejected"], share, *near))
    if rows:
        head = ("Drop", "Gate", "Rows", "Usual", "Rejected", "Share", "Of the way to QUARANTINE_RATE", "Of the way to VOLUME")
        yield table(among("Drops by how near they came to a gate", looked), head, rows)
    else:
        yield paragraph("No drop of facts was judged.")


def queues(report: Mapping[str, Any]) -> Iterable[str]:
    """What is worked off over several nights."""
    if report["refreshes"]:
        rows = (
            (each["partner"], each["order_id"], each["groups"] - each["waiting"], each["groups"], each["slices"])
            for each in report["refreshes"]
        )
        yield table("Refreshes that go on", ("Partner", "Order", "Groups done", "Groups", "Slices so far"), rows)
    if report["recalculations"]:
        ordered = (
            (each["source_run"], each["reason"], each["done"], each["nights"], each["decisions"], each["skipped"])
            for each in report["recalculations"]
        )
        yield table("Recalculations", ("Source run", "Reason", "Nights done", "Nights", "Decisions", "Skipped"), ordered)
    if not (report["refreshes"] or report["recalculations"]):
        yield paragraph("None are under way.", "good")


def cost(report: Mapping[str, Any]) -> Iterable[str]:
    """Seconds and peak memory by step of the run, and by step of compare-and-deliver."""
    if report.get("steps"):
        rows = ((step, f"{each['seconds']:.3f}", each["peak_mib"]) for step, each in report["steps"].items())
        yield table("The run, up to the commit", ("Step", "Seconds", "Peak memory so far, MiB"), rows)
    peaks = report.get("peak_mib", {})
    shown = ((step, f"{seconds:.3f}", peaks.get(step, "")) for step, seconds in report["seconds"].items())
    yield table("Inside the stage: compare and deliver, all bites together", ("Step", "Seconds", "Peak memory so far, MiB"), shown)


def among(caption: str, all_: Sequence[object]) -> str:
    """A caption that says so when not everything is listed."""
    return f"{caption}: the first {LISTED} of {len(all_)}" if len(all_) > LISTED else caption
