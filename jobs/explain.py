"""`lefi explain`: why a partner was told what it was told, or was not, as a tree."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text
from rich.tree import Tree

from jobs.terminal import console
from pipelines.explain import explain as look_up
from storage.workspace import Workspace

Row = Mapping[str, Any]
STYLES = {"told": "green", "waiting": "yellow", "frozen": "red", "freezes": "red"}


def explain(workspace: Path, partner: str, number: str, benefit: str | None) -> dict[str, Any]:
    """Explain one person; the keys are the fields of schemas.explanation.Explanation."""
    return asdict(look_up(Workspace(workspace), partner, number, benefit))


def show(answer: Row) -> None:
    """The chain for people."""
    root = Tree(Text(f"{answer['partner']}, after the night of {answer['last_night']}", "bold"))
    for run in answer["unfinished"]:
        root.add(line(f"run {run} is committed and not finished: what follows may be half of it"))
    add_person(root, answer["person"])
    if not answer["groups"]:
        root.add(line("no order, fact or rejected record of any benefit has come; --benefit says why one is not subscribed to"))
    for group in answer["groups"]:
        add_group(root, group, in_full=bool(group["history"]) or len(answer["groups"]) == 1)
    console().print(root)


def line(text: str, state: str = "") -> Text:
    """A line of the tree, coloured by a state."""
    return Text(text, STYLES.get(state, ""))


def add_person(root: Tree, who: Row) -> None:
    """Who the person is."""
    if who["personnummer"] is None:
        root.add(line(f"person {', '.join(who['numbers'])}: no register record has come"))
        return
    flags = [f"born {who['birth_date']}", "protected" if who["protected"] else "not protected"]
    flags += [who["country"]] if who["country"] else []
    flags += [f"deceased on {who['deceased_on']}"] if who["deceased_on"] else []
    person = root.add(line(f"person {who['personnummer']}: {', '.join(flags)}"))
    for former in who["numbers"]:
        if former != who["personnummer"]:
            person.add(line(f"also {former}"))


def add_group(root: Tree, group: Row, in_full: bool) -> None:
    """One benefit. in_full: with its facts."""
    branch = root.add(Text(group["benefit"], "bold"))
    term = group["subscription"]
    subscription = branch.add(line(f"subscription {terms(term)}" if term else "no subscription"))
    for each in group["history"]:
        subscription.add(line(f"{each['business_date']}: {'ended' if each['gone'] else terms(each)}"))
    for reason in group["why"]:
        branch.add(line(reason, "waiting"))
    for due in group["due"]:
        branch.add(line(f"due: {due}", "waiting"))
    for each in group["rejected"]:
        about = f"{each['fact_id'] or 'no fact_id'} version {each['version']}"
        branch.add(line(f"rejected {each['id']}: {each['code']}, {about}, drop {each['drop']}: {each['state']}", each["state"]))
    for each in group["records"]:
        branch.add(line(f"told {record(each)}"))
    if not in_full:
        branch.add(line(f"{len(group['facts'])} facts received; --benefit shows them"))
        return
    for each in group["facts"]:
        add_fact(branch, each)


def terms(term: Row) -> str:
    """A subscription's terms."""
    return f"from {term['from_date']}" + (f" until {term['end_date']}" if term["end_date"] else "") + f", purpose {term['purpose']}"


def add_fact(branch: Tree, fact: Row) -> None:
    """One fact, from what was received to what was told."""
    leaf = branch.add(Text.assemble((fact["fact_id"], "bold"), " ", (fact["state"], STYLES.get(fact["state"], "")), f": {fact['why']}"))
    for each in fact["versions"]:
        withdrawn = ", withdraws" if each["withdrawn"] else ""
        source = f"drop {each['drop']}, " if each["drop"] else ""
        leaf.add(
            line(
                f"version {each['version']} {each['state']}{withdrawn}: {source}source run {each['source_run']}, recorded {each['recorded_at']:%Y-%m-%d %H:%M}"
            )
        )
    if fact["kind"]:
        add_content(leaf, fact)
    for each in fact["told"]:
        leaf.add(line(f"told {record(each)}", "told" if each["holds"] else ""))


def add_content(leaf: Tree, fact: Row) -> None:
    """What the held version comes to."""
    period = f"{fact['period_from'] or '...'} to {fact['period_to'] or 'open'}"
    extras = [f"case {fact['case_id']}"]
    extras += [f"{fact['amount']} SEK"] if fact["amount"] is not None else []
    extras += [f"refers to {fact['refers_to']}"] if fact["refers_to"] else []
    extras += ["visible" if fact["visible"] else "not visible"]
    content = leaf.add(line(f"{fact['kind']} {period}, {', '.join(extras)}"))
    for each in fact["decided"]:
        content.add(
            line(f"{each['first']} to {each['last']}: " + (f"decided by {each['decision']}" if each["decision"] else "no decision"))
        )
    for each in fact["windows"]:
        level = f", {each['level']}" if each["level"] else ""
        units = f", {each['units']} units" if each["units"] is not None else ""
        by = f", by {', '.join(each['decisions'])}" if each["decisions"] else ""
        content.add(line(f"window {each['first']} to {each['last']}, {each['extent_permille']} permille{level}{units}{by}"))
    if fact["units"] is not None:
        content.add(line(f"{fact['units']} units" + (f", deviation {fact['deviation']}" if fact["deviation"] else "")))
    elif fact["deviation"]:
        content.add(line(f"deviation {fact['deviation']}"))


def record(told: Row) -> str:
    """A record told, and where it lies."""
    what = f"{told['action']} ({told['trigger']})" if told["action"] else "a record"
    deviation = f", deviation {told['deviation']}" if told["deviation"] else ""
    reason = f", reason {told['reason']}" if told["reason"] else ""
    place = told["file"] or "the file is not in the outbox any more"
    now = "; holds" if told["holds"] else ""
    return f"{told['business_date']}: {what}{deviation}{reason}: delivery {told['sequence']}, record {told['record_no']}, {place}{now}"
