"""Make an order drop of a large batch of lines, wherever Spark can read it from.

python -m jobs.spark.prepare_orders WORKSPACE --partner P --business-date D --batch PATH [--format parquet|csv|json|avro|delta] [--files N] [--master URL]

Only a night merges orders into the subscriptions (R13): each line is answered in that night's delivery, by what holds at its turn. So this job does what can be
done before: reads, casts and checks the batch, keeps once what transport brought twice, sorts it as a night takes it, and writes it as a drop of the
contract, `_drop.json` last. Done once more with the same batch, nothing happens.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody knows it by

from jobs.spark.command import parser, run
from jobs.spark.session import start
from schemas.contracts import ORDER_LINE
from schemas.errors import RefusedError, UsageError
from storage import avro, durable
from storage.conf import read_conf
from storage.inbox import HEAD
from storage.workspace import Workspace

KEY = ("order_id", "line_no")
NEEDED = tuple(name for name in ORDER_LINE.fields if name not in ORDER_LINE.nullable)
SOURCE = "prepare_orders"


def as_lines(batch: DataFrame) -> DataFrame:
    """A batch with the columns of an order line, in their order and types; what is not there is null, what is unknown is left out.

    UsageError when a column is missing that a line must have.
    """
    missing = [name for name in NEEDED if name not in batch.columns]
    if missing:
        raise UsageError(f"the batch has no column {', '.join(missing)}: an order line needs {', '.join(NEEDED)}")
    types = {"line_no": "int"}
    given = [F.col(name) if name in batch.columns else F.lit(None) for name in ORDER_LINE.fields]
    return batch.select(
        *(column.cast(types.get(name, "string")).alias(name) for name, column in zip(ORDER_LINE.fields, given, strict=True))
    )


def checked(lines: DataFrame) -> DataFrame:
    """The lines, each once. RefusedError when a needed field is null, or two lines with one order_id and line_no say different things."""
    empty = lines.where(" OR ".join(f"{name} IS NULL" for name in NEEDED)).count()
    if empty:
        raise RefusedError(f"{empty} lines of the batch have no {' or '.join(NEEDED)}")
    once = lines.distinct()
    clashing = once.groupBy(*KEY).count().where("count > 1").count()
    if clashing:
        raise RefusedError(f"{clashing} times two lines of the batch have the same order_id and line_no and say different things")
    return once


def write(lines: DataFrame, folder: Path, head: Mapping[str, Any], files: int) -> list[dict[str, Any]]:
    """Write the drop: parts in the order in which a night takes lines, then its head. Returns the files of the head."""
    by = ("line_no", "order_id")
    parts = lines.repartitionByRange(files, *by).sortWithinPartitions(*by)
    schema = json.dumps(ORDER_LINE.schema)
    parts.write.mode("overwrite").format("avro").option("avroSchema", schema).option("compression", "snappy").save(str(folder))
    listed = []
    for number, part in enumerate(sorted(folder.glob("part-*.avro"))):
        target = folder / f"orders-{number:05d}.avro"
        durable.sync_file(part.rename(target))
        rows = avro.inspect(target, ORDER_LINE).rows
        with target.open("rb") as file:
            listed.append({"name": target.name, "rows": rows, "sha256": hashlib.file_digest(file, "sha256").hexdigest()})
    for left in [path for path in folder.iterdir() if path.suffix != ".avro"]:
        left.unlink()
    durable.put_if_absent(folder / HEAD, durable.to_json({**head, "files": listed}))
    return listed


def same(spark: SparkSession, lines: DataFrame, folder: Path) -> bool:
    """Whether a drop that is there holds these lines."""
    names = [file["name"] for file in json.loads((folder / HEAD).read_text("utf-8"))["files"]]
    there = spark.read.format("avro").load([str(folder / name) for name in names]).select(*ORDER_LINE.fields)
    return there.count() == lines.count() and not there.exceptAll(lines).take(1)


def job(workspace: Workspace, given: argparse.Namespace) -> tuple[Mapping[str, Any], int]:
    """Prepare the drop, or find that it is there."""
    if given.partner not in read_conf(workspace.conf).partners:
        raise RefusedError(f"--partner {given.partner}: no such partner is in conf/partners.yaml")
    spark = start("prepare-orders", given.master)
    reader = spark.read.format(given.format)
    batch = reader.option("header", "true").load(given.batch) if given.format == "csv" else reader.load(given.batch)
    lines = checked(as_lines(batch)).cache()
    came, kept = batch.count(), lines.count()
    if not kept:
        raise RefusedError("the batch has no lines: there is nothing to order")
    name = given.name or f"orders-{given.partner.lower()}-{given.business_date}"
    folder = workspace.inbox / name
    done = {"drop": name, "lines": kept, "twice": came - kept}
    if (folder / HEAD).exists():
        if not same(spark, lines, folder):
            raise RefusedError(f"inbox/{name} is there already, with other lines: give another --name (R6)")
        return done | {"written": False}, 0
    head = {"source": SOURCE, "dataset": "orders", "partner": given.partner, "business_date": str(given.business_date)}
    listed = write(lines, folder, head, given.files)
    return done | {"written": True, "files": len(listed)}, 0


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    made = parser(__doc__ or "")
    made.add_argument("--partner", required=True)
    made.add_argument("--business-date", type=date.fromisoformat, required=True)
    made.add_argument("--batch", required=True, help="what Spark is to read: a folder, a file, or a pattern")
    made.add_argument("--format", default="parquet", choices=["parquet", "csv", "json", "avro", "delta"])
    made.add_argument("--files", type=int, default=1, help="how many files the drop gets: one for each 1 to 4 million lines")
    made.add_argument("--name", help="of the drop; default: orders-PARTNER-DATE")
    run(job, made.parse_args(argv))


if __name__ == "__main__":
    main()
