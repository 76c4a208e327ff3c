"""(e) Native PySpark DataFrames, local[2]: no Python functions, windows by Spark's own array expressions.

python -m benchmarks.spark WORKSPACE OUT JARS
"""

import json
import sys
from functools import reduce
from pathlib import Path
from time import perf_counter

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody knows it by

from benchmarks.inputs import Inputs, Source, fold_links, read_inputs
from jobs.spark.contents import GROUP, WINDOW, compensate, hold
from schemas.contracts import DELIVERY_RECORD
from transforms.compare import DEVIATION_TEXTS

DRIVER_MEMORY = "6g"
PARTITIONS = 8


def start(jars: str) -> SparkSession:
    """A session on two cores."""
    return (
        SparkSession.builder.master("local[2]")
        .config("spark.jars", jars)
        .config("spark.driver.memory", DRIVER_MEMORY)
        .config("spark.sql.shuffle.partitions", PARTITIONS)
        .config("spark.sql.requireAllClusterKeysForCoPartition", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )


def with_person(spark: SparkSession, rows: DataFrame, keys: dict[str, str]) -> DataFrame:
    """Add the person's key (R11)."""
    pairs = spark.createDataFrame(list(keys.items()) or [("", "")], "personnummer string, key string")
    return rows.join(F.broadcast(pairs), "personnummer", "left").withColumn("person", F.coalesce("key", "personnummer")).drop("key")


def name_persons(persons: DataFrame) -> DataFrame:
    """(person, personnummer, protected) as the newest register records have them."""
    renamed = F.when(F.col("former_personnummer").isNotNull(), F.col("recorded_at"))
    return persons.groupBy("person").agg(
        F.coalesce(F.max_by(F.when(renamed.isNotNull(), F.col("personnummer")), renamed), F.max_by("personnummer", "recorded_at")).alias(
            "personnummer"
        ),
        F.max_by("protected", "recorded_at").alias("protected"),
    )


def read_lines(spark: SparkSession, source: Source) -> DataFrame:
    """A partner's order lines."""
    paths = list(source.paths)
    csv = paths[0].endswith(".csv")
    lines = spark.read.option("header", True).csv(paths) if csv else spark.read.format("avro").load(paths)
    texts = ["action", "personnummer", "benefit", "purpose", "from_date", "end_date"]
    return lines.select(F.lit(source.partner).alias("partner"), F.col("line_no").cast("int").alias("line_no"), *texts)


def subscribe(spark: SparkSession, inputs: Inputs, persons: DataFrame, keys: dict[str, str]) -> DataFrame:
    """The subscriptions that the lines make (R12-R14), of registered persons."""
    lines = reduce(DataFrame.union, (read_lines(spark, source) for source in inputs.orders))
    permitted = spark.createDataFrame(sorted(inputs.permitted), "partner string, purpose string, benefit string")
    day, shape = F.lit(inputs.business_date), r"^\d{4}-\d{2}-\d{2}$"
    dated = lines.select(
        "partner",
        "line_no",
        "personnummer",
        "benefit",
        "purpose",
        F.when(F.col("from_date").rlike(shape), F.to_date("from_date")).alias("from_date"),
        F.when(F.col("end_date").rlike(shape), F.to_date("end_date")).alias("end_day"),
        (F.coalesce("end_date", F.lit("")) == "").alias("open"),
    ).where(F.col("action") == "SUBSCRIBE")
    begun = F.col("from_date") <= day
    good = dated.where(begun & (F.col("open") | ((F.col("end_day") > day) & (F.col("end_day") > F.col("from_date")))))
    good = with_person(spark, good.join(F.broadcast(permitted), ["partner", "purpose", "benefit"], "left_semi"), keys)
    groups = good.groupBy("partner", "person", "benefit").agg(F.min("from_date").alias("from_date"))
    return groups.join(persons, "person")


def assemble(groups: DataFrame, contents: DataFrame, units: dict[str, str]) -> DataFrame:
    """The records: every visible fact, or EMPTY (R21, R23)."""
    visible = F.col("period_to").isNull() | (F.col("period_to") >= F.col("from_date"))
    joined = groups.join(contents.drop("personnummer", "unit"), GROUP, "inner").where(visible)
    empty = groups.join(joined.select("partner", *GROUP).distinct(), ["partner", *GROUP], "left_anti")
    records = joined.unionByName(empty, allowMissingColumns=True)
    unit_of = F.create_map(*(F.lit(each) for pair in units.items() for each in pair))
    texts = F.create_map(*(F.lit(each) for pair in DEVIATION_TEXTS.items() for each in pair))
    given = {
        "record_no": F.monotonically_increasing_id(),
        "action": F.when(F.col("fact_id").isNull(), "EMPTY").otherwise("SNAPSHOT"),
        "trigger": F.lit("INITIAL"),
        "former_personnummer": F.lit(None).cast("string"),
        "windows": F.coalesce("windows", F.array().cast(f"array<{WINDOW}>")),
        "unit": unit_of[F.col("benefit")],
        "supersedes": F.lit(None).cast("struct<sequence:bigint,record_no:bigint>"),
        "deviation": F.when(
            F.col("deviation").isNotNull(), F.struct(F.col("deviation").alias("code"), texts[F.col("deviation")].alias("text"))
        ),
    }
    return records.select("partner", *(given.get(name, F.col(name)).alias(name) for name in DELIVERY_RECORD.fields))


def main(workspace: Path, out: Path, jars: str) -> dict[str, float]:
    """Measure, from a session that has started to the last file."""
    spark = start(jars)
    spark.range(1).count()
    began = perf_counter()
    inputs = read_inputs(workspace)
    register = spark.read.format("avro").load(list(inputs.persons))
    links = register.where("former_personnummer is not null").select("personnummer", "former_personnummer").collect()
    keys = fold_links([(row[0], row[1]) for row in links])
    persons = name_persons(with_person(spark, register, keys))
    groups = subscribe(spark, inputs, persons, keys).repartition(PARTITIONS, *GROUP).cache()
    facts = spark.read.format("avro").load([path for source in inputs.facts for path in source.paths]).drop("guarantee", "source_run")
    watched = with_person(spark, facts, keys).join(groups.select(GROUP).distinct(), GROUP, "left_semi")
    contents = compensate(hold(watched), inputs.units)
    records = assemble(groups, contents, inputs.units)
    records.write.partitionBy("partner").format("avro").option("compression", "snappy").option(
        "avroSchema", json.dumps(DELIVERY_RECORD.schema)
    ).save(str(out))
    return {"seconds": perf_counter() - began}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])))
