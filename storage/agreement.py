"""Whether the parts of a workspace are of one night: after a restore of only some of them they are not, and nothing may be built on them."""

from dataclasses import replace
from pathlib import Path

from schemas.errors import RefusedError
from schemas.frames import IN_STORE, TABLES
from storage import commands, folds, outbox, tables
from storage.runs import COMMIT, commit_of, settled, unfinished
from storage.workspace import Catalog, Workspace


def table_folder(workspace: Workspace, name: str) -> Path:
    """Where a table lies: the large ones in the bucket store, the others in the lake."""
    return (workspace.store if name in IN_STORE else workspace.lake) / name


def require_complete(workspace: Workspace) -> None:
    """Refuse a workspace in which an erasure or a rebucketing was interrupted. RefusedError says what completes it."""
    for what, command in workspace.interrupted():
        raise RefusedError(
            f"{what} was interrupted: give `lefi {command} {workspace.root}` again, which completes it, and then this command"
        )


def require_finished(workspace: Workspace) -> None:
    """Refuse to write while a committed run is unfinished. RefusedError names it."""
    left = unfinished(workspace)
    if left:
        raise RefusedError(f"run {left[0]} is committed and not finished: give its `lefi nightly` again first")


def require_agreement(workspace: Workspace, catalog: Catalog) -> None:
    """Refuse a workspace whose catalog, runs, tables and outbox are not of one night. RefusedError names the first that is not, and what to do.

    What a committed run has still to do is no disagreement. An erasure or a rebucketing that was interrupted is refused too.
    """
    require_complete(workspace)
    commands.require_kept(workspace, catalog.commands)
    under_way = unfinished(workspace)
    disagreement = catalog_and_runs(workspace, catalog, under_way) or catalog_and_outbox(workspace, catalog, under_way)
    for name in TABLES:
        disagreement = disagreement or catalog_and_table(workspace, catalog, name, bool(under_way))
    if disagreement:
        raise RefusedError(f"{disagreement}: the lake was restored or replaced, or the store: give `lefi rebuild {workspace.root}`")


def agreed(workspace: Workspace) -> Catalog:
    """The catalog of a workspace whose parts agree, for who looks without holding it: a night that goes on meanwhile is no disagreement."""
    while True:
        catalog, under_way = workspace.catalog(), unfinished(workspace)
        try:
            require_agreement(workspace, catalog)
        except RefusedError:
            if (workspace.catalog(), unfinished(workspace)) == (catalog, under_way):
                raise
        else:
            return catalog


def catalog_and_runs(workspace: Workspace, catalog: Catalog, under_way: list[str]) -> str | None:
    """Where the catalog is not of the newest run."""
    newest = max(settled(workspace), default="")
    if catalog.run in (newest, *under_way):
        return catalog_and_commit(workspace, catalog) if catalog.run else None
    return f"store/catalog.json is of run {catalog.run or '(none)'}, the newest in runs/ is {newest or '(none)'}"


def catalog_and_commit(workspace: Workspace, catalog: Catalog) -> str | None:
    """Where the catalog says otherwise than its run has committed. What doubles the buckets is no run."""
    committed = Catalog.from_json(commit_of(workspace, catalog.run)["catalog"])
    if catalog.says_the_same(replace(committed, buckets=catalog.buckets, doublings=catalog.doublings)):
        return None
    return f"store/catalog.json says otherwise than runs/{catalog.run}/{COMMIT}"


def catalog_and_outbox(workspace: Workspace, catalog: Catalog, under_way: list[str]) -> str | None:
    """Where the outbox has a delivery that the catalog does not know."""
    for folder in sorted(workspace.outbox.iterdir()) if workspace.outbox.exists() and not under_way else ():
        known = catalog.deliveries[folder.name].sequence if folder.name in catalog.deliveries else 0
        if (folder / outbox.folder_name(known + 1)).exists():
            return f"outbox/{folder.name} has delivery {known + 1}, store/catalog.json knows {known}"
    return None


def catalog_and_table(workspace: Workspace, catalog: Catalog, name: str, under_way: bool) -> str | None:
    """Where a table is not of the night that the catalog says, or files of it are gone, or another writer's."""
    folder = table_folder(workspace, name)
    place, state = folder.relative_to(workspace.root), tables.state_of(folder)
    if state.gone:
        return f"{place}: {len(state.gone)} of its files are not there, damaged, or not ours"
    expected = catalog.tables.get(name, 0)
    if state.night < expected or (state.night > expected and not under_way):
        return f"{place} is of night {state.night}, store/catalog.json of night {expected}"
    return catalog_and_buckets(f"{place}", state, catalog) if "bucket" in TABLES[name] else None


def catalog_and_buckets(place: str, state: tables.State, catalog: Catalog) -> str | None:
    """Where the rows of a table are spread over another number of buckets: all that was there when these were doubled must have been doubled too."""
    first = min((nights[0] for name in state.files if (nights := folds.nights_of(name))), default=catalog.night + 1)
    missed = [night for night in catalog.doublings[state.doublings :] if first <= night]
    if state.doublings > len(catalog.doublings) or missed:
        return f"{place} is not spread over the {catalog.buckets} buckets of store/catalog.json"
    return None
