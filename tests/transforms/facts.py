"""Facts for tests, from what matters in each."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from schemas.frames import FACTS
from schemas.personnummer import check_digit

Row = dict[str, Any]
UNITS = {"FK:SJP": "CALENDAR_DAY", "FK:TFP": "WORKING_TIME", "FK:AS": "FIVE_DAY_WEEK", "FK:SA": "MONTH", "PM:LINT": "EVENT"}


def numbered(yyyymmddnnn: str) -> str:
    """A personnummer with its check digit. Serials 980 to 999 are nobody's."""
    return yyyymmddnnn + str(check_digit(yyyymmddnnn[2:]))


ANNA, BO, CIA, DAN = map(numbered, ("19900115980", "19850630980", "20000229980", "19700101980"))


def day(text: str) -> date:
    """A date of 2024 from MM-DD, or any from YYYY-MM-DD."""
    return date.fromisoformat(text if len(text) > 5 else f"2024-{text}")


def at(minute: int) -> datetime:
    """A time, so many minutes after 2024-06-01."""
    return datetime(2024, 6, 1, tzinfo=UTC) + timedelta(minutes=minute)


def span(first: str, last: str | None = None, extent: int = 1000, level: str | None = None, waiting: bool = False) -> Row:
    """A span of one day or more."""
    return {"first": day(first), "last": day(last or first), "extent_permille": extent, "level": level, "waiting": waiting}


def fact(kind: str = "DECISION", period_from: str | None = None, period_to: str | None = None, **fields: Any) -> Row:
    """One fact as a dict of frames.FACTS: Anna's of FK:SJP, case C, version 1, where nothing else is said."""
    number = fields.get("personnummer", ANNA)
    blank = dict.fromkeys(FACTS.names())
    given = {
        "bucket": 0,
        "person": number,
        "personnummer": number,
        "benefit": "FK:SJP",
        "case_id": "C",
        "fact_id": "F",
        "version": 1,
        "kind": kind,
        "withdrawn": False,
        "period_from": period_from and day(period_from),
        "period_to": period_to and day(period_to),
        "spans": [],
        "recorded_at": at(0),
        "source_run": "run",
        "arrival": 0,
    }
    return blank | given | fields


def facts_frame(rows: Iterable[Row]) -> pl.DataFrame:
    """Facts as a frame."""
    return pl.DataFrame(list(rows), schema=FACTS, orient="row")
