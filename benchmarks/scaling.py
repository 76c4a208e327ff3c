"""What a bucket costs, measured; and what a whole country would cost on many workers, reckoned from it (docs/scaling.md).

    python -m benchmarks.scaling measure FOLDER --sizes 500:16,100000:64,100000:256 --out benchmarks/results/scaling.json
    python -m benchmarks.scaling table benchmarks/results/scaling.json

Measured are two nights and a full view of the same population, once for each number of buckets: seconds, bytes and pickled sizes of all that
passes between the steps of the pipeline. `table` prints what follows from them, and nothing else goes into it but CLUSTER and COUNTRY.
"""

import argparse
import json
import math
import pickle
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl

from benchmarks.night import lefi
from pipelines.bites import BITE_ROWS
from pipelines.ingest import PIECE_ROWS, WAITING_FACTS, group_rows
from pipelines.merge_pieces import TOGETHER, Group, merge_pieces
from pipelines.plan import UNLIMITED
from schemas.frames import IN_STORE, TABLES
from storage import tables

COUNTRY = {"persons": 10_500_000, "facts": 200_000_000}
WORKERS = (10, 100)
CORES = 2  # of a worker, as of the machine on which it was measured
CORES_KEPT_BUSY = 0.8  # reckoned: what is lost to the last wave of bites and to the engine
STEPS: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
MIB = 1 << 20


def sized(step: Callable[..., Any]) -> Callable[..., Any]:
    """A step of the pipeline that is measured: what comes in, what goes out, what every call gets beside, how long it takes."""
    name = step.__name__

    def run(element: Any, *arguments: Any) -> Any:
        from benchmarks import scaling  # noqa: PLW0406 - the module itself: Beam sends a copy of this function, and of what it names

        began = time.perf_counter()
        result = step(element, *arguments)
        seen = scaling.STEPS[name]
        seen["seconds"] += time.perf_counter() - began
        seen["calls"] += 1
        seen["members"] += len(element) if isinstance(element, tuple | list) else 1
        seen["bytes_in"] += size_of(element)
        seen["bytes_out"] += size_of(result)
        seen["bytes_beside"] += sum(map(size_of, arguments))
        return result

    return run


def size_of(value: Any) -> int:
    """Bytes of a value as an engine would send it."""
    return len(pickle.dumps(value))


def night(workspace: Path, business_date: str, out: Path) -> None:
    """Run one night in this process, with every step measured."""
    from jobs.lefi import main as lefi_main
    from pipelines import nightly

    guarded = nightly.guarded
    nightly.guarded = lambda step: sized(guarded(step))
    began, ended = time.perf_counter(), 0
    try:
        lefi_main(["nightly", str(workspace), "--business-date", business_date])
    except SystemExit as done:
        ended = int(done.code or 0)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    measured = {
        "wall_seconds": time.perf_counter() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "steps": {name: dict(seen) for name, seen in STEPS.items()},
    }
    out.write_text(json.dumps(measured), "utf-8")
    sys.exit(ended)


def state(workspace: Path) -> dict[str, dict[str, float]]:
    """Of each table files, bytes and rows; of those with buckets also the rows of the largest."""
    found = {}
    for name, schema in TABLES.items():
        folder = workspace / ("store" if name in IN_STORE else "lake") / name
        files = tables.files(folder)
        paths = [Path(file.path) for file in files]
        found[name] = {"files": len(files), "bytes": sum(path.stat().st_size for path in paths), "rows": sum(file.rows for file in files)}
        if files and "bucket" in schema:
            each = pl.concat([pl.scan_parquet(path).select("bucket") for path in paths]).group_by("bucket").len().collect()["len"]
            found[name] |= {"largest_bucket_rows": int(each.max() or 0)}
    return found


def outbox(workspace: Path, sequence: int) -> dict[str, float]:
    """Files, bytes and records of a night's deliveries; bytes of the largest."""
    folders = [folder / f"{sequence:08d}" for folder in (workspace / "outbox").iterdir()]
    manifests = [json.loads((folder / "manifest.json").read_text("utf-8")) for folder in folders]
    sizes = [sum(file["bytes"] for file in manifest["files"]) for manifest in manifests]
    records = sum(file["rows"] for manifest in manifests for file in manifest["files"] if file["name"] != "receipts.avro")
    return {
        "partners": len(folders),
        "files": sum(len(manifest["files"]) for manifest in manifests),
        "bytes": sum(sizes),
        "largest_bytes": max(sizes),
        "records": records,
    }


def measure(folder: Path, persons: int, buckets: int) -> dict[str, Any]:
    """Two nights and a full view of a population."""
    workspace = folder / f"{persons}-{buckets}"
    shutil.rmtree(workspace, ignore_errors=True)
    lefi("init", workspace, "--buckets", buckets)
    lefi("generate", workspace, "--persons", persons, "--nights", 2, "--seed", 1)
    dates = sorted({path.name[-10:] for path in (workspace / "inbox").iterdir()})
    nights = []
    for sequence, date in enumerate(dates, 1):
        out = folder / "night.json"
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.scaling", "night", workspace, date, out], check=False, stdout=subprocess.DEVNULL
        )
        if done.returncode:
            raise SystemExit(f"the night of {date} ended with {done.returncode}")
        report = json.loads(max((workspace / "runs").glob("*/report.json")).read_text("utf-8"))
        nights.append(
            json.loads(out.read_text("utf-8"))
            | {"state": state(workspace), "outbox": outbox(workspace, sequence), "parts": report["steps"]}
        )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    lefi("reconcile", workspace)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    view = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sizes = [path.stat().st_size for path in (workspace / "inbox").rglob("*.avro")]
    inbox = {"bytes": sum(sizes), "largest_bytes": max(sizes), "files": len(sizes)}
    return {"persons": persons, "buckets": buckets, "inbox": inbox, "nights": nights, "full_view_cpu_seconds": view}


def intake(workspace: Path, folder: Path) -> dict[str, float]:
    """What it costs to merge a piece of the country's intake, and a bite to find its rows in one merged file: CPU milliseconds."""
    files = tables.files(workspace / "store" / "facts")
    facts = pl.concat([pl.read_parquet(file.path) for file in files]).head(PIECE_ROWS)
    buckets = bites_of(COUNTRY["facts"])
    spread = facts.with_columns(
        (pl.int_range(pl.len()) * buckets // pl.len()).cast(pl.Int32).alias("bucket"), pl.col("benefit").alias("drop_benefit")
    ).select(list(WAITING_FACTS))
    pieces = [tables.scratch(folder / f"piece-{number}.parquet", spread, group_rows(buckets)) for number in range(TOGETHER)]
    plan: Any = SimpleNamespace(buckets=buckets, staging=folder, room=UNLIMITED)
    began = time.process_time()
    merged = [merge_pieces(Group("facts", number, tuple(pieces)), plan) for number in range(2)]
    merging = (time.process_time() - began) / len(merged) / len(pieces)
    began, rounds = time.process_time(), 20
    for number in range(rounds):
        bucket = number * buckets // rounds
        assert tables.read([file for each in merged for file in each.files], WAITING_FACTS, (bucket, bucket)).height > 0
    reading = (time.process_time() - began) / rounds / len(merged)
    return {"piece_rows": spread.height, "merge_cpu_ms": merging * 1000, "read_cpu_ms": reading * 1000}


def rows(measured: Sequence[dict[str, Any]]) -> Iterable[list[str]]:
    """The table of what was measured."""
    yield ["measured", *(f"{each['buckets']} buckets" for each in measured)]

    def line(name: str, value: Callable[[dict[str, Any]], float], digits: int = 0) -> list[str]:
        return [name, *(f"{value(each):,.{digits}f}" for each in measured)]

    def table(name: str, what: str) -> Callable[[dict[str, Any]], float]:
        return lambda each: float(each["nights"][-1]["state"][name][what])

    yield line("persons", lambda each: each["persons"])
    yield line("facts", table("facts", "rows"))
    for name in ("facts", "told", "subscriptions", "persons"):
        yield line(f"{name}: bytes a bucket", lambda each, name=name: table(name, "bytes")(each) / each["buckets"])
        yield line(f"{name}: bytes a row", lambda each, name=name: table(name, "bytes")(each) / table(name, "rows")(each), 1)
    yield line(
        "facts: largest bucket against the mean",
        lambda each: table("facts", "largest_bucket_rows")(each) * each["buckets"] / table("facts", "rows")(each),
        2,
    )
    for place, name in enumerate(("first night", "second night")):
        yield line(f"{name}: CPU s", lambda each, place=place: each["nights"][place]["cpu_seconds"], 1)
        yield line(f"{name}: wall s", lambda each, place=place: each["nights"][place]["wall_seconds"], 1)
        yield line(f"{name}: peak MiB", lambda each, place=place: each["nights"][place]["peak_mib"])
        yield line(f"{name}: records delivered", lambda each, place=place: each["nights"][place]["outbox"]["records"])
        yield line(f"{name}: bytes delivered", lambda each, place=place: each["nights"][place]["outbox"]["bytes"])
        yield line(f"{name}: bites", lambda each, place=place: bites(each["nights"][place]))
        yield line(f"{name}: KiB between steps", lambda each, place=place: passed(each["nights"][place]) / 1024)
        yield line(f"{name}: KiB beside, a call of Deliver", lambda each, place=place: beside(each["nights"][place], "deliver_bite") / 1024)
        yield line(f"{name}: s in steps that run once", lambda each, place=place: once(each["nights"][place]), 2)
        yield line(f"{name}: s to verify", lambda each, place=place: each["nights"][place]["parts"]["verify"]["seconds"], 2)
    yield line("full view (`reconcile`): CPU s", lambda each: each["full_view_cpu_seconds"], 1)
    yield line("state after two nights: files", lambda each: sum(one["files"] for one in each["nights"][-1]["state"].values()))


def reckoned(measured: Sequence[dict[str, Any]], merged: dict[str, float]) -> Iterable[list[str]]:
    """The table of what follows for COUNTRY. The smallest population gives what a night costs whatever it holds, the largest what a fact costs."""
    small, *_, few, many = sorted(measured, key=lambda each: (each["persons"], each["buckets"]))
    first, second = many["nights"]
    facts, scale = first["state"]["facts"]["rows"], COUNTRY["facts"] / first["state"]["facts"]["rows"]
    fixed = [night["cpu_seconds"] for night in small["nights"]]
    cpu = {
        "first night": fixed[0] + (first["cpu_seconds"] - fixed[0]) * scale,
        "night of half a percent": fixed[1] + (second["cpu_seconds"] - fixed[1]) * scale,
        "full view": many["full_view_cpu_seconds"] * scale,
    }
    steps, busy = first["steps"], min(1.0, first["cpu_seconds"] / first["wall_seconds"])  # a thread's share, the machine being shared
    largest_file = busy * steps["cut_file"]["seconds"] * scale * many["inbox"]["largest_bytes"] / many["inbox"]["bytes"]
    largest_partner = busy * steps["put_together"]["seconds"] * scale * first["outbox"]["largest_bytes"] / first["outbox"]["bytes"]
    verify = busy * first["parts"]["verify"]["seconds"] * scale
    a_bucket = (passed(first) - passed(few["nights"][0])) / (many["buckets"] - few["buckets"])
    beside_a_bucket = (beside(first, "write_staged") - beside(few["nights"][0], "write_staged")) / (many["buckets"] - few["buckets"])
    buckets = bites_of(COUNTRY["facts"])
    files = buckets * len([one for one in first["state"].values() if one["files"] > 2])
    parts = buckets * first["outbox"]["partners"]
    per_fact = sum(first["state"][name]["bytes"] for name in ("facts", "told", "subscriptions", "persons")) / facts
    yield ["reckoned", *(f"{workers} workers" for workers in WORKERS)]

    def line(name: str, value: Callable[[int], float]) -> list[str]:
        return [name, *(f"{value(workers):,.0f}" for workers in WORKERS)]

    for name, seconds in cpu.items():
        yield line(f"{name}: CPU s, all workers", lambda _, seconds=seconds: seconds)
        yield line(
            f"{name}: s, if it could be shared evenly", lambda workers, seconds=seconds: seconds / (workers * CORES * CORES_KEPT_BUSY)
        )
    yield line("first night: s to cut the largest file, on one thread", lambda _: largest_file)
    yield line("first night: s to put the largest partner's files together, on one thread", lambda _: largest_partner)
    yield line("first night: s to verify, where `nightly` was given", lambda _: verify)
    yield line("buckets, for bites of at most 150 000 facts", lambda _: buckets)
    pieces = COUNTRY["facts"] / PIECE_ROWS
    opened = bites_of(COUNTRY["facts"]) * math.ceil(pieces / TOGETHER)
    yield line("first night: CPU s to merge the pieces of the intake, not in the above", lambda _: pieces * merged["merge_cpu_ms"] / 1000)
    yield line("first night: times that a bite opens a merged file", lambda _: opened)
    yield line("first night: CPU s of that, not in the above", lambda _: opened * merged["read_cpu_ms"] / 1000)
    yield line("state after the first night: MB", lambda _: per_fact * COUNTRY["facts"] / 1e6)
    yield line("state after the first night: KB a bucket", lambda _: per_fact * COUNTRY["facts"] / buckets / 1e3)
    yield line("deliveries of the first night: MB", lambda _: first["outbox"]["bytes"] * scale / 1e6)
    yield line("between steps: MB", lambda _: (passed(first) + a_bucket * buckets) / 1e6)
    yield line("beside, to the step that ends the stage: MB", lambda _: (beside(first, "write_staged") + beside_a_bucket * buckets) / 1e6)
    yield line("files written by bites of the first night: tables", lambda _: files)
    yield line("files written by bites of the first night: parts", lambda _: parts)


def bites_of(facts: int) -> int:
    """Runs of buckets of at most BITE_ROWS facts: a power of two."""
    count = 1
    while facts / count > BITE_ROWS:
        count *= 2
    return count


ONCE = ("link", "choose", "decide", "write_staged")


def bites(night: dict[str, Any]) -> float:
    """How many bites a night had."""
    return float(night["steps"]["take_bite"]["members"])


def passed(night: dict[str, Any]) -> float:
    """Bytes between steps: what every step is given as element, and what it gives on."""
    return float(sum(step["bytes_out"] for step in night["steps"].values()))


def beside(night: dict[str, Any], step: str) -> float:
    """Bytes that a call of a step is given beside its element."""
    seen = night["steps"][step]
    return float(seen["bytes_beside"] / seen["calls"])


def once(night: dict[str, Any]) -> float:
    """Seconds in steps of which there is one call."""
    return float(sum(night["steps"][step]["seconds"] for step in ONCE))


def markdown(lines: Iterable[list[str]]) -> str:
    """Lines as a table; the first is its head."""
    head, *rest = lines
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *rest))


def main() -> None:
    """Measure, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("night")
    one.add_argument("workspace", type=Path)
    one.add_argument("business_date")
    one.add_argument("out", type=Path)
    measuring = commands.add_parser("measure")
    measuring.add_argument("folder", type=Path)
    measuring.add_argument("--sizes", default="500:16,100000:64,100000:256", help="persons:buckets, separated by commas")
    measuring.add_argument("--out", type=Path, required=True)
    printing = commands.add_parser("table")
    printing.add_argument("results", type=Path)
    given = parser.parse_args()
    if given.command == "night":
        night(given.workspace, given.business_date, given.out)
    elif given.command == "measure":
        given.folder.mkdir(parents=True, exist_ok=True)
        sizes = [tuple(map(int, each.split(":"))) for each in given.sizes.split(",")]
        found = [measure(given.folder, persons, buckets) for persons, buckets in sizes]
        document = {"when": datetime.now(UTC).isoformat(), "machine": f"{platform.machine()}, two cores", "measured": found}
        document["intake"] = intake(given.folder / "-".join(map(str, sizes[-1])), given.folder)
        given.out.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    else:
        document = json.loads(given.results.read_text("utf-8"))
        found = document["intake"]
        print(
            f"A piece of {found['piece_rows']:,} rows is merged in {found['merge_cpu_ms']:.0f} ms of CPU; "
            f"a bite finds its rows in a merged file in {found['read_cpu_ms']:.1f}.\n"
        )
        print(markdown(rows(document["measured"])), markdown(reckoned(document["measured"], document["intake"])), sep="\n\n")


if __name__ == "__main__":
    from benchmarks import scaling  # noqa: PLW0406 - the module that Beam's copies find, not __main__

    scaling.main()
