"""docs/receiver.md: its queries run, and answer."""

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from jobs.receive import receive
from receiver.picture import TABLES
from schemas.manifest import Withheld
from tests.receiver.outboxes import PARTNER, deliver
from tests.receiver.records import ANNA, BERIT, CARL, SJP, TFP, numbered, record

PAGE = (Path(__file__).parents[2] / "docs" / "receiver.md").read_text("utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
FIRST_DAY, LAST_DAY = date(2024, 5, 1), date(2024, 5, 10)
ANSWERS = [
    [
        (ANNA, SJP, "C1", "a", Decimal("4321.50"), FIRST_DAY, LAST_DAY, 1000, 10),
        (BERIT, SJP, "C1", "b", Decimal("4321.50"), FIRST_DAY, LAST_DAY, 1000, 10),
    ],
    [(SJP, FIRST_DAY, 20)],
    [(CARL, SJP, "INVALID_PERIOD", "for people", FIRST_DAY)],
    [("DAY_COUNT_MISMATCH", SJP, 1)],
    [(TFP, "NO_DROP", "2024-05-01")],
    [(FIRST_DAY, "O1", 2, "UNKNOWN_PERSON", "no such person")],
]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    refused = {"order_id": "O1", "line_no": 2, "accepted": False, "code": "UNKNOWN_PERSON", "text": "no such person", "effective_on": None}
    records = numbered(
        record("SNAPSHOT", "a"),
        record("SNAPSHOT", "b", personnummer=BERIT, code="DAY_COUNT_MISMATCH"),
        record("DEVIATION", personnummer=CARL, code="INVALID_PERIOD"),
    )
    deliver(tmp_path, records, receipts=[refused], withheld=(Withheld(benefit=TFP, code="NO_DROP", text="", since=FIRST_DAY),))
    receive(tmp_path / PARTNER, tmp_path / "state")
    return tmp_path / "state"


def test_every_query_has_its_answer_here() -> None:
    assert len(QUERIES) == len(ANSWERS)


@pytest.mark.parametrize(("query", "answer"), list(zip(QUERIES, ANSWERS, strict=False)))
def test_a_query_of_the_page_answers(state: Path, query: str, answer: list[tuple[object, ...]]) -> None:
    with duckdb.connect(str(state), read_only=True) as connection:
        assert connection.execute(query).fetchall() == answer


def test_the_page_names_every_table() -> None:
    for table in [*TABLES, "deliveries"]:
        assert f"| `{table}` |" in PAGE
