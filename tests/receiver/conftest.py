"""Fixtures of the receiver's tests."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.receiver.outboxes import CLOSED, PARTNER, RECEIPT_LINE, deliver
from tests.receiver.records import BERIT, CARL, FIRST_BUCKET, TFP, numbered, record


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    """Three deliveries: an initial one with two parts and a receipt, one with changes, an empty one."""
    root = tmp_path / "outbox"
    initial = numbered(
        record("SNAPSHOT", "a"), record("SNAPSHOT", "b"), record("EMPTY", benefit=TFP), record("SNAPSHOT", "c", personnummer=BERIT)
    )
    deliver(root, initial[:2], initial[2:], receipts=[RECEIPT_LINE])
    changes = numbered(
        record("CORRECTED", "a", supersedes=(1, FIRST_BUCKET), amount=Decimal("1.10"), windows=[]),
        record("ANNULLED", "b", supersedes=(1, 2 * FIRST_BUCKET)),
        record("NEW", "d"),
        record("DEVIATION", personnummer=CARL, code="INVALID_PERIOD"),
    )
    deliver(root, changes, withheld=(CLOSED,))
    deliver(root)
    return root / PARTNER


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"
