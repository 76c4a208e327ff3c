"""Compaction and vacuum on Spark: the folds of `lefi compact`, sorted by a cluster, and Delta's VACUUM for what no table names.

python -m jobs.spark.compact WORKSPACE [--all] [--vacuum HOURS] [--master URL]

Delta's own OPTIMIZE is not used: its files have no name of ours and no column `settled`, so history, rebuild and erasure would lose what they go by.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody knows it by

from jobs.spark.command import parser, run, say
from jobs.spark.session import start
from pipelines.compact import compact
from schemas.frames import TABLES
from storage import durable, folds, tables
from storage.agreement import require_agreement, table_folder
from storage.folds import FOLDING, SETTLED, SORTED_BY, Unit
from storage.lock import only_writer
from storage.tables import TableFile
from storage.workspace import Workspace

DEFAULT_HOURS = 168  # a week, as Delta has it
PLACE, ROW, PIECE = "_place", "_row", "_piece"


def fold_on(spark: SparkSession) -> Any:
    """What `pipelines.compact` calls to write a fold beside its table: that of storage.folds, by Spark."""

    def fold(folder: Path, joined: Sequence[Unit], schema: pl.Schema, buckets: int) -> list[TableFile]:
        sorted_by = [name for name in SORTED_BY if name in schema]
        pieces = folds.ranges(joined, buckets) if "bucket" in schema else [(0, buckets)]
        width = pieces[0][1] - pieces[0][0] + 1
        piece = F.floor(F.col("bucket") / F.lit(width)).cast("int") if "bucket" in schema else F.lit(0)
        rows = rows_of(spark, joined).withColumn(PIECE, piece).repartition(len(pieces), PIECE)
        in_order = rows.sortWithinPartitions(PIECE, *sorted_by, PLACE, ROW).select(PIECE, *schema, SETTLED)
        written = folder / FOLDING / "spark"
        in_order.write.mode("overwrite").option("compression", "zstd").partitionBy(PIECE).parquet(str(written))
        staged = []
        for number, (first, last) in enumerate(pieces, 1):
            target = folder / FOLDING / folds.file_name(joined, number, len(pieces))
            made = sorted((written / f"{PIECE}={first // width}").glob("part-*.parquet"))
            if made:
                (only,) = made
                only.rename(target)
                durable.sync_file(target)
                staged.append(folds.describe(target))
            else:
                empty = pl.DataFrame(schema={**tables.stored(schema), SETTLED: pl.Int32()})
                staged.append(tables.stage(target, empty))
            assert all(first <= bucket <= last for bucket in (staged[-1].first_bucket, staged[-1].last_bucket)) or not staged[-1].rows
        durable.remove(written)
        return staged

    return fold


def rows_of(spark: SparkSession, joined: Sequence[Unit]) -> DataFrame:
    """The rows of some units, each with the night that wrote it, the place of its file, and its own in that."""
    parts = []
    for folded in (False, True):
        paths = [file.path for unit in joined if unit.folded == folded for file in unit.files]
        if paths:
            rows = spark.read.parquet(*paths)
            parts.append(rows if folded else rows.withColumn(SETTLED, F.substring(name_of_file(), 7, 6).cast("int")))
    order = {Path(file.path).name: place for place, file in enumerate(file for unit in joined for file in unit.files)}
    places = F.create_map(*(F.lit(each) for pair in order.items() for each in pair))
    placed = [part.withColumn(PLACE, places[name_of_file()]).withColumn(ROW, F.col("_metadata.row_index")) for part in parts]
    return placed[0] if len(placed) == 1 else placed[0].unionByName(placed[1])


def name_of_file() -> Column:
    """The name of the file that a row is read from."""
    return F.col("_metadata.file_name")


def vacuum(spark: SparkSession, workspace: Workspace, hours: int) -> int:
    """Remove files that no table has named for so many hours. The workspace is held. Returns how many."""
    removed = 0
    with only_writer(workspace):
        require_agreement(workspace, workspace.catalog())
        spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", str(hours >= DEFAULT_HOURS).lower())
        for name in TABLES:
            folder = table_folder(workspace, name)
            if (folder / tables.LOG).exists():
                before = len(list(folder.glob("*.parquet")))
                spark.sql(f"VACUUM delta.`{folder}` RETAIN {hours} HOURS")
                removed += before - len(list(folder.glob("*.parquet")))
    return removed


def job(workspace: Workspace, given: argparse.Namespace) -> tuple[Mapping[str, Any], int]:
    """Fold, then vacuum if asked to."""
    spark = start("compact", given.master)
    summary = dict(compact(workspace, say, everything=given.all, fold=fold_on(spark)))
    if given.vacuum is not None:
        summary["vacuumed"] = vacuum(spark, workspace, given.vacuum)
    return summary, 0


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    made = parser(__doc__ or "")
    made.add_argument("--all", action="store_true", help="each table to one fold, as `lefi compact --all`")
    made.add_argument(
        "--vacuum", type=int, metavar="HOURS", help=f"also remove what no table has named for so long; a week is {DEFAULT_HOURS}"
    )
    run(job, made.parse_args(argv))


if __name__ == "__main__":
    main()
