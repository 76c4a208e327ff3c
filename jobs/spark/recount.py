"""An independent recount of the last night: what the contract says of facts, subscriptions and earlier deliveries, against what was delivered.

python -m jobs.spark.recount WORKSPACE [--master URL]

Written from the contract in Spark SQL; shares no rule with the nights. Counts, by partner, benefit and action, what the manifests say, what the part files
hold, and what ought to have been delivered; and compares every partner's picture (R50) with what is visible, field by field. Ends with 4 where they
do not agree.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name that everybody knows it by

from jobs.spark.command import parser, run
from jobs.spark.contents import compensate, hold
from jobs.spark.session import start
from schemas.arrival import arrival_of
from schemas.errors import RefusedError
from storage import commands
from storage.agreement import require_agreement, table_folder
from storage.conf import read_conf
from storage.lock import only_writer
from storage.runs import unfinished
from storage.workspace import Catalog, Workspace

CONTENT = (
    *("case_id", "kind", "period_from", "period_to", "windows", "unit", "units", "amount"),
    *("extent_permille", "outcome", "status", "country", "refers_to"),
)
TABLES = ("facts", "subscriptions", "identities", "quarantine", "persons", "runs")
UNUSED = ("guarantee", "source_run", "bucket", "personnummer", "reason")

# Views of what is. `former`: numbers that are not their person's key (R11); the rows of a person that was merged are that of the other.
ACTIVE = """
SELECT partner, person, benefit, from_date FROM (
  SELECT s.*, coalesce(i.person, s.person) AS person_now,
    row_number() OVER (PARTITION BY s.partner, s.person, s.benefit ORDER BY s.night DESC, s.gone) AS place
  FROM subscriptions s LEFT JOIN former i ON i.number = s.person)
  JOIN permitted USING (partner, purpose, benefit)
WHERE place = 1 AND NOT gone AND (end_date IS NULL OR end_date > :day) AND person = person_now
"""
RECORDS = """
SELECT r.*, coalesce(i.person, r.personnummer) AS person, n.last FROM delivered r
LEFT JOIN former i ON i.number = r.personnummer JOIN newest n ON n.partner = r.partner
"""
# R50: the last word on each fact, unless its group was emptied later. {when}: which deliveries are folded.
PICTURE = """
WITH said AS (SELECT * FROM records WHERE {when}),
emptied AS (
  SELECT partner, number, benefit, max(sequence) AS emptied FROM (
    SELECT partner, personnummer AS number, benefit, sequence FROM said WHERE action IN ('SNAPSHOT', 'EMPTY')
    UNION ALL
    SELECT partner, former_personnummer, benefit, sequence FROM said WHERE action IN ('SNAPSHOT', 'EMPTY') AND former_personnummer IS NOT NULL)
  GROUP BY partner, number, benefit),
words AS (
  SELECT *, row_number() OVER (PARTITION BY partner, personnummer, benefit, fact_id ORDER BY sequence DESC, record_no DESC) AS place
  FROM said WHERE action IN ('SNAPSHOT', 'NEW', 'CORRECTED', 'ANNULLED'))
SELECT w.* FROM words w
LEFT JOIN emptied e ON e.partner = w.partner AND e.number = w.personnummer AND e.benefit = w.benefit
WHERE place = 1 AND action <> 'ANNULLED' AND (emptied IS NULL OR emptied <= sequence)
"""
# R36: a rejected record freezes while no valid one of its fact is held with an equal version, or a higher one after a conflict.
FROZEN = """
SELECT DISTINCT q.person, q.drop_benefit AS benefit FROM rejected q
LEFT ANTI JOIN held h ON h.person = q.person AND h.benefit = q.drop_benefit AND h.fact_id = q.fact_id
  AND h.version >= q.version + CASE WHEN q.code = 'VERSION_CONFLICT' THEN 1 ELSE 0 END
WHERE q.code <> 'INVALID_PERSONNUMMER'
"""
# Every active group of a benefit that is not withheld tonight, and how it is to be told of (R23, R24, R37).
GROUPS = """
WITH before AS (
  SELECT partner, person, benefit, max(sequence) AS told,
    max(CASE WHEN action = 'DEVIATION' THEN sequence END) AS deviated,
    max(CASE WHEN action IN ('SNAPSHOT', 'EMPTY') THEN sequence END) AS whole
  FROM records WHERE sequence < last GROUP BY partner, person, benefit),
tonight AS (
  SELECT partner, person, benefit, max(action IN ('SNAPSHOT', 'EMPTY')) AS snapshot FROM records WHERE sequence = last
  GROUP BY partner, person, benefit)
SELECT a.*, f.person IS NOT NULL AS frozen, coalesce(deviated > coalesce(whole, 0), false) AS said_so,
  coalesce(t.snapshot, false) OR b.told IS NULL AS snapshot
FROM active a
LEFT ANTI JOIN withheld w ON w.partner = a.partner AND w.benefit = a.benefit
LEFT JOIN frozen f ON f.person = a.person AND f.benefit = a.benefit
LEFT JOIN before b ON b.partner = a.partner AND b.person = a.person AND b.benefit = a.benefit
LEFT JOIN tonight t ON t.partner = a.partner AND t.person = a.person AND t.benefit = a.benefit
"""
VISIBLE = """
SELECT g.partner, g.snapshot, c.* FROM groups g JOIN contents c ON c.person = g.person AND c.benefit = g.benefit
WHERE NOT g.frozen AND (c.period_to IS NULL OR c.period_to >= g.from_date)
"""
DUE = """
SELECT partner, benefit, 'DEVIATION' AS action, count(*) AS due FROM groups WHERE frozen AND NOT said_so GROUP BY ALL
UNION ALL
SELECT partner, benefit, 'SNAPSHOT', count(*) FROM visible WHERE snapshot GROUP BY ALL
UNION ALL
SELECT partner, benefit, 'EMPTY', count(*) FROM (
  SELECT g.partner, g.benefit FROM groups g LEFT ANTI JOIN visible v ON v.partner = g.partner AND v.person = g.person AND v.benefit = g.benefit
  WHERE g.snapshot AND NOT g.frozen
  UNION ALL
  SELECT r.partner, r.benefit FROM records r JOIN numbers n ON n.person = r.person
  WHERE r.sequence = r.last AND r.action = 'EMPTY' AND r.personnummer <> n.personnummer) GROUP BY ALL
UNION ALL
SELECT partner, benefit, action, count(*) FROM (
  SELECT coalesce(v.partner, t.partner) AS partner, coalesce(v.benefit, t.benefit) AS benefit,
    CASE WHEN t.partner IS NULL THEN 'NEW' WHEN v.partner IS NULL THEN 'ANNULLED' WHEN v.content <=> t.content THEN 'SAME' ELSE 'CORRECTED' END AS action
  FROM (SELECT * FROM visible WHERE NOT snapshot) v
  FULL JOIN (
    SELECT p.* FROM picture_before p JOIN groups g ON g.partner = p.partner AND g.person = p.person AND g.benefit = p.benefit
    JOIN numbers n ON n.person = p.person AND n.personnummer = p.personnummer
    WHERE NOT g.snapshot AND NOT g.frozen) t
  ON v.partner = t.partner AND v.person = t.person AND v.benefit = t.benefit AND v.fact_id = t.fact_id) WHERE action <> 'SAME' GROUP BY ALL
"""
COUNTED = """
SELECT partner, benefit, action, coalesce(manifest, 0) AS manifest, coalesce(files, 0) AS files, coalesce(due, 0) AS recounted
FROM (SELECT partner, benefit, action, sum(records) AS manifest FROM stated GROUP BY ALL)
FULL JOIN (SELECT partner, benefit, action, count(*) AS files FROM records WHERE sequence = last GROUP BY ALL) USING (partner, benefit, action)
FULL JOIN (SELECT partner, benefit, action, sum(due) AS due FROM due GROUP BY ALL) USING (partner, benefit, action)
ORDER BY partner, benefit, action
"""
# What a partner has that is not visible, has not that is, or has otherwise.
PICTURES = """
SELECT coalesce(v.partner, p.partner) AS partner, coalesce(v.benefit, p.benefit) AS benefit, count(*) AS facts FROM visible v
FULL JOIN (
  SELECT p.* FROM picture_after p JOIN groups g ON g.partner = p.partner AND g.person = p.person AND g.benefit = p.benefit
    JOIN numbers n ON n.person = p.person AND n.personnummer = p.personnummer WHERE NOT g.frozen) p
ON v.partner = p.partner AND v.person = p.person AND v.benefit = p.benefit AND v.fact_id = p.fact_id
WHERE NOT (v.content <=> p.content) GROUP BY ALL ORDER BY partner, benefit
"""
EARLIER = """
SELECT partner, sequence, benefit, action, coalesce(s.records, 0) AS manifest, coalesce(f.records, 0) AS files
FROM (SELECT t.* FROM every_total t LEFT SEMI JOIN newest n ON n.partner = t.partner) s
FULL JOIN (SELECT partner, sequence, benefit, action, count(*) AS records FROM records GROUP BY ALL) f USING (partner, sequence, benefit, action)
WHERE NOT (s.records <=> f.records) ORDER BY partner, sequence, benefit, action
"""


def recount(spark: SparkSession, workspace: Workspace, catalog: Catalog) -> dict[str, Any]:
    """Count the last night again. Returns the counts that do not agree, and of how many that is."""
    units = read_views(spark, workspace, catalog)
    spark.sql(RECORDS).cache().createOrReplaceTempView("records")
    spark.sql(ACTIVE, args={"day": catalog.business_date}).createOrReplaceTempView("active")
    held = hold(spark.table("facts"))
    held.createOrReplaceTempView("held")
    spark.sql(FROZEN).createOrReplaceTempView("frozen")
    spark.sql(GROUPS).cache().createOrReplaceTempView("groups")
    with_content(compensate(held.drop("arrival"), units), F.col("deviation")).createOrReplaceTempView("contents")
    spark.sql(VISIBLE).cache().createOrReplaceTempView("visible")
    for name, when in {"picture_before": "sequence < last", "picture_after": "true"}.items():
        with_content(spark.sql(PICTURE.format(when=when)), F.col("deviation.code")).cache().createOrReplaceTempView(name)
    spark.sql(DUE).createOrReplaceTempView("due")
    counted = [row.asDict() for row in spark.sql(COUNTED).collect()]
    pictures = [row.asDict() for row in spark.sql(PICTURES).collect()]
    earlier = [row.asDict() for row in spark.sql(EARLIER).collect()]
    return {
        "run": catalog.run,
        "counts": len(counted),
        "records": sum(row["files"] for row in counted),
        "facts": spark.table("visible").count(),
        "differences": [row for row in counted if not row["manifest"] == row["files"] == row["recounted"]],
        "pictures": pictures,
        "earlier": earlier,
    }


def with_content(rows: DataFrame, deviation: Any) -> DataFrame:
    """Rows with R22's content as one value that can be compared."""
    return rows.withColumn("content", F.to_json(F.struct(*CONTENT, deviation.alias("code")), {"ignoreNullFields": "false"}))


def read_views(spark: SparkSession, workspace: Workspace, catalog: Catalog) -> dict[str, str]:
    """Make views of tables, deliveries, manifests and conf. Returns the unit of each benefit."""
    conf = read_conf(workspace.conf)
    read = {name: spark.read.format("delta").load(str(table_folder(workspace, name))) for name in TABLES if exists(workspace, name)}
    read["subscriptions"].createOrReplaceTempView("subscriptions")
    identities = read.get("identities") or spark.createDataFrame([], "number string, person string, night int")
    identities.createOrReplaceTempView("identities")
    spark.sql(
        "SELECT number, person FROM (SELECT *, row_number() OVER (PARTITION BY number ORDER BY night DESC) AS place FROM identities) WHERE place = 1"
    ).createOrReplaceTempView("former")
    given = [command for command in commands.read(workspace) if command.number <= catalog.commands]
    taken = sorted((row["night"], row["commands"]) for row in read["runs"].collect())
    night_of = {c.number: next(night for night, last in taken if last >= c.number) for c in given}
    retracted = [(c.arguments["source_run"], arrival_of(night_of[c.number], 0)) for c in given if c.name == "retract"]
    released = [c.arguments["arrival"] for c in given if c.name == "release"]
    spark.createDataFrame(retracted, "source_run string, before long").createOrReplaceTempView("retracted")
    of_now(spark, read["facts"]).drop(*UNUSED).createOrReplaceTempView("facts")
    if "quarantine" in read:
        of_now(spark, read["quarantine"]).where(~F.col("arrival").isin(released)).createOrReplaceTempView("rejected")
    else:
        columns = "person string, drop_benefit string, fact_id string, version int, code string"
        spark.createDataFrame([], columns).createOrReplaceTempView("rejected")
    renamed = F.when(F.col("former_personnummer").isNotNull(), F.col("recorded_at"))
    newest = F.coalesce(F.max_by(F.when(renamed.isNotNull(), F.col("personnummer")), renamed), F.max_by("personnummer", "recorded_at"))
    of_now(spark, read["persons"], by_run=False).groupBy("person").agg(newest.alias("personnummer")).createOrReplaceTempView("numbers")
    permitted = [
        (name, permission.purpose, benefit)
        for name, partner in conf.partners.items()
        for permission in partner.permissions
        for benefit in permission.benefits
    ]
    spark.createDataFrame(sorted(set(permitted)), "partner string, purpose string, benefit string").createOrReplaceTempView("permitted")
    read_deliveries(spark, workspace, catalog)
    return {code: benefit.unit for code, benefit in conf.benefits.items()}


def exists(workspace: Workspace, name: str) -> bool:
    """Whether a table was ever written to."""
    return (table_folder(workspace, name) / "_delta_log").exists()


def of_now(spark: SparkSession, rows: DataFrame, *, by_run: bool = True) -> DataFrame:
    """Rows under the key that their person has now, each arrival once, without those that were retracted (R11, R44)."""
    former = spark.table("former").select(F.col("number").alias("person"), F.col("person").alias("person_now"))
    mapped = rows.join(former, "person", "left").withColumn("person", F.coalesce("person_now", "person")).drop("person_now")
    once = mapped.dropDuplicates(["arrival"])
    gone = spark.table("retracted")
    return once.join(gone, (once["source_run"] == gone["source_run"]) & (once["arrival"] < gone["before"]), "left_anti") if by_run else once


def read_deliveries(spark: SparkSession, workspace: Workspace, catalog: Catalog) -> None:
    """Make views of the deliveries' records, totals and what the last ones withheld."""
    manifests = [json.loads(path.read_text("utf-8")) for path in sorted(workspace.outbox.glob("*/*/manifest.json"))]
    last = [each for each in manifests if catalog.deliveries[each["partner"]].sequence == each["sequence"]]
    newest = [(each["partner"], each["sequence"]) for each in last if each["run"] == catalog.run]
    spark.createDataFrame(newest, "partner string, last int").createOrReplaceTempView("newest")
    totals = [
        (each["partner"], each["sequence"], benefit, action, number)
        for each in manifests
        for benefit, actions in each["totals"].items()
        for action, number in actions.items()
    ]
    spark.createDataFrame(totals, "partner string, sequence int, benefit string, action string, records long").createOrReplaceTempView(
        "every_total"
    )
    spark.sql("SELECT t.* FROM every_total t JOIN newest n ON n.partner = t.partner AND n.last = t.sequence").createOrReplaceTempView(
        "stated"
    )
    held_back = [(each["partner"], entry["benefit"]) for each in last for entry in each["withheld"]]
    spark.createDataFrame(held_back, "partner string, benefit string").createOrReplaceTempView("withheld")
    parts = [str(path) for path in sorted(workspace.outbox.glob("*/*/part-*.avro"))]
    if not parts:
        raise RefusedError(f"{workspace.root}: nothing was ever delivered: there is nothing to count again")
    path = (
        F.regexp_extract(F.col("_metadata.file_path"), r"/([^/]+)/(\d{8})/[^/]+$", 1),
        F.regexp_extract(F.col("_metadata.file_path"), r"/([^/]+)/(\d{8})/[^/]+$", 2),
    )
    records = spark.read.format("avro").load(parts)
    records.select("*", path[0].alias("partner"), path[1].cast("int").alias("sequence")).createOrReplaceTempView("delivered")


def job(workspace: Workspace, given: argparse.Namespace) -> tuple[Mapping[str, Any], int]:
    """Count again, while no other command writes."""
    with only_writer(workspace):
        catalog = workspace.catalog()
        require_agreement(workspace, catalog)
        if unfinished(workspace) or not catalog.night:
            raise RefusedError(f"{workspace.root}: a run is not finished, or there was none: give `lefi nightly` first")
        found = recount(start("recount", given.master), workspace, catalog)
    return found, 4 if found["differences"] or found["pictures"] or found["earlier"] else 0


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    run(job, parser(__doc__ or "").parse_args(argv))


if __name__ == "__main__":
    main()
