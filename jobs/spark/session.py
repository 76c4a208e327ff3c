"""The Spark session of the jobs: Delta Lake and Avro, UTC, dates as the contract has them."""

import os
from pathlib import Path

from pyspark.sql import SparkSession

JARS = "LEFI_SPARK_JARS"
FETCHED = Path(__file__).parent / "jars"  # `make spark` puts them here
DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",  # else a time of Parquet's first years, without a zone
    "spark.databricks.delta.snapshotPartitions": "2",  # of a log with few files
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",  # into so many tasks VACUUM cuts the list of files: 10 000 by default
}
ALONE = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.sql.shuffle.partitions": "8"}


def start(name: str, master: str | None = None) -> SparkSession:
    """A session for one job. master: a Spark master's URL; None: what `spark-submit` says, or all cores of this machine.

    Jars: those of `spark-submit`, if it is that which runs us; else those of the folder in LEFI_SPARK_JARS, or those that `make spark` fetched.
    """
    builder = SparkSession.builder.appName(f"lefi {name}")
    for key, value in {**DELTA, **SETTINGS}.items():
        builder = builder.config(key, value)
    if master or "PYSPARK_GATEWAY_PORT" not in os.environ:  # set by spark-submit
        builder = builder.master(master or "local[*]").config("spark.jars", ",".join(str(path) for path in jars()))
        for key, value in ALONE.items():
            builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def jars() -> list[Path]:
    """The jars that are not part of PySpark. Raises FileNotFoundError when they were not fetched."""
    folder = Path(os.environ.get(JARS) or FETCHED)
    found = sorted(folder.glob("*.jar"))
    if not found:
        raise FileNotFoundError(f"{folder} holds no jars: give `make spark`, or name their folder in {JARS}")
    return found
