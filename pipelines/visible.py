"""What every partner is entitled to know now, computed from the facts alone: what its picture must equal (R50)."""

from dataclasses import dataclass

import polars as pl

from pipelines.bites import split_buckets
from pipelines.plan import settled_plan
from pipelines.reconcile import settled_groups
from pipelines.view import Clock, nothing_staged, view
from schemas.frames import SUBSCRIPTIONS
from storage.conf import read_conf
from storage.workspace import Workspace
from transforms.compare import RECORDS
from transforms.digest import CONTENT

GROUP = ("personnummer", "benefit")
FACT = (*GROUP, "fact_id")
SHOWN = (*FACT, *(name for name in CONTENT if name != "deviation"))


@dataclass(frozen=True)
class Visible:
    """What one partner may know. groups: its active (personnummer, benefit); facts: theirs with their content (R21, R22), sorted by FACT."""

    groups: pl.DataFrame
    facts: pl.DataFrame

    def equals(self, picture: pl.DataFrame) -> bool:
        """Whether a receiver's picture is the same for the active groups; what it keeps of ended ones is its own affair."""
        mine = picture.join(self.groups, on=GROUP, how="semi").select(SHOWN).sort(FACT)
        return mine.equals(self.facts)


def visible(workspace: Workspace) -> dict[str, Visible]:
    """What each partner may know, of benefits that are current and groups that are not frozen: what a snapshot of everything would say."""
    plan = settled_plan(workspace, workspace.catalog(), read_conf(workspace.conf))
    nothing_told = {"initial_due": pl.lit(True), "numbers": pl.lit([], SUBSCRIPTIONS["numbers"]), "in_slice": pl.lit(False)}
    found = [pl.DataFrame(schema=RECORDS)]
    for bite in split_buckets(plan.buckets, sum(file.rows for file in plan.files["facts"])):
        groups = settled_groups(bite, plan).with_columns(**nothing_told)
        found.append(view(bite, plan, groups, nothing_staged, Clock()).compared.records)
    records = pl.concat(found).filter(pl.col("action").cast(pl.String()).is_in(["SNAPSHOT", "EMPTY"]))
    return {name: visible_of(records.filter(pl.col("partner") == name)) for name in plan.conf.partners}


def visible_of(records: pl.DataFrame) -> Visible:
    """One partner's groups and facts."""
    return Visible(records.select(GROUP).unique(), records.filter(pl.col("fact_id").is_not_null()).select(SHOWN).sort(FACT))
