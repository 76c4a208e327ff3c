"""The demo: a population, three nights, and every partner's own picture, held against what is visible."""

import shutil
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jobs.generate import FIRST_DATE, generate
from jobs.lefi import say
from jobs.nightly import nightly, show
from jobs.receive import receive
from pipelines.visible import visible
from receiver.picture import picture
from storage.workspace import init

PERSONS, NIGHTS, SEED = 5_000, 3, 1


def main(arguments: Sequence[str]) -> int:
    """Run the demo in a folder; 0 when every picture equals what is visible after every night."""
    root = Path(arguments[0] if arguments else "demo")
    shutil.rmtree(root, ignore_errors=True)
    console, began = Console(), FIRST_DATE
    workspace = init(root, 64)
    say(f"1. a synthetic population of {PERSONS:,} persons, and {NIGHTS} nights of changes")
    made = generate(root, PERSONS, NIGHTS, SEED)
    say("   " + ", ".join(f"{rows:,} {dataset}" for dataset, rows in made["rows"].items()))
    equal = True
    table = Table(title="What each partner has after the last night", title_justify="left")
    for column in ("partner", "deliveries", "facts", "picture equals what is visible"):
        table.add_column(column, justify="right" if column in ("deliveries", "facts") else "left")
    for night in range(NIGHTS):
        day = began + timedelta(days=night)
        say(f"{night + 2}. the night of {day}")
        show(nightly(root, day, "embedded", lambda text: say(f"   {text}")), root)
        seen = visible(workspace)
        for partner in sorted(seen):
            state = root / "pictures" / f"{partner}.duckdb"
            state.parent.mkdir(exist_ok=True)
            received = receive(root / "outbox" / partner, state)
            same = seen[partner].equals(picture(state))
            equal &= same
            if night == NIGHTS - 1 or not same:
                table.add_row(partner, str(received.sequence), f"{received.facts:,}", "yes" if same else f"NO, after {day}")
    console.print(table)
    console.print(
        f"deliveries: {root}/outbox   runs: {root}/runs   pictures: {root}/pictures (DuckDB files: docs/receiver.md)   next: lefi status {root}",
        soft_wrap=True,
    )
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
