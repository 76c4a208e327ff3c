"""The slow and obvious way to take orders: line by line, on plain dicts (contract R12-R16)."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from schemas.personnummer import is_valid

Row = dict[str, Any]
Group = tuple[str, str, str]  # partner, person, benefit


@dataclass
class Night:
    """The state of all subscriptions while one night's lines are taken."""

    business_date: date
    night: int
    birth_dates: dict[str, date]
    permissions: Collection[tuple[str, str, str]]
    benefits: Collection[str]
    subscriptions: dict[Group, Row] = field(default_factory=dict)
    receipts: list[Row] = field(default_factory=list)
    refreshes: list[Row] = field(default_factory=list)


def take(night: Night, subscriptions: Iterable[Row], lines: Iterable[Row]) -> None:
    """Take the lines in order; the night then holds the subscriptions, receipts and refreshes."""
    for row in subscriptions:
        if goes_on(night, row):  # R12, R15
            night.subscriptions[row["partner"], row["person"], row["benefit"]] = dict(row)
    for line in sorted(lines, key=lambda line: line["position"]):  # R13: order
        code, effective_on = take_line(night, line)
        place = {name: line[name] for name in ("order_id", "line_no", "partner", "drop", "position", "bucket")}
        night.receipts.append({**place, "code": code, "accepted": code == "ACCEPTED", "effective_on": effective_on})


def goes_on(night: Night, row: Row) -> bool:
    """R12: active."""
    ended = row["end_date"] is not None and row["end_date"] <= night.business_date
    return not ended and (row["partner"], row["purpose"], row["benefit"]) in night.permissions


def parse(text: str | None) -> date | None:
    """A date, None if none is given; ValueError if it is not YYYY-MM-DD."""
    if text is None:
        return None
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise ValueError("not YYYY-MM-DD")
    return date.fromisoformat(text)


def take_line(night: Night, raw: Row) -> tuple[str, date | None]:
    """R13: the first code that applies, and effective_on."""
    line = {name: None if value == "" else value for name, value in raw.items()}  # empty counts as null
    action, number, benefit, today = line["action"], line["personnummer"], line["benefit"], night.business_date
    if action not in {"SUBSCRIBE", "END", "REFRESH"}:
        return "INVALID_ACTION", None
    required = {"SUBSCRIBE": ["personnummer", "benefit", "purpose", "from_date"], "END": ["personnummer", "benefit"], "REFRESH": []}
    if any(line[name] is None for name in required[action]):
        return "MISSING_FIELD", None
    if number is not None and not is_valid(number):
        return "INVALID_PERSONNUMMER", None
    if benefit is not None and benefit not in night.benefits:
        return "UNKNOWN_BENEFIT", None
    dates = {"SUBSCRIBE": ["from_date", "end_date"], "END": ["end_date"], "REFRESH": ["born_from", "born_to"]}
    try:
        day: Row = {name: parse(line[name]) for name in dates[action]}
    except ValueError:
        return "INVALID_DATE", None
    if action == "SUBSCRIBE":
        if day["end_date"] is not None and (day["end_date"] <= day["from_date"] or day["end_date"] <= today):
            return "INVALID_DATE", None
        if day["from_date"] > today:
            return "FUTURE_DATE", None
        if (line["partner"], line["purpose"], benefit) not in night.permissions:
            return "NOT_AUTHORISED", None
    if action == "REFRESH" and day["born_from"] is not None and day["born_to"] is not None and day["born_from"] > day["born_to"]:
        return "INVALID_DATE", None
    if number is not None and line["person"] not in night.birth_dates:
        return "UNKNOWN_PERSON", None
    if action == "SUBSCRIBE":
        return subscribe(night, line, day["from_date"], day["end_date"])
    if action == "END":
        return end(night, line, day["end_date"])
    return refresh(night, line, day["born_from"], day["born_to"])


def subscribe(night: Night, line: Row, from_date: date, end_date: date | None) -> tuple[str, date | None]:
    """R12, R14."""
    group = (line["partner"], line["person"], line["benefit"])
    standing = night.subscriptions.get(group)
    if standing is None:
        night.subscriptions[group] = {
            "bucket": line["bucket"],
            "partner": line["partner"],
            "person": line["person"],
            "benefit": line["benefit"],
            "purpose": line["purpose"],
            "from_date": from_date,
            "end_date": end_date,
            "numbers": [],
            "protected": None,
            "initial_due": True,
            "delivered": False,
            "deviation_number": None,
            "heal_due": False,
            "snapshot_night": night.night,
        }
        return "ACCEPTED", night.business_date
    if from_date >= standing["from_date"]:
        return "DUPLICATE", None
    standing["from_date"] = from_date
    standing["purpose"] = line["purpose"]
    standing["initial_due"] = True
    if end_date is not None:
        standing["end_date"] = end_date
    return "ACCEPTED", night.business_date


def end(night: Night, line: Row, end_date: date | None) -> tuple[str, date | None]:
    """R15."""
    group = (line["partner"], line["person"], line["benefit"])
    if group not in night.subscriptions:
        return "NO_SUBSCRIPTION", None
    holds = night.business_date if end_date is None or end_date < night.business_date else end_date
    if holds == night.business_date:
        del night.subscriptions[group]
    else:
        night.subscriptions[group]["end_date"] = holds
    return "ACCEPTED", holds


def refresh(night: Night, line: Row, born_from: date | None, born_to: date | None) -> tuple[str, date | None]:
    """R16."""
    found = False
    for row in night.subscriptions.values():
        birth_date = night.birth_dates.get(row["person"])
        if row["partner"] != line["partner"]:
            continue
        if line["benefit"] is not None and row["benefit"] != line["benefit"]:
            continue
        if line["personnummer"] is not None and row["person"] != line["person"]:
            continue
        if born_from is not None and (birth_date is None or birth_date < born_from):
            continue
        if born_to is not None and (birth_date is None or birth_date > born_to):
            continue
        found = True
        place = {name: line[name] for name in ("partner", "order_id", "line_no", "drop", "position")}
        night.refreshes.append({**place, "bucket": row["bucket"], "person": row["person"], "benefit": row["benefit"]})
    return ("ACCEPTED", night.business_date) if found else ("NO_SUBSCRIPTION", None)
