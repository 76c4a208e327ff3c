"""R22: the digest of a fact's content. The golden vectors hold for content version 1; another encoding needs another version."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contracts import DELIVERY_RECORD
from schemas.frames import KIND, UNIT
from schemas.versions import CONTENT_VERSION
from tests.transforms.facts import Row, day
from transforms.digest import CONTENT, with_digest

FRAME = pl.Schema({name: pl.String() if name == "deviation" else DELIVERY_RECORD.frame[name] for name in CONTENT})


def window(first: str = "05-01", last: str = "05-10", extent: int = 1000, level: str | None = None, units: int = 10) -> Row:
    return {"first": day(first), "last": day(last), "extent_permille": extent, "level": level, "units": units}


BARE: Row = dict.fromkeys(CONTENT) | {"case_id": "C", "kind": "DECISION", "windows": [], "unit": "CALENDAR_DAY"}
FULL: Row = {
    "case_id": "C1",
    "kind": "PAYMENT",
    "period_from": date(2024, 5, 1),
    "period_to": date(2024, 5, 20),
    "windows": [window(), window("05-11", "05-12", 500, "GRUND", 2)],
    "unit": "CALENDAR_DAY",
    "units": 12,
    "amount": Decimal("4321.50"),
    "extent_permille": 1000,
    "outcome": "BEVILJAN",
    "status": "2",
    "country": "SE",
    "refers_to": "Å7",
    "deviation": "DAY_COUNT_MISMATCH",
}


def digests(*rows: Row, frame: pl.Schema = FRAME) -> list[str]:
    """Hex of each row's digest."""
    return with_digest(pl.DataFrame(rows, frame, orient="row"))["digest"].bin.encode("hex").to_list()


def digest(row: Row, frame: pl.Schema = FRAME) -> str:
    return digests(row, frame=frame)[0]


GOLDEN: list[tuple[str, Row]] = [
    ("f7b9ebe0b112639ec0292fc8c4c0e0a7", BARE),
    ("57c8b9dcc7c9de8b6a3f5f72f4a0a506", FULL),
    ("48f1e3c538c8cac86734e1faa7a6a7ed", FULL | {"windows": FULL["windows"][::-1]}),
    ("e9b60282379355e68782d660b75775b5", FULL | {"outcome": ""}),
    ("fa6e7f1bafde59dfb7f7498c6d9d7d6f", FULL | {"outcome": None}),
    (
        "ef590fd0d0bca8e30356aa681523161e",
        BARE | {"kind": "LIFE_CERTIFICATE", "unit": "EVENT", "period_from": date(1969, 12, 31), "period_to": date(9999, 12, 31)},
    ),
    ("0936161f5f42cb76d0e0124ffd323744", BARE | {"amount": Decimal("-9999999999.99"), "units": 0, "extent_permille": 1}),
]


def test_content_version_1_has_its_golden_vectors() -> None:
    assert CONTENT_VERSION == 1
    assert digests(*(row for _, row in GOLDEN)) == [expected for expected, _ in GOLDEN]


OTHERS: list[Row] = [
    {"case_id": "C2"},
    {"kind": "DECISION"},
    {"period_from": date(2024, 5, 2)},
    {"period_to": date(2024, 5, 21)},
    {"windows": FULL["windows"][:1]},
    {"windows": FULL["windows"][::-1]},
    {"windows": [window(), window("05-11", "05-12", 500, "GRUND", 1)]},
    {"windows": [window(), window("05-11", "05-12", 500, None, 2)]},
    {"windows": [window(), window("05-11", "05-12", 500, "", 2)]},
    {"windows": [window(), window("05-11", "05-12", 501, "GRUND", 2)]},
    {"windows": [window(), window("05-11", "05-13", 500, "GRUND", 2)]},
    {"windows": [window(), window("05-10", "05-12", 500, "GRUND", 2)]},
    {"windows": []},
    {"unit": "MONTH"},
    {"units": 13},
    {"amount": Decimal("4321.51")},
    {"amount": Decimal("-4321.50")},
    {"extent_permille": 999},
    {"outcome": "BIFALL"},
    {"status": "20"},
    {"country": "NO"},
    {"refers_to": "A7"},
    {"deviation": "PERIOD_MISMATCH"},
    *({name: None} for name in CONTENT if name not in ("case_id", "kind", "windows", "unit")),
    *({name: ""} for name in ("outcome", "status", "country", "refers_to")),
    {"units": 0},
    {"amount": Decimal("0.00")},
    {"outcome": "BEVILJAN2", "status": ""},
    {"outcome": "2", "status": "BEVILJAN"},
]


def test_every_field_of_the_content_counts_and_null_is_not_empty() -> None:
    found = digests(FULL, *(FULL | other for other in OTHERS))
    assert len(set(found)) == len(found)


def test_a_decimal_counts_by_its_value() -> None:
    same = [FULL | {"amount": Decimal(text)} for text in ("4321.5", "4321.50", "4.3215E3")]
    assert set(digests(*same)) == {digest(FULL)}
    wider = pl.Schema({**FRAME, "amount": pl.Decimal(18, 4)})
    assert digest(FULL, wider) == digest(FULL)


def test_new_symbols_of_an_enum_change_nothing() -> None:
    more = pl.Schema({**FRAME, "kind": pl.Enum(["APPEAL", *KIND.categories]), "unit": pl.Enum([*UNIT.categories[::-1], "HOUR"])})  # type: ignore[attr-defined]  # the fields are enums
    assert digests(FULL, BARE, frame=more) == digests(FULL, BARE)


def test_what_is_no_content_does_not_count() -> None:
    frame = pl.DataFrame([FULL], FRAME, orient="row")
    told = frame.with_columns(version=pl.lit(7), reason=pl.lit("r"), personnummer=pl.lit("1")).select(pl.all().reverse())
    assert with_digest(told)["digest"].to_list() == with_digest(frame)["digest"].to_list()


def test_a_digest_has_sixteen_bytes_and_no_facts_have_none() -> None:
    assert len(bytes.fromhex(digest(BARE))) == 16
    assert digests() == []


TEXT = st.none() | st.text("aÅ\x00\x01", max_size=3)
ROW: Any = st.fixed_dictionaries(
    {
        "outcome": TEXT,
        "status": TEXT,
        "units": st.none() | st.integers(0, 2),
        "extent_permille": st.none() | st.integers(0, 2),
        "amount": st.none() | st.sampled_from([Decimal("0.00"), Decimal("1.00"), Decimal("0.01")]),
        "windows": st.lists(st.builds(lambda extent, level: window(extent=extent, level=level), st.integers(0, 1), TEXT), max_size=2),
    }
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROW, max_size=30))
def test_digests_are_equal_just_when_contents_are_whatever_stands_beside_them(rows: Sequence[Row]) -> None:
    whole = [BARE | row for row in rows]
    found = digests(*whole)
    assert len(set(found)) == len({repr(row) for row in whole})
    assert all(
        (one == other) == (left == right) for one, left in zip(found, whole, strict=True) for other, right in zip(found, whole, strict=True)
    )
    assert digests(*whole[::-1]) == found[::-1]
    assert [digest(row) for row in whole[:3]] == found[:3]
