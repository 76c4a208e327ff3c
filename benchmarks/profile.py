"""Where a first night's processor time goes, by step, each beside its own floor: the least that anything could take to do as much.

    python -m benchmarks.profile FOLDER --persons 200000 [--docs docs]

Makes a population in FOLDER, unless one of that size is there, and runs its first night in this process, one bite at a time, so that the processors' time
between two moments belongs to one step. A step's floor is measured on its own inputs while its clock stands still. Prints a table; with --docs, writes
it and a picture into that folder: profile.svg and, between the marks, benchmarks.md.
"""

import argparse
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from time import process_time
from typing import Any

import apache_beam as beam
import polars as pl
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from polars_hash import hash_rows

import pipelines.deliver
import pipelines.ingest
import pipelines.nightly
import pipelines.put_together
import pipelines.run
import pipelines.side_by_side
import pipelines.take
import pipelines.view
import storage.avro
import storage.durable
import storage.outbox
import storage.tables
from benchmarks import floor as codec
from jobs.generate import FIRST_DATE, generate
from pipelines.run import run_night
from storage.workspace import init

SEED, WIDTH, ROW, NAME = 1, 760, 26, 190
BEGIN, END = "<!-- profile: begin -->", "<!-- profile: end -->"


@dataclass
class Step:
    """Processor seconds of a step, of its floor, and how often it was done."""

    seconds: float = 0.0
    floor: float = 0.0
    calls: int = 0


@dataclass
class Profile:
    """All steps; within: those under way, the innermost last; last: when the clock was last looked at."""

    steps: dict[str, Step] = field(default_factory=dict)
    within: list[str] = field(default_factory=list)
    last: float = field(default_factory=process_time)

    def look(self) -> None:
        """Give the time since last to the innermost step."""
        now = process_time()
        if self.within:
            self.steps.setdefault(self.within[-1], Step()).seconds += now - self.last
        self.last = now

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A step, whose time is not that of the one around it."""
        self.look()
        self.within.append(name)
        try:
            yield
        finally:
            self.look()
            self.within.pop()
            self.steps[name].calls += 1

    def floor(self, name: str, work: Callable[[], Any]) -> None:
        """Do the least that a step could, while no clock runs but its floor's."""
        self.look()
        work()
        now = process_time()
        self.steps[name].floor += now - self.last
        self.last = now


def watch(profile: Profile, name: str, module: Any, function: str, floor: Callable[..., Any] | None = None) -> None:
    """Count the time of a function, wherever a module calls it. floor: given the result, then the arguments."""
    whole = getattr(module, function)

    @functools.wraps(whole)
    def watched(*arguments: Any, **named: Any) -> Any:
        with profile.step(name):
            result = whole(*arguments, **named)
        if floor:
            profile.floor(name, lambda: floor(result, *arguments, **named))
        return result

    setattr(module, function, watched)


# Floors


def the_codec(_: Any, contents: list[bytes], *__: Any, **___: Any) -> None:
    """Of decoding: to go through as many bytes once."""
    for content in contents:
        content.count(b"\x00")


def by_bucket(cut: pl.DataFrame, *_: Any) -> None:
    """Of cutting: to put as many rows in another order."""
    cut.sort("arrival" if "arrival" in cut.columns else "line", descending=True)


def grouped(_: Any, facts: pl.DataFrame, *__: Any) -> None:
    """Of finding what belongs together: to group the rows."""
    facts.group_by("person", "benefit", "fact_id").len()


def days(_: Any, facts: pl.DataFrame, *__: Any) -> None:
    """Of windows: to sum up the days of every span and period."""
    spans = facts.select("spans").filter(pl.col("spans").list.len() > 0).explode("spans").unnest("spans")
    spans.select((pl.col("last") - pl.col("first")).sum())
    facts.group_by("person", "benefit", "case_id").agg((pl.col("period_to") - pl.col("period_from")).sum())


def hashed(_: Any, contents: pl.DataFrame, *__: Any) -> None:
    """Of digests: the same hash over two numbers of each row."""
    contents.select(hash_rows("period_from", "units").nchash.murmur128(return_binary=True))


def joined(_: Any, groups: pl.DataFrame, __: Any, contents: pl.DataFrame, *___: Any) -> None:
    """Of comparing: to join facts and groups."""
    contents.select("person", "benefit", "fact_id").join(groups.select("partner", "person", "benefit"), on=["person", "benefit"])


@functools.cache
def example() -> pl.DataFrame:
    """Records with the content of ordinary ones."""
    return codec.prebuilt()


def encoded(_: Any, records: pl.DataFrame, *__: Any) -> None:
    """Of encoding: what the codec alone takes for as many ordinary records."""
    path = Path(os.environ["TMPDIR"]) / "encoded.avro"
    for rows in codec.parts(records.height):
        codec.encode(example().head(rows), path)


def read_bytes(_: Any, sources: Any, *__: Any, **___: Any) -> None:
    """Of reading tables: to read the files' bytes, once for each bite that wants a part of them, in proportion."""
    buckets = (__[1], __[2]) if len(__) > 2 else (0, 0)
    for file in list(sources) if isinstance(sources, list | tuple) else []:
        if file.rows and Path(file.path).exists():
            span = file.last_bucket - file.first_bucket + 1
            share = min(1.0, (buckets[1] - buckets[0] + 1) / span)
            with Path(file.path).open("rb") as data:
                data.read(int(Path(file.path).stat().st_size * share))


def write_bytes(staged: Any, *_: Any) -> None:
    """Of writing tables: to compress as many bytes as came of it, and write them."""
    data = Path(staged.path).read_bytes()
    pl.DataFrame({"bytes": [data]}).write_parquet(Path(os.environ["TMPDIR"]) / "written.parquet", compression="lz4", statistics=False)


def copied(_: Any, path: Path, *__: Any) -> None:
    """Of putting together and publishing: to copy the bytes."""
    if path.exists():
        shutil.copyfile(path, Path(os.environ["TMPDIR"]) / "copied")


def nothing_at_all() -> float:
    """Of Beam's own: a pipeline of as many steps that do nothing."""
    before = process_time()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        made = pipeline | "Create" >> beam.Create([None], reshuffle=False)
        for number in range(20):
            made = made | f"Nothing{number}" >> beam.Map(lambda each: each)
    return process_time() - before


def arrange(profile: Profile) -> None:
    """Watch the steps."""
    pipelines.side_by_side.THREADS = 1
    watch(profile, "check files", pipelines.ingest, "check_file", lambda path, *_: path.read_bytes())
    watch(profile, "decode Avro", storage.avro, "decode", the_codec)
    watch(profile, "cut to buckets", pipelines.ingest, "cut_batch", by_bucket)
    watch(profile, "judge", pipelines.take, "judge", grouped)
    watch(profile, "take orders", pipelines.take, "take_lines")
    watch(profile, "read tables", storage.tables, "read", read_bytes)
    watch(profile, "write tables", storage.tables, "scratch", write_bytes)
    watch(profile, "co-group", pipelines.view, "restrict")
    watch(profile, "co-group", pipelines.view, "hold", grouped)
    watch(profile, "windows", pipelines.view, "compensate", days)
    watch(profile, "digest", pipelines.view, "with_digest", hashed)
    watch(profile, "compare", pipelines.view, "compare", joined)
    watch(profile, "control totals", pipelines.view, "must_equal")
    watch(profile, "control totals", pipelines.take, "must_equal")
    for name in ("count_kept", "count_delivered", "count_deviations", "audit"):
        watch(profile, "control totals", pipelines.deliver, name)
    watch(profile, "control totals", pipelines.take, "total_facts")
    watch(profile, "who is concerned", pipelines.deliver, "touch")
    watch(profile, "who is concerned", pipelines.take, "concerned")
    watch(profile, "find persons", pipelines.ingest, "with_person")
    watch(profile, "take orders", pipelines.take, "queue_up")
    watch(profile, "changed subscriptions", pipelines.deliver, "stage_changes")
    watch(profile, "open quarantine", pipelines.deliver, "open_quarantine")
    watch(profile, "encode Avro", pipelines.deliver, "encode_on_both_cores", encoded)
    watch(profile, "join parts", storage.outbox, "write", copied)
    watch(profile, "verify", pipelines.run, "verify")
    watch(profile, "Delta", storage.tables, "append")
    watch(profile, "other, in bites", pipelines.ingest, "cut_file")
    steps = {"take_bite": pipelines.take, "deliver_bite": pipelines.deliver, "put_together": pipelines.put_together}
    for function, module in steps.items():
        watch(profile, "other, in bites", module, function)
    for name, module in {"cut_file": pipelines.ingest, **steps}.items():
        setattr(pipelines.nightly, name, getattr(module, name))
    pipelines.run.night = pipelines.nightly.night
    watch(profile, "Beam's own", pipelines.run, "stage")


def table(profile: Profile, persons: int) -> str:
    """The table, in Markdown, the largest first."""
    total = sum(step.seconds for step in profile.steps.values())
    lines = [
        f"{persons:,} persons, first night, one thread, processor seconds; {datetime.now(UTC):%Y-%m-%d}, `python -m benchmarks.profile`.",
        "",
        "| step | CPU s | share | floor, CPU s | times its floor |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, step in sorted(profile.steps.items(), key=lambda each: -each[1].seconds):
        ratio = f"{step.seconds / step.floor:.1f} x" if step.floor > 0.005 else ""
        low = f"{step.floor:.2f}" if step.floor else ""
        lines.append(f"| {name} | {step.seconds:.2f} | {step.seconds / total:.0%} | {low} | {ratio} |")
    return "\n".join([*lines, f"| together | {total:.2f} | | | |"])


def picture(profile: Profile, persons: int) -> str:
    """Lying bars, the floor of each step within its bar, as SVG."""
    steps = sorted(profile.steps.items(), key=lambda each: -each[1].seconds)
    largest = max(max(step.seconds, step.floor) for _, step in steps)
    room, height = WIDTH - NAME - 90, ROW * (len(steps) + 2)
    drawn = [f'<text x="0" y="16" font-weight="bold">First night of {persons:,} persons: processor seconds by step; dark: its floor</text>']
    for place, (name, step) in enumerate(steps, 1):
        top = place * ROW
        drawn.append(
            f'<text x="0" y="{top + 17}">{escape(name)}</text>'
            f'<rect x="{NAME}" y="{top + 4}" width="{room * step.seconds / largest:.1f}" height="{ROW - 8}" fill="#7fa8d1"/>'
            f'<rect x="{NAME}" y="{top + 4}" width="{room * step.floor / largest:.1f}" height="{ROW - 8}" fill="#1f4e79"/>'
            f'<text x="{NAME + room * max(step.seconds, step.floor) / largest + 6:.1f}" y="{top + 17}">{step.seconds:.2f} s</text>'
        )
    words = "; ".join(f"{name} {step.seconds:.2f} s" for name, step in steps)
    style = "text{font:13px sans-serif;fill:#222}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(words, quote=True)}">'
        f'<style>{style}</style><rect width="{WIDTH}" height="{height}" fill="#fff"/>{"".join(drawn)}</svg>\n'
    )


def keep(folder: Path, made: str, drawn: str) -> None:
    """Write the table between its marks, and the picture."""
    page = folder / "benchmarks.md"
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}", "utf-8")
    (folder / "profile.svg").write_text(drawn, "utf-8")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--persons", type=int, default=200_000)
    parser.add_argument("--docs", type=Path)
    given = parser.parse_args()
    inputs, scratch = given.folder / f"inputs-{given.persons}", given.folder / "profiled"
    if not (inputs / "made").exists():
        shutil.rmtree(inputs, ignore_errors=True)
        generate(init(inputs, 64).root, given.persons, 1, SEED)
        (inputs / "made").touch()
    shutil.rmtree(scratch, ignore_errors=True)
    workspace = init(scratch, 64)
    for name in ("inbox", "conf"):
        shutil.copytree(inputs / name, scratch / name, copy_function=os.link, dirs_exist_ok=True)
    os.environ["TMPDIR"] = str(given.folder)
    example()
    profile = Profile()
    arrange(profile)
    with profile.step("plan, commit and the rest"):
        run_night(workspace, FIRST_DATE, "embedded", lambda _: None)
    profile.steps["Beam's own"].floor = nothing_at_all()
    made = table(profile, given.persons)
    print(made)
    if given.docs:
        keep(given.docs, made, picture(profile, given.persons))
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
