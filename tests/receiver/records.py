"""Delivery records for tests, from what matters in each."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl

from schemas.contracts import DELIVERY_RECORD

ANNA, BERIT, CARL = "198001019804", "198001019812", "198001019820"  # of serials that are nobody's
SJP, TFP = "FK:SJP", "FK:TFP"
FIRST_BUCKET = 1_000_000_000
FACT_ACTIONS = {"SNAPSHOT", "NEW", "CORRECTED", "ANNULLED"}


def record(
    action: str,
    fact_id: str | None = None,
    *,
    personnummer: str = ANNA,
    benefit: str = SJP,
    record_no: int = 0,
    supersedes: tuple[int, int] | None = None,
    code: str | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """One DeliveryRecord as a dict: a payment where it stands for a fact."""
    blank = dict.fromkeys(DELIVERY_RECORD.fields)
    fact = {"case_id": "C1", "fact_id": fact_id, "version": 1, "kind": "PAYMENT"} if action in FACT_ACTIONS else {}
    window = {"first": date(2024, 5, 1), "last": date(2024, 5, 10), "extent_permille": 1000, "level": None, "units": 10}
    content = {
        "period_from": date(2024, 5, 1),
        "period_to": date(2024, 5, 20),
        "windows": [window],
        "units": 10,
        "amount": Decimal("4321.50"),
    }
    return (
        blank
        | {"record_no": record_no, "action": action, "trigger": "CHANGE", "personnummer": personnummer, "protected": False}
        | {"benefit": benefit, "windows": [], "unit": "CALENDAR_DAY"}
        | fact
        | (content if fact and action != "ANNULLED" else {})
        | {"supersedes": supersedes and {"sequence": supersedes[0], "record_no": supersedes[1]}}
        | {"deviation": code and {"code": code, "text": "for people"}}
        | fields
    )


def numbered(*records: dict[str, Any]) -> list[dict[str, Any]]:
    """Records with record_no in the order given, each in a bucket of its own, so that any order is right by R27."""
    return [record | {"record_no": (place + 1) * FIRST_BUCKET} for place, record in enumerate(records)]


def frame(records: list[dict[str, Any]]) -> pl.DataFrame:
    """Records as the frame of their contract."""
    return pl.DataFrame(records, schema=DELIVERY_RECORD.frame, orient="row")
