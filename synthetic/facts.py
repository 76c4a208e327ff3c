"""Drafts of facts, numbers in place of texts, and how they become records of the contract."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from schemas.contracts import BENEFIT_FACT
from synthetic.days import DAY_MS, dates
from synthetic.dice import Bools, Ints
from synthetic.people import People

SPANS = BENEFIT_FACT.frame["spans"]
DECISION, PAYMENT, CLAIM, CERTIFICATE = range(4)
LETTERS = ("B", "U", "K", "I")
NUMBER_LAG_DAYS = 2

# person: place in the population; case: within the person's benefit; kind: one of the four above; nr: within kind and case; refers: the nr
# of a payment; amount: whole SEK; recorded: milliseconds since 1970 UTC.
DRAFT = pl.Schema(
    {
        "person": pl.Int64(),
        "case": pl.Int32(),
        "kind": pl.UInt8(),
        "nr": pl.Int32(),
        "version": pl.Int32(),
        "withdrawn": pl.Boolean(),
        "period_from": pl.Date(),
        "period_to": pl.Date(),
        "spans": SPANS,
        "extent_permille": pl.Int32(),
        "amount": pl.Int64(),
        "stated_days": pl.Int32(),
        "outcome": pl.String(),
        "status": pl.String(),
        "country": pl.String(),
        "refers": pl.Int32(),
        "reason": pl.String(),
        "guarantee": BENEFIT_FACT.frame["guarantee"],
        "recorded": pl.Int64(),
    }
)
FACT = ("person", "case", "kind", "nr")
DEFAULTS: Mapping[str, Any] = {"version": 1, "withdrawn": False, "spans": []}


def draft(person: npt.ArrayLike, **columns: Any) -> pl.DataFrame:
    """Drafts from arrays, columns or single values; what is not given is null. Frame of DRAFT."""
    values = {**DEFAULTS, "person": np.asarray(person, np.int64), **columns}
    return pl.DataFrame([column(name, values.get(name), dtype, len(values["person"])) for name, dtype in DRAFT.items()])


def column(name: str, value: Any, dtype: pl.DataType, rows: int) -> pl.Series:
    """A value, or one per row, as a column."""
    if isinstance(value, np.ndarray | pl.Series):
        return pl.Series(name, value).cast(dtype)
    return pl.Series(name, [value], dtype=dtype).new_from_index(0, rows)


def nullable(values: npt.NDArray[Any], given: Bools) -> pl.Series:
    """Values of which only the given are not null."""
    return pl.Series(values).set(pl.Series(~given, dtype=pl.Boolean), None)


def named(places: Ints, names: tuple[str, ...]) -> pl.Series:
    """Texts by their places in a list."""
    return pl.Series(places).replace_strict(range(len(names)), names, return_dtype=pl.String)


def spans(counts: Ints, first: Ints, last: Ints, extent: Ints, level: pl.Series | None = None, waiting: Bools | None = None) -> pl.Series:
    """A column of spans: the first counts[0] of the flat rows belong to row 0, and so on."""
    flat = pl.DataFrame(
        [
            dates(first).alias("first"),
            dates(last).alias("last"),
            pl.Series("extent_permille", extent).cast(pl.Int32),
            column("level", level, pl.String(), len(first)),
            column("waiting", False if waiting is None else waiting, pl.Boolean(), len(first)),
        ]
    )
    ends = pa.array(np.concatenate(([0], np.cumsum(counts))), pa.int64())
    return pl.Series("spans", pa.LargeListArray.from_arrays(ends, flat.to_struct().to_arrow())).cast(SPANS)


def addresses(drafts: pl.DataFrame) -> list[Ints]:
    """The addresses of facts for the dice."""
    return [drafts[name].to_numpy() for name in FACT]


def recorded_days(drafts: pl.DataFrame) -> Ints:
    """The days on which drafts were recorded."""
    return np.asarray(drafts["recorded"].to_numpy() // DAY_MS)


def held(drafts: pl.DataFrame) -> pl.DataFrame:
    """The highest version of each fact."""
    return drafts.sort("version", maintain_order=True).unique(FACT, keep="last", maintain_order=True)


def records(drafts: pl.DataFrame, people: People, benefit: str, source_run: str) -> pl.DataFrame:
    """Drafts as BenefitFact records. A source learns of a new personnummer two days late. Frame of contracts.BENEFIT_FACT."""
    drafts = drafts.rechunk()  # Polars 2.1 panics in `format` where chunks of columns have different lengths
    case_id = pl.format("{}-{}-{}", pl.lit(benefit.partition(":")[2]), pl.col("person").cast(pl.String).str.zfill(7), "case")
    letter = pl.col("kind").replace_strict(range(len(LETTERS)), LETTERS, return_dtype=pl.String)
    columns: dict[str, pl.Expr | pl.Series] = {
        **{name: pl.col(name) for name in DRAFT if name in BENEFIT_FACT.frame},
        "personnummer": people.number(drafts["person"].to_numpy(), recorded_days(drafts) - NUMBER_LAG_DAYS),
        "benefit": pl.lit(benefit),
        "case_id": case_id,
        "fact_id": pl.format("{}-{}{}", case_id, letter, "nr"),
        "kind": pl.col("kind").cat.to(BENEFIT_FACT.frame["kind"]),
        "amount": pl.col("amount").cast(BENEFIT_FACT.frame["amount"]),
        "refers_to": pl.format("{}-{}{}", case_id, pl.lit(LETTERS[PAYMENT]), "refers"),
        "recorded_at": pl.col("recorded").cast(BENEFIT_FACT.frame["recorded_at"]),
        "source_run": pl.lit(source_run),
    }
    return drafts.select(**{name: columns[name] for name in BENEFIT_FACT.frame})
