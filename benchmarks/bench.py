"""`make bench`: the first night of everybody against four other ways to the same records, by turns, in one run.

    python -m benchmarks.bench [--quick] [--sizes 200000,1000000] [--only a,c,d] [--dir DIR]

Fails when the records are not the same; never because of a time. `--quick` is for CI: small, one round, figures printed and not kept.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.inputs import read_inputs
from benchmarks.measure import Measured, python
from benchmarks.night import first_night, lefi
from benchmarks.outputs import differences, outcome

SIZES, QUICK_SIZES = (200_000, 1_000_000), (10_000,)
WAYS = ("a", "v", "b", "c", "d", "e")
TITLES = {
    "a": "the night: compare-and-deliver",
    "v": "full view of that night's workspace",
    "b": "textbook Beam, a twentieth",
    "c": "bare Polars",
    "d": "floor",
    "e": "native PySpark",
}
TWENTIETH = 20
BYTES_PER_PERSON = 6_000  # inputs, one workspace and the outputs of all ways, with some to spare
SPARK_AVRO = "org.apache.spark:spark-avro_2.12:3.5.7"
GIB = 1 << 30
RESULTS = Path(__file__).parent / "results"


@dataclass
class Run:
    """One way in one round. seconds: of the work, without the start of interpreter and JVM; wall_seconds: with it."""

    way: str
    persons: int
    records: int
    seconds: float
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    steps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ratio:
    """What the requirement asks, and what was found. above: the ratio must be at least the aim, else at most."""

    what: str
    aim: float
    above: bool
    found: float
    unit: str = "x"

    @property
    def met(self) -> bool:
        """Whether the aim is reached."""
        return self.found >= self.aim if self.above else self.found <= self.aim


class WrongOutputError(Exception):
    """Two ways did not make the same records."""


class Bench:
    """The ways at one size, in a scratch folder."""

    def __init__(self, folder: Path, persons: int, say: Callable[[str], None]) -> None:
        self.folder, self.persons, self.say = folder / f"{persons}", persons, say
        self.runs: list[Run] = []

    def population(self, persons: int) -> Path:
        """The drops of a population; made once."""
        workspace = self.folder / f"inputs-{persons}"
        if not (workspace / "made").exists():
            shutil.rmtree(workspace, ignore_errors=True)
            lefi("init", workspace)
            lefi("generate", workspace, "--persons", persons, "--nights", 1, "--seed", 1)
            (workspace / "made").touch()
        return workspace

    def output(self, name: str) -> Path:
        """An empty place for an output."""
        out = self.folder / f"out-{name}"
        shutil.rmtree(out, ignore_errors=True)
        return out

    def night(self, inputs: Path, persons: int) -> Run:
        """(a)"""
        done = first_night(inputs, self.folder / f"night-{persons}", read_inputs(inputs).business_date)
        measured = done.measured
        return Run(
            "a", persons, done.records, done.stage_seconds, measured.wall_seconds, measured.cpu_seconds, measured.peak_bytes, done.steps
        )

    def view(self, records: int) -> Run:
        """(v), `lefi reconcile` on the workspace of (a): all that it was told is looked at, and nothing differs."""
        measured = lefi("reconcile", self.folder / f"night-{self.persons}", "--json")
        if measured.said["differences"] or measured.said["store"]:
            raise WrongOutputError(f"reconcile finds differences after the first night of {self.persons} persons")
        seconds = measured.said["work"]["seconds"]
        return Run("v", self.persons, records, seconds, measured.wall_seconds, measured.cpu_seconds, measured.peak_bytes)

    def other(self, way: str, records: int) -> Run:
        """(v) and (b) to (e)"""
        if way == "v":
            return self.view(records)
        persons = self.persons // TWENTIETH if way == "b" else self.persons
        inputs, out = self.population(persons), self.output(way)
        modules: dict[str, Callable[[], Measured]] = {
            "b": lambda: python("benchmarks.textbook", inputs, out),
            "c": lambda: python("benchmarks.bare", inputs, out),
            "d": lambda: python("benchmarks.floor", inputs, out, records),
            "e": lambda: python("benchmarks.spark", inputs, out, spark_avro(self.folder.parent)),
        }
        measured = modules[way]()
        made = records if way == "d" else outcome(out).records
        return Run(way, persons, made, measured.said["seconds"], measured.wall_seconds, measured.cpu_seconds, measured.peak_bytes)

    def go(self, ways: Sequence[str], rounds: int) -> None:
        """All ways by turns; the slow ones, (b) and (e), in the first round only."""
        inputs = self.population(self.persons)
        if "b" in ways:
            self.population(self.persons // TWENTIETH)
        records = 0
        for number in range(rounds):
            for way in ways:
                if number and way in "be":
                    continue
                run = self.night(inputs, self.persons) if way == "a" else self.other(way, records)
                records = max(records, run.records if way in "ace" else 0)
                self.runs.append(run)
                self.say(f"{self.persons:>9,} {TITLES[way]:<32} {run.seconds:8.2f} s {run.records / run.seconds:12,.0f} records/s")

    def check(self, ways: Sequence[str]) -> None:
        """Compare the outputs as multisets. WrongOutputError says how they differ."""
        ours = self.folder / f"night-{self.persons}" / "outbox"
        pairs = [(way, ours, self.folder / f"out-{way}") for way in "ce" if "a" in ways and way in ways]
        if "a" in ways and "b" in ways:
            persons = self.persons // TWENTIETH
            self.night(self.population(persons), persons)
            pairs.append(("b", self.folder / f"night-{persons}" / "outbox", self.folder / "out-b"))
        for way, one, other in pairs:
            if outcome(one) != outcome(other):
                raise WrongOutputError(f"({way}) and the night differ at {self.persons} persons\n{differences(one, other)}")
            self.say(f"{self.persons:>9,} {TITLES[way]}: the same {outcome(one).records:,} records")

    def typical(self, way: str) -> Run | None:
        """The run of a way with the median of seconds."""
        runs = sorted((run for run in self.runs if run.way == way), key=lambda run: run.seconds)
        return runs[(len(runs) - 1) // 2] if runs else None

    def ratios(self) -> list[Ratio]:
        """The aims that can be judged."""
        night, found = self.typical("a"), []
        if night is None:
            return []
        whole = median(run.wall_seconds for run in self.runs if run.way == "a")
        bounds = {"b": (75, True), "c": (1.0, False), "d": (2.0, False), "e": (7, True)}
        for way, (aim, above) in bounds.items():
            other = self.typical(way)
            if other is not None:
                faster = (night.records / night.seconds) / (other.records / other.seconds)
                found.append(
                    Ratio(f"compare-and-deliver against {TITLES[way]}", aim, above, faster if above else night.seconds / other.seconds)
                )
            if other is not None and way == "c":
                found.append(Ratio("whole night against bare Polars", 2.0, False, whole / other.seconds))
                if (view := self.typical("v")) is not None:
                    found.append(Ratio("full view against bare Polars", 1.0, False, view.wall_seconds / other.seconds))
        for way, what in (("a", "night"), ("v", "full view")):
            peaks = [run.peak_bytes for run in self.runs if run.way == way]
            found += [Ratio(f"peak memory of the {what}", 1.2, False, max(peaks) / GIB, "GiB")] if peaks else []
        return found


def spark_avro(folder: Path) -> Path:
    """The jar with which Spark reads Avro, by the system's Maven."""
    group, artifact, version = SPARK_AVRO.split(":")
    jar = folder / "jars" / f"{artifact}-{version}.jar"
    if not jar.exists():
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
        subprocess.run(["mvn", "-q", "-B", goal, f"-Dartifact={group}:{artifact}:{version}", f"-DoutputDirectory={jar.parent}"], check=True)
    return jar


def small_things(folder: Path) -> list[Ratio]:
    """A night of 1000 persons, `lefi --help` and `lefi status`: whole processes, the best of three."""
    bench = Bench(folder, 1000, lambda _: None)
    inputs = bench.population(1000)
    nights = [bench.night(inputs, 1000).wall_seconds for _ in range(3)]

    def best(*arguments: object) -> float:
        return min(lefi(*arguments).wall_seconds for _ in range(3))

    workspace = bench.folder / "night-1000"
    return [
        Ratio("first night of 1 000 persons", 5, False, min(nights), "s"),
        Ratio("lefi --help", 0.5, False, best("--help"), "s"),
        Ratio("lefi status", 0.5, False, best("status", workspace, "--json"), "s"),
    ]


def table(runs: Sequence[Run], ratios: Sequence[tuple[int, Ratio]]) -> str:
    """Both tables, in Markdown."""
    lines = ["| persons | way | records | seconds | records/s | process s | CPU s | peak GiB |", "|--:|---|--:|--:|--:|--:|--:|--:|"]
    for run in runs:
        lines.append(
            f"| {run.persons:,} | {TITLES[run.way]} | {run.records:,} | {run.seconds:.2f} | {run.records / run.seconds:,.0f} "
            f"| {run.wall_seconds:.2f} | {run.cpu_seconds:.2f} | {run.peak_bytes / GIB:.2f} |"
        )
    lines += ["", "| persons | what | aim | found | |", "|--:|---|--:|--:|---|"]
    for persons, ratio in ratios:
        sign = "≥" if ratio.above else "≤"
        lines.append(
            f"| {persons:,} | {ratio.what} | {sign} {ratio.aim:g} {ratio.unit} | {ratio.found:.2f} {ratio.unit} | {'' if ratio.met else 'missed'} |"
        )
    return "\n".join(lines)


def save(runs: Sequence[Run], ratios: Sequence[tuple[int, Ratio]], command: str) -> Path:
    """Write the raw figures."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    path = RESULTS / f"{now:%Y-%m-%d}.json"
    machine = {
        "cores": os.cpu_count(),
        "load_1_minute": os.getloadavg()[0],
        "system": platform.system(),
        "python": platform.python_version(),
    }
    document = {
        "at": now.isoformat(timespec="seconds"),
        "command": command,
        "machine": machine,
        "runs": [asdict(run) for run in runs],
        "ratios": [{"persons": persons, **asdict(ratio), "met": ratio.met} for persons, ratio in ratios],
    }
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return path


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description="The night against other ways to the same records.")
    parser.add_argument(
        "--quick", action="store_true", help="10 000 persons, a to d and v, one round, nothing kept: about a minute, for CI"
    )
    parser.add_argument("--sizes", type=lambda text: tuple(map(int, text.split(","))), help="numbers of persons, such as 200000,1000000")
    parser.add_argument("--only", type=lambda text: tuple(text.split(",")), help="some of a,v,b,c,d,e")
    parser.add_argument("--rounds", type=int, help="how often a, v, c and d take their turn (3, quick 1); b and e do once")
    parser.add_argument("--dir", type=Path, help="where the data goes and stays; else a temporary folder")
    chosen = parser.parse_args(arguments)
    chosen.sizes = chosen.sizes or (QUICK_SIZES if chosen.quick else SIZES)
    chosen.only = chosen.only or (("a", "v", "b", "c", "d") if chosen.quick else WAYS)
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 3)
    if set(chosen.only) - set(WAYS) or min(chosen.sizes) < TWENTIETH:
        parser.error("--only takes some of a,v,b,c,d,e; --sizes at least 20")
    if "v" in chosen.only and "a" not in chosen.only:
        parser.error("v needs a: it looks at the workspace that a has made")
    if "d" in chosen.only and not {"a", "c"} & set(chosen.only):
        parser.error("d needs a or c: it encodes as many records as they do")
    return chosen


def main(arguments: Sequence[str]) -> int:
    """Run everything, print the tables, keep the figures."""
    chosen = parse(arguments)
    temporary = tempfile.TemporaryDirectory() if chosen.dir is None else None
    folder = Path(temporary.name) if temporary else chosen.dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = max(chosen.sizes) * BYTES_PER_PERSON, shutil.disk_usage(folder).free
    print(
        f"needs about {needed / GIB:.1f} GiB below {'a temporary folder' if temporary else chosen.dir}, {free / GIB:.0f} GiB are free",
        flush=True,
    )
    began = perf_counter()
    runs: list[Run] = []
    ratios: list[tuple[int, Ratio]] = []
    try:
        for persons in chosen.sizes:
            bench = Bench(folder, persons, lambda text: print(text, flush=True))
            bench.go(chosen.only, chosen.rounds)
            bench.check(chosen.only)
            runs += bench.runs
            ratios += [(persons, ratio) for ratio in bench.ratios()]
        if "a" in chosen.only and not chosen.quick:
            ratios += [(1000, ratio) for ratio in small_things(folder)]
    except WrongOutputError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if temporary:
            temporary.cleanup()
    print(table(runs, ratios))
    kept = ""
    if not chosen.quick:
        path = save(runs, ratios, "python -m benchmarks.bench " + " ".join(arguments))
        kept = f"; raw figures in benchmarks/results/{path.name}"
    print(f"{perf_counter() - began:.0f} s{kept}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
