"""Bring a workspace that an older lefi wrote to the format of this one.

Marked first, done then: from the mark on an older lefi refuses the workspace, and whatever is killed is done by the next command that upgrades.
A new encoding of digests recodes the ledger from the delivered files: what partners were told stays what it was, right or wrong (DESIGN 3).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

from pipelines.delivered import DELIVERED, published, stage_delivered
from schemas import frames, versions
from schemas.buckets import FIRST_RECORD_NO
from schemas.errors import RefusedError
from storage import durable, folds, tables
from storage.agreement import table_folder
from storage.failpoints import reach
from storage.tables import TableFile
from storage.workspace import FORMAT, Catalog, Workspace

Say = Callable[[str], None]
RECODING = "_recoding"  # below the ledger's folder, where Delta looks past what begins with an underscore
PLACE = ("partner", "sequence", "record_no")


def upgrade(workspace: Workspace, catalog: Catalog, say: Say) -> Catalog:
    """Do what an older workspace lacks; returns its catalog as it is then. The caller holds it, and no run is unfinished.

    Killed anywhere, it is done by the same call again.
    """
    if catalog.up_to_date:
        return catalog
    if catalog.format < FORMAT:
        say(f"the workspace has format {catalog.format}; it is brought to {FORMAT}, and older versions of lefi refuse it from now on")
    behind = not is_recoded(catalog)
    catalog = replace(catalog, format=FORMAT, content_version=versions.CONTENT_VERSION, recoding=behind)
    workspace.write_catalog(catalog)
    reach("upgrade.marked")
    if behind:
        say(f"the ledger's digests are brought to content version {versions.CONTENT_VERSION}, from the delivered files")
        lost = recode(workspace, catalog)
        if lost:
            say(f"{lost:,} records that the ledger names lie in the outbox no more: where one is compared again, it is told as CORRECTED")
        reach("upgrade.recoded")
        catalog = replace(catalog, recoding=False)
        workspace.write_catalog(catalog)
    return catalog


def recode(workspace: Workspace, catalog: Catalog) -> int:
    """Put the ledger with digests of this code in the place of the one there is, in one commit. Returns how many rows could not be recoded."""
    folder = table_folder(workspace, "told")
    joined = folds.units(tables.files(folder))
    if not joined:
        return 0
    staged, lost = recoded(workspace, catalog, folder / RECODING)
    folds.commit(folder, joined, staged, frames.TOLD, catalog.night)
    durable.remove(folder / RECODING)
    return lost


def as_after_upgrade(workspace: Workspace, catalog: Catalog) -> dict[str, tuple[TableFile, ...]]:
    """The tables that an upgrade would change, as it would leave them, written under staging: for what only looks and must not upgrade."""
    if is_recoded(catalog):
        return {}
    return {"told": tuple(recoded(workspace, catalog, workspace.staging / "recoded")[0])}


def require_recoded(catalog: Catalog) -> None:
    """Refuse to look at a ledger whose digests are not this code's. RefusedError says what brings it there."""
    if not is_recoded(catalog):
        raise RefusedError(
            f"the workspace was written by an older lefi, and its ledger has another content version than {versions.CONTENT_VERSION}: "
            "the next `lefi nightly`, or `lefi reconcile`, brings it there"
        )


def is_recoded(catalog: Catalog) -> bool:
    """Whether all digests of the ledger are this code's."""
    return catalog.content_version == versions.CONTENT_VERSION and not catalog.recoding


def recoded(workspace: Workspace, catalog: Catalog, into: Path) -> tuple[list[TableFile], int]:
    """The ledger with digests of this code, written to a folder, and how many rows keep what they have since their delivery is gone."""
    folder = table_folder(workspace, "told")
    joined = folds.units(tables.files(folder))
    durable.remove(into)
    if not joined:
        return [], 0
    delivered = [file for part in published(workspace) for file in stage_delivered(part, into / "delivered")]
    lost: list[int] = []

    def with_new_digests(rows: pl.DataFrame) -> pl.DataFrame:
        frame, missing = recode_rows(rows, delivered)
        lost.append(missing)
        return frame

    files = folds.write(into, folder.name, joined, frames.TOLD, catalog.buckets, folds.next_edition(folder), with_new_digests)
    return files, sum(lost)


def recode_rows(rows: pl.DataFrame, delivered: list[TableFile]) -> tuple[pl.DataFrame, int]:
    """Rows of the ledger with the digests of the records that they name; and how many of these are not there. An annulled fact has none."""
    places = (rows["record_no"] // FIRST_RECORD_NO).unique()
    found = [tables.read(delivered, DELIVERED, (place, place)) for place in places]
    said = pl.concat([pl.DataFrame(schema=DELIVERED), *found]).drop("bucket")
    known = rows.join(said, on=PLACE, how="left", maintain_order="left")
    told = pl.col("digest").is_not_null()
    missing = known.filter(told, pl.col("delivered").is_null()).height
    digest = pl.when(told).then(pl.coalesce("delivered", "digest")).alias("digest")
    return known.with_columns(digest).select(rows.columns), missing
