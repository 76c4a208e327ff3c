"""The frame of every page: style sheet, headings, tables. Texts are escaped, and what could be a personnummer is masked."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from schemas.errors import masked

STYLE = """
:root{color-scheme:light dark;--ink:#1b2733;--soft:#51606e;--ground:#fff;--card:#f3f6f9;--line:#c9d2da;--bar:#1f5f99;--second:#a05a00;
--good:#1d6b3a;--bad:#a3211b}
@media(prefers-color-scheme:dark){:root{--ink:#e8edf2;--soft:#a9b6c2;--ground:#12181e;--card:#1c252e;--line:#3d4a57;--bar:#7fb6ec;
--second:#f0b35f;--good:#7fd6a0;--bad:#ff9d95}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:58rem;margin:0 auto;padding:1rem}
h1{font-size:1.6rem;line-height:1.2;margin:.6rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem;border-top:1px solid var(--line);padding-top:.8rem}
h3{font-size:1rem;margin:1rem 0 .3rem}
p{margin:.4rem 0;max-width:46rem}a{color:var(--bar)}a:focus-visible,.scroll:focus-visible{outline:3px solid var(--second);outline-offset:2px}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;padding:0;margin:.5rem 0}
.next{background:var(--card);border-left:.4rem solid var(--bar);padding:.7rem 1rem;overflow-wrap:anywhere}
.facts{display:flex;flex-wrap:wrap;gap:.6rem;padding:0;margin:1rem 0;list-style:none}
.facts li{background:var(--card);padding:.5rem .9rem;flex:1 1 8rem}.facts b{display:block;font-size:1.35rem;line-height:1.2}
.facts span,.soft,caption{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad);font-weight:600}
.scroll{overflow-x:auto;margin:.6rem 0}table{border-collapse:collapse;min-width:60%}caption{text-align:left;padding:.2rem 0}
th,td{text-align:left;vertical-align:top;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line)}
.k{white-space:nowrap}.heard{position:absolute;clip-path:inset(50%);height:1px;width:1px;overflow:hidden;white-space:nowrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}thead th{font-size:.9rem}tbody th{font-weight:500}
figure{margin:.8rem 0}figcaption{color:var(--soft);margin-bottom:.2rem}svg{display:block;width:100%;height:auto;max-width:44rem}
svg text{font-size:13px;fill:var(--ink)}svg .bar{fill:var(--bar)}svg .second{fill:var(--second)}svg .axis{stroke:var(--line)}
@media(max-width:36rem){th,td{padding-right:.5rem;font-size:.9rem}td:not(.n){min-width:5rem}svg text{font-size:19px}}
@media print{:root{--ink:#000;--soft:#333;--ground:#fff;--card:#fff;--line:#999;--bar:#444;--second:#888;--good:#000;--bad:#000}
body{max-width:none;font-size:11px;padding:0}nav{display:none}.scroll{overflow:visible}h2{break-after:avoid}
figure,tr,.next{break-inside:avoid}svg{max-width:30rem}}
"""


SHORT = 14  # a date or a code: not broken over lines


def text(value: object) -> str:
    """A text from a document: masked and escaped."""
    return escape(masked(str(value)))


def count(number: float) -> str:
    """A number with a thin space between thousands, which no line break splits."""
    return f"{number:,}".replace(",", "\u202f")


def megabytes(size_bytes: float) -> str:
    """A size in kB or MB, as it reads best."""
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:,.1f} kB"


def document(title: str, body: Iterable[str], language: str = "en", head: str = "") -> str:
    """A whole page. head: further elements for it."""
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{text(title)}</title><link rel="icon" href="data:,">{head}<style>{STYLE}</style></head>\n<body>\n{"".join(body)}</body></html>\n'
    )


def section(title: str, *body: str, name: str = "") -> str:
    """A part of a page below its heading. name: for links to it."""
    mark = f' id="{name}"' if name else ""
    return f"<section{mark}><h2>{text(title)}</h2>\n{''.join(body)}</section>\n"


def paragraph(said: str, kind: str = "") -> str:
    """A paragraph of a plain text."""
    mark = f' class="{kind}"' if kind else ""
    return f"<p{mark}>{text(said)}</p>\n"


def contents(names: Mapping[str, str], label: str) -> str:
    """Links to the sections. names: name -> title."""
    items = "".join(f'<li><a href="#{name}">{text(title)}</a></li>' for name, title in names.items())
    return f'<nav aria-label="{text(label)}"><ul>{items}</ul></nav>\n'


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], kind: str = "") -> str:
    """A table; the first cell of a row names it, numbers stand to the right. A wide one scrolls, by keyboard too.

    kind: `heard` for a caption that only screen readers tell, where a heading says the same.
    """
    kept = [tuple(row) for row in rows]
    numeric = [bool(kept) and all(isinstance(row[place], int | float) for row in kept) for place in range(len(head))]

    def cell(value: object, place: int) -> str:
        mark = ' class="n"' if numeric[place] else ""
        shown = count(value) if isinstance(value, int | float) else text(value)
        mark = mark or (' class="k"' if len(shown) <= SHORT else "")
        return f'<th scope="row"{mark}>{shown}</th>' if place == 0 else f"<td{mark}>{shown}</td>"

    mark = f' class="{kind}"' if kind else ""
    titles = "".join(f'<th scope="col"{" class=n" if right else ""}>{text(name)}</th>' for name, right in zip(head, numeric, strict=True))
    lines = "".join(f"<tr>{''.join(cell(value, place) for place, value in enumerate(row))}</tr>\n" for row in kept)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table><caption{mark}>{text(caption)}</caption>\n'
        f"<thead><tr>{titles}</tr></thead>\n<tbody>{lines}</tbody></table></div>\n"
    )
