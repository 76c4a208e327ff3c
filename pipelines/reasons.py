"""Why something is, or is not, delivered: in words. Which rule decides stands in each sentence."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from schemas.explanation import Refresh, Rejected, Term, Told, Withheld

FREEZING = ("freezes", "to be released")
UNEXPLAINED = "nothing holds it back, so `lefi reconcile` names it, and with --heal the next night delivers it"


def not_subscribed(benefit: str, history: Sequence[Term], permitted: Collection[str], persons: Withheld | None) -> tuple[str, ...]:
    """Why there is no subscription. permitted: the purposes for which conf permits the benefit; persons: why orders wait, if they do."""
    waiting = [f"PERSONS is withheld since {persons.since} ({persons.code}): orders wait (R5)"] if persons else []
    if history:
        return (ended(benefit, history[-1], permitted), *waiting)
    if not permitted:
        return (f"never ordered, and conf/partners.yaml does not permit {benefit}", *waiting)
    return (f"never ordered: no order line for this person and {benefit} was accepted", *waiting)


def ended(benefit: str, last: Term, permitted: Collection[str]) -> str:
    """Why a subscription has ended (R12, R15)."""
    if last.end_date and last.end_date <= last.business_date:
        return f"the subscription ended on {last.end_date}, its end date (R12)"
    if last.purpose not in permitted:
        return f"the subscription ended in the night of {last.business_date}: conf no longer permits {benefit} for '{last.purpose}' (R12)"
    return f"the subscription ended in the night of {last.business_date}: by an END, or conf did not permit it then (R12, R15)"


def held_back(
    benefit: str,
    standing: Mapping[str, Any],
    permitted: Collection[str],
    withheld: Withheld | None,
    rejected: Sequence[Rejected],
    refreshes: Sequence[Refresh],
    touched: bool,
    healing: bool,
) -> tuple[str, ...]:
    """What holds deliveries of a subscription back, or waits for the next night; nothing when all is as usual."""
    found = []
    if standing["purpose"] not in permitted:
        found.append(f"conf no longer permits {benefit} for '{standing['purpose']}': the next night ends the subscription (R12)")
    if withheld:
        found.append(f"{benefit} is withheld since {withheld.since}: {withheld.code}: {withheld.text} (R4)")
    found += [frozen_by(each) for each in rejected if each.state in FREEZING]
    if standing["initial_due"]:
        found.append("the first delivery of the subscription is due (R23)")
    if touched:
        found.append("a change waits to be compared, until the benefit is current (R4)")
    found += [
        f"refresh {each.order_id} waits: {each.waiting} groups in its queue, {each.slices} slices delivered (R17)" for each in refreshes
    ]
    if healing:
        found.append("`lefi reconcile --heal` asked for it: the next night delivers the difference (R24)")
    return tuple(found)


def frozen_by(rejected: Rejected) -> str:
    """What a rejected record does to its group."""
    end = "a release is given, the next night takes it" if rejected.state == "to be released" else "until it is put right or released"
    return f"frozen by {rejected.id} ({rejected.code}, drop '{rejected.drop}'): nothing but a DEVIATION is told (R36, R37); {end}"


def of_fact(
    held: Mapping[str, Any],
    standing: Mapping[str, Any] | None,
    visible: bool,
    told: Sequence[Told],
    frozen: str | None,
    waits: tuple[str, str] | None,
    why: Sequence[str],
) -> tuple[str, str]:
    """State and reason of one fact.

    held: empty when no version counts; frozen: why the group is; waits: action and trigger that are due; why: what holds the group back.
    """
    if standing is None:
        return "not subscribed", why[0]
    if frozen:
        return "frozen", frozen
    knows = bool(told) and told[-1].holds
    if waits or (visible and not knows):
        due = "{} ({}) is due: ".format(*waits) if waits else ""
        return "waiting", due + (why[0] if why else UNEXPLAINED)
    if visible:
        return "told", f"delivery {told[-1].sequence}, record {told[-1].record_no}: what was told is what is visible"
    state, text = (
        "not visible",
        f"its period ends on {held.get('period_to')}, before the subscription's from_date {standing['from_date']} (R21)",
    )
    if not held:
        state, text = "retracted", "every version received was retracted (R44)"
    elif held["withdrawn"]:
        state, text = "withdrawn", f"version {held['version']} withdraws it (R21)"
    return state, text + (f"; ANNULLED in delivery {told[-1].sequence}" if told and told[-1].action == "ANNULLED" else "")
