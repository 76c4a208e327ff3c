"""A page with pictures of what a recalculation would do: self-contained HTML, no script."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pages.frame import document, paragraph, section, table, text
from pages.pictures import columns
from pipelines.recalculate import Wish
from storage import durable

BINS = 24


def write_page(path: Path, wish: Wish, foreseen: Mapping[str, Any], outcomes: pl.DataFrame) -> None:
    """Write the page. foreseen: what `--plan` says; outcomes: recalculate.OUTCOMES of the new decisions."""
    change = outcomes["after"] - outcomes["before"]
    title = f"Recalculation from {wish.effective}"
    said = (
        f"{wish.reason}: {foreseen['persons']:,} persons, {foreseen['decisions']:,} new decisions, {foreseen['unchanged']:,} unchanged, "
        f"{foreseen['skipped']:,} skipped."
    )
    pictures = [histogram(name, amounts) for name, amounts in amounts_by_title(outcomes, change)]
    body = [
        f"<main><h1>{text(title)}</h1>",
        paragraph(said),
        section("Amounts", *pictures),
        section("Nights", nights(foreseen["slices"])),
        "</main>",
    ]
    durable.write_file(path, document(title, body).encode())


def amounts_by_title(outcomes: pl.DataFrame, change: pl.Series) -> Sequence[tuple[str, pl.Series]]:
    """The three pictures."""
    return [
        ("Decisions by kronor a month before", outcomes["before"]),
        ("Decisions by kronor a month after", outcomes["after"]),
        ("Decisions by change in kronor", change),
    ]


def histogram(title: str, amounts: pl.Series) -> str:
    """Decisions by amount, as columns."""
    known = amounts.drop_nulls().cast(pl.Float64)
    if known.is_empty():
        return paragraph(f"{title}: no amounts.")
    low, high = float(known.min()), float(known.max())  # type: ignore[arg-type]  # Float64 and not empty
    step = (high - low) / BINS or 1.0
    counts = ((known - low) / step).floor().clip(0, BINS - 1).cast(pl.Int32()).value_counts()
    heights = dict(counts.iter_rows())
    return columns(title, [(f"{low + place * step:,.0f}", heights.get(place, 0)) for place in range(BINS)])


def nights(slices: Sequence[Mapping[str, Any]]) -> str:
    """Persons and records by night, and each partner's share of its throttle, as a table."""
    partners = sorted({partner for each in slices for partner in each["partners"]})
    rows = ((str(each["slice"]), each["persons"], *(load(each["partners"].get(partner)) for partner in partners)) for each in slices)
    return table("Persons by night; records, and their share of the partner's throttle", ("Night", "Persons", *partners), rows)


def load(of_partner: Mapping[str, Any] | None) -> str:
    """A partner's records of a night, and what they are of its throttle."""
    return f"{of_partner['records']:,} ({of_partner['percent_of_throttle']} %)" if of_partner else "0"
