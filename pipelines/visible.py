"""What every partner is entitled to know now, computed from the facts alone: what its picture must equal (R50)."""

import polars as pl

from pipelines.plan import settled_plan
from pipelines.reconcile import settled_groups
from pipelines.take import split_buckets
from pipelines.view import Clock, nothing_staged, view
from schemas.contracts import DELIVERY_RECORD
from schemas.frames import SUBSCRIPTIONS
from storage.conf import read_conf
from storage.workspace import Workspace

KEY = ["personnummer", "benefit", "fact_id"]
CONTENT = (
    "case_id",
    "kind",
    "period_from",
    "period_to",
    "windows",
    "unit",
    "units",
    "amount",
    "extent_permille",
    "outcome",
    "status",
    "country",
    "refers_to",
)


def visible(workspace: Workspace) -> dict[str, pl.DataFrame]:
    """Partner -> its visible facts with their content (R21, R22), of benefits that are current and groups that are not frozen.

    Sorted by personnummer, benefit and fact_id. It is what a snapshot of everything would say, whatever was told before.
    """
    plan = settled_plan(workspace, workspace.catalog(), read_conf(workspace.conf))
    found = {
        name: [
            pl.DataFrame(
                schema={"personnummer": pl.String(), "benefit": pl.String(), **{n: DELIVERY_RECORD.frame[n] for n in ("fact_id", *CONTENT)}}
            )
        ]
        for name in plan.conf.partners
    }
    for bite in split_buckets(plan.buckets, sum(file.rows for file in plan.files["facts"])):
        groups = settled_groups(bite, plan).with_columns(
            initial_due=pl.lit(True), numbers=pl.lit([], SUBSCRIPTIONS["numbers"]), in_slice=pl.lit(False)
        )
        records = view(bite, plan, groups, nothing_staged, Clock()).compared.records.filter(
            pl.col("action").cast(pl.String()) == "SNAPSHOT"
        )
        for name, frames in found.items():
            frames.append(records.filter(pl.col("partner") == name).select("personnummer", "benefit", "fact_id", *CONTENT))
    return {name: pl.concat(frames).sort(KEY) for name, frames in found.items()}
