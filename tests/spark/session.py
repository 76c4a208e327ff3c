"""The Spark session of the tests: one core, no code generation, which costs more than it gives on a few rows."""

import os
from typing import Any

import pytest

QUICK = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.shuffle.partitions": "1",
    "spark.databricks.delta.snapshotPartitions": "1",
}


def session() -> Any:
    """A session; skips where there is no PySpark. The jobs that run in the same process share it."""
    pytest.importorskip("pyspark", reason="SKIPPED: no PySpark (make test-all installs it), so nothing ran on Spark")
    from jobs.spark.session import start

    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    spark = start("tests", "local[1]")
    for key, value in QUICK.items():
        spark.conf.set(key, value)
    return spark
