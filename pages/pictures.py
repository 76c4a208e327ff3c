"""Pictures as inline SVG: bars that lie and columns that stand, each with its numbers in words for who cannot see it."""

from collections.abc import Sequence

from pages.frame import count, text

WIDTH = 640
ROW, NAME, NUMBER = 24, 200, 110  # of lying bars: height of a row, width of its name and of its number
HEIGHT, FOOT, HEAD = 120, 24, 26  # of standing columns: the tallest, the line of names below, the number above


def figure(title: str, drawing: str, height: float, words: str) -> str:
    """A drawing below its title. words: what it shows, for a screen reader."""
    return (
        f'<figure><figcaption>{text(title)}</figcaption><svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{text(words)}">'
        f"{drawing}</svg></figure>\n"
    )


def bars(title: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """Lying bars, one a row: name, size, and the size as it is to be read."""
    largest = max((size for _, size, _ in rows), default=0) or 1
    room = WIDTH - NAME - NUMBER
    drawn = []
    for place, (name, size, said) in enumerate(rows):
        top, width = place * ROW, room * size / largest
        drawn.append(
            f'<text x="0" y="{top + 16}">{text(shortened(name))}</text>'
            f'<rect class="bar" x="{NAME}" y="{top + 4}" width="{width:.1f}" height="{ROW - 8}"/>'
            f'<text x="{NAME + width + 6:.1f}" y="{top + 16}">{text(said)}</text>'
        )
    words = "; ".join(f"{name} {said}" for name, _, said in rows)
    return figure(title, "".join(drawn), len(rows) * ROW, f"{title}: {words}")


def columns(title: str, columns_: Sequence[tuple[str, float]], kind: str = "bar") -> str:
    """Standing columns in order of time: name and size. The first, the last and the tallest are labelled. kind: bar or second."""
    tallest = max((size for _, size in columns_), default=0)
    step = WIDTH / max(len(columns_), 8)
    drawn = [f'<line class="axis" x1="0" x2="{WIDTH}" y1="{HEAD + HEIGHT}" y2="{HEAD + HEIGHT}"/>']
    peak = next((place for place, (_, size) in enumerate(columns_) if size == tallest), 0)
    last = len(columns_) - 1
    for place, (name, size) in enumerate(columns_):
        tall = HEIGHT * size / (tallest or 1)
        drawn.append(
            f'<rect class="{kind}" x="{place * step + 2:.1f}" y="{HEAD + HEIGHT - tall:.1f}" width="{step - 4:.1f}" height="{tall:.1f}">'
            f"<title>{text(name)}: {count(size)}</title></rect>"
        )
        if place in {peak, last} or len(columns_) <= WIDTH // 80:
            drawn.append(label(place * step + step / 2, HEAD + HEIGHT - tall - 5, count(size)))
        if place in {0, last}:
            drawn.append(label(place * step + step / 2, HEAD + HEIGHT + 15, name))
    words = "; ".join(f"{name} {count(size)}" for name, size in columns_)
    return figure(title, "".join(drawn), HEAD + HEIGHT + FOOT, f"{title}: {words}")


def label(middle: float, line: float, said: str) -> str:
    """A text around a place, kept within the picture."""
    anchor = "start" if middle < 45 else "end" if middle > WIDTH - 45 else "middle"
    at = {"start": 2.0, "end": WIDTH - 2.0, "middle": middle}[anchor]
    return f'<text x="{at:.1f}" y="{line:.1f}" text-anchor="{anchor}">{text(said)}</text>'


def shortened(name: str) -> str:
    """A name that fits beside its bar."""
    return name if len(name) <= 27 else f"{name[:26]}…"
