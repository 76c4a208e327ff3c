"""A page with pictures of what a recalculation would do: self-contained HTML, no script."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.recalculate import Wish
from storage import durable

BINS, WIDTH, HEIGHT, GAP = 24, 640, 180, 2
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}rect{fill:#3b6ea8}"
    "text{font-size:11px;fill:currentColor}td,th{padding:.1rem .8rem .1rem 0;text-align:right}"
)


def write_page(path: Path, wish: Wish, foreseen: Mapping[str, Any], outcomes: pl.DataFrame) -> None:
    """Write the page. foreseen: what `--plan` says; outcomes: recalculate.OUTCOMES of the new decisions."""
    change = outcomes["after"] - outcomes["before"]
    body = [
        f"<h1>Recalculation from {wish.effective}</h1>",
        f"<p>{escape(wish.reason)}: {foreseen['persons']:,} persons, {foreseen['decisions']:,} new decisions, {foreseen['unchanged']:,} unchanged, "
        f"{foreseen['skipped']:,} skipped.</p>",
        *(f"<h2>{title}</h2>{histogram(amounts)}" for title, amounts in amounts_by_title(outcomes, change)),
        "<h2>Nights</h2>",
        nights(foreseen["slices"]),
    ]
    durable.write_file(
        path, f'<!doctype html><meta charset="utf-8"><title>Recalculation</title><style>{STYLE}</style>{"".join(body)}'.encode()
    )


def amounts_by_title(outcomes: pl.DataFrame, change: pl.Series) -> Sequence[tuple[str, pl.Series]]:
    """The three pictures."""
    return [("Kronor a month before", outcomes["before"]), ("Kronor a month after", outcomes["after"]), ("Change in kronor", change)]


def histogram(amounts: pl.Series) -> str:
    """Amounts as bars, as SVG."""
    known = amounts.drop_nulls().cast(pl.Float64)
    if known.is_empty():
        return "<p>No amounts.</p>"
    low, high = float(known.min()), float(known.max())  # type: ignore[arg-type]  # Float64 and not empty
    step = (high - low) / BINS or 1.0
    counts = ((known - low) / step).floor().clip(0, BINS - 1).cast(pl.Int32()).value_counts()
    heights = dict(counts.iter_rows())
    tallest, width = max(heights.values()), WIDTH / BINS
    bars = "".join(
        f'<rect x="{place * width:.0f}" y="{HEIGHT - HEIGHT * count / tallest:.0f}" width="{width - GAP:.0f}" height="{HEIGHT * count / tallest:.0f}">'
        f"<title>{low + place * step:,.0f} to {low + (place + 1) * step:,.0f}: {count:,}</title></rect>"
        for place, count in sorted(heights.items())
    )
    labels = f'<text x="0" y="{HEIGHT + 14}">{low:,.0f}</text><text x="{WIDTH}" y="{HEIGHT + 14}" text-anchor="end">{high:,.0f}</text>'
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 20}" role="img">{bars}{labels}</svg>'


def nights(slices: Sequence[Mapping[str, Any]]) -> str:
    """Persons and records by night, as a table."""
    partners = sorted({partner for each in slices for partner in each["partners"]})
    head = "".join(f"<th>{escape(name)}</th>" for name in ("night", "persons", *partners))
    rows = "".join(
        f"<tr><td>{each['slice']}</td><td>{each['persons']:,}</td>"
        + "".join(f"<td>{each['partners'].get(partner, {}).get('records', 0):,}</td>" for partner in partners)
        + "</tr>"
        for each in slices
    )
    return f"<table><tr>{head}</tr>{rows}</table>"
