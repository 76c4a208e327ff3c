"""What an operator should do next, by what a run's report says."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from schemas.gates import GATES

ADVICE = {
    "BROKEN_DROP": "repair the drop in place, or add another one of the same date",
    "GAP": "ask the source for the drop in between, or for one that names an earlier previous_business_date",
    "NO_DROP": "ask the source for tonight's drop; what is missed is delivered in the first night that has it",
    "QUARANTINE_RATE": "have the drop repaired, or `lefi accept` it",
    "VOLUME": "ask the source whether the drop is whole: have it repaired, or `lefi accept` it",
    "PLANNED_CLOSURE": "nothing: it ends by itself",
    "SWITCHED_OFF": "take the benefit out of `off` in conf/closures.yaml when it is to go on",
}
AT_FAULT = {
    "broken": "ask its sender to repair it",
    "stopped": "ask its sender to repair it, or `lefi accept` it",
    "unreadable": "ask its sender to repair it",
    "unknown": "ask its sender, or add to conf what it is for",
}


def next_step(
    workspace: str, last_night: date | None, unsettled: Sequence[str], report: Mapping[str, Any], decided: Collection[str] = ()
) -> str:
    """One sentence. workspace: as it is to be written in a command; report: of the last run, empty when there is none; decided: the drops
    accepted and the rejected records released since."""
    if unsettled:
        return f"run {unsettled[0]} is committed and not finished: give its `lefi nightly` again"
    if not last_night:
        return f"lefi nightly {workspace} --business-date YYYY-MM-DD"
    tomorrow = date.fromordinal(min(last_night.toordinal() + 1, date.max.toordinal()))
    return next(troubles(workspace, report, decided), f"the next night: lefi nightly {workspace} --business-date {tomorrow}")


def troubles(workspace: str, report: Mapping[str, Any], decided: Collection[str] = ()) -> Iterator[str]:
    """What somebody should look after, the most urgent first."""
    watched = {benefit for each in report.get("deliveries", {}).values() for benefit in each["withheld"]}
    accepted = {each["benefit"] for each in report.get("gates", ()) if each["state"] == "closed" and each["drop"] in decided}
    for each in report.get("withheld", ()):
        if each["code"] in ("PLANNED_CLOSURE", "SWITCHED_OFF") or (each["code"] in GATES and each["benefit"] in accepted):
            continue
        if each["benefit"] in watched:
            yield f"{each['benefit']} is withheld since {each['since']} ({each['code']}): {ADVICE[each['code']]}"
    if report.get("audit"):
        yield f"the audit found differences ({', '.join(report['audit'])}): `lefi reconcile {workspace}` names them"
    freezing = sum(each["code"] != "INVALID_PERSONNUMMER" and each["id"] not in decided for each in report.get("quarantine", ()))
    if freezing:
        yield f"{freezing} rejected records freeze somebody: ask the source to correct them, or `lefi release` them"
    for drop in report.get("drops", ()):
        if drop["state"] in AT_FAULT and drop["drop"] not in decided:
            yield f"drop {drop['drop']} is {drop['state']}: {drop['text']}: {AT_FAULT[drop['state']]}"
