"""What an operator should do next, by what a run's report says."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

ADVICE = {
    "BROKEN_DROP": "repair the drop in place, or add another one of the same date",
    "GAP": "ask the source for the drop in between, or for one that names an earlier previous_business_date",
    "NO_DROP": "ask the source for tonight's drop; what is missed is delivered in the first night that has it",
    "QUARANTINE_RATE": "look at the rejected records: have the drop repaired, or `lefi accept` it",
    "VOLUME": "ask the source whether the drop is whole: have it repaired, or `lefi accept` it",
    "PLANNED_CLOSURE": "nothing: it ends by itself",
    "SWITCHED_OFF": "take the benefit out of `off` in conf/closures.yaml when it is to go on",
}


def next_step(workspace: str, last_night: date | None, unsettled: Sequence[str], report: Mapping[str, Any]) -> str:
    """One sentence. workspace: as it is to be written in a command; report: of the last run, empty when there is none."""
    if unsettled:
        return f"run {unsettled[0]} is committed and not finished: give its `lefi nightly` again"
    if not last_night:
        return f"lefi nightly {workspace} --business-date YYYY-MM-DD"
    watched = {benefit for each in report.get("deliveries", {}).values() for benefit in each["withheld"]}
    for each in report.get("withheld", ()):
        if each["benefit"] in watched and each["code"] not in ("PLANNED_CLOSURE", "SWITCHED_OFF"):
            return f"{each['benefit']} is withheld since {each['since']} ({each['code']}): {ADVICE[each['code']]}"
    if report.get("audit"):
        return f"the audit found differences ({', '.join(report['audit'])}): `lefi reconcile {workspace}` names them"
    if report.get("quarantine"):
        return f"{len(report['quarantine'])} rejected records freeze somebody: ask the source to correct them, or `lefi release` them"
    return f"the next night: lefi nightly {workspace} --business-date {last_night + timedelta(days=1)}"
