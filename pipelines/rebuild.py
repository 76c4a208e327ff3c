"""Make the state anew where it was lost: from the commit files, from table files that still lie there, from the outbox, and from drops."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.past_night import ORDER, PastNight, UnreachableError
from pipelines.rebucket import as_doubled, renumber
from pipelines.run import REPLACED
from pipelines.upgrade import upgrade
from schemas import versions
from schemas.errors import LefiError, RefusedError
from schemas.frames import TABLES
from storage import commands, durable, erasures, folds, outbox, pace, tables
from storage.agreement import require_complete, require_finished, table_folder
from storage.failpoints import reach
from storage.lock import held
from storage.pace import Amount
from storage.runs import commit_of, settled, unfinished
from storage.tables import TableFile
from storage.workspace import FORMAT, Catalog, Workspace

Say = Callable[[str], None]
REBUILD = "rebuild"  # the folder under staging in which it is noted how far it is


def rebuild(workspace: Workspace, say: Say) -> Mapping[str, Any]:
    """Bring catalog and tables to the last settled run. Returns, by table, how many nights were found and how many were made anew.

    RefusedError when something that is needed is not there, and when nothing is lost and a committed run is unfinished; what was rebuilt until
    then stays, and the same command goes on from there.
    """
    if not (settled(workspace) or unfinished(workspace)):
        workspace.catalog()
    workspace.store.mkdir(exist_ok=True)
    with held(workspace):
        require_complete(workspace)
        documents = [commit_of(workspace, run) for run in settled(workspace)]
        last = last_settled(workspace, documents)
        found_catalog = readable_catalog(workspace)
        catalog = found_catalog or last
        require_history(workspace, documents, catalog, last)
        for name in TABLES:
            forget_torn(table_folder(workspace, name), say)
        lost = found_catalog is None or not found_catalog.says_the_same(last)
        if lost or tables.night_of(table_folder(workspace, "told")) < last.tables.get("told", 0):
            catalog = mark(workspace, catalog)
        found: Counter[str] = Counter()
        made: Counter[str] = Counter()
        notes: list[str] = []
        behind = sum(len(names_behind(workspace, document)) for document in documents)
        if not (behind or lost):
            require_finished(workspace)
        pace.expect(workspace.staging / REBUILD, {"rebuild": behind})
        for document in documents:
            rebuild_night(workspace, document, last.night, found, made, notes, say)
        if lost:  # also by that of a run which is committed and not finished: its `lefi nightly` completes it, from where `last` is
            catalog = catalog.followed_by(last)
            workspace.write_catalog(catalog)
        if not unfinished(workspace):
            if catalog.doublings:
                renumber(workspace, catalog, say)
            upgrade(workspace, catalog, say)
        notes += brought_back(workspace, made)
        amount = pace.total(workspace.staging / REBUILD)
        durable.remove(workspace.staging / REBUILD)
        return {
            "night": last.night,
            "business_date": str(last.business_date) if last.business_date else None,
            "run": last.run,
            "catalog": lost,
            "tables": {name: {"found": found[name], "rebuilt": made[name]} for name in ORDER if found[name] or made[name]},
            "notes": notes,
            "amount": amount,
        }


def last_settled(workspace: Workspace, documents: Sequence[Mapping[str, Any]]) -> Catalog:
    """The catalog after the last of some settled runs, or as it was before the first run of all."""
    if documents:
        return as_doubled(workspace, Catalog.from_json(documents[-1]["catalog"]))
    begun = unfinished(workspace)
    if not begun:
        return workspace.catalog()
    committed = Catalog.from_json(commit_of(workspace, begun[0])["catalog"])
    return replace(committed, night=0, run="", business_date=None, deliveries={}, commands=0, tables={})


def readable_catalog(workspace: Workspace) -> Catalog | None:
    """The catalog; None when it is lost or damaged. RefusedError when a newer lefi wrote it."""
    try:
        return workspace.catalog()
    except RefusedError:
        raise
    except LefiError:
        return None


def mark(workspace: Workspace, catalog: Catalog) -> Catalog:
    """Write the catalog, and in it that the ledger may be of several content versions, once there are several: files that are taken in again
    are of those under which they were written."""
    if versions.CONTENT_VERSION > 1:
        catalog = replace(catalog, format=FORMAT, content_version=versions.CONTENT_VERSION, recoding=True)
    workspace.write_catalog(catalog)
    return catalog


def brought_back(workspace: Workspace, made: Counter[str]) -> list[str]:
    """What to do when rows were made anew of which some had been erased: what erased them is known, whom it was about is not."""
    known = erasures.read(workspace)
    again = sorted({name for each in known for name in each["rows"] if made[name]})
    persons = [each for each in known if each["persons"] and set(again) & set(each["rows"])]
    if not again:
        return []
    told = f"{', '.join(again)} had been thinned by `lefi erase` and may have rows again that were erased: give it again"
    nights = ", ".join(each["business_date"] for each in persons)
    whom = f", and `lefi erase --person`, with all numbers of each, for whom it was asked for after the nights of {nights}"
    return [told + (whom if persons else "")]


def require_history(workspace: Workspace, documents: Sequence[Mapping[str, Any]], catalog: Catalog, last: Catalog) -> None:
    """The commit files must reach from the first night to the newest delivery and command. RefusedError names what does not."""
    nights = [document["night"] for document in documents]
    absent = sorted(set(range(1, max([*nights, catalog.night if not unfinished(workspace) else 0], default=0) + 1)) - set(nights))
    if absent:
        raise RefusedError(f"runs/ has no settled run of night {absent[0]}: restore runs/ from a backup, then give this command again")
    for folder in sorted(workspace.outbox.iterdir()) if workspace.outbox.exists() and not unfinished(workspace) else ():
        known = last.deliveries[folder.name].sequence if folder.name in last.deliveries else 0
        if (folder / outbox.folder_name(known + 1)).exists():
            raise RefusedError(
                f"outbox/{folder.name} has delivery {known + 1}, the runs know {known}: restore runs/ from a backup, then give this command again"
            )
    for name in TABLES:
        night = tables.state_of(table_folder(workspace, name)).night
        if night > last.tables.get(name, 0) and not unfinished(workspace):
            raise RefusedError(
                f"{table_folder(workspace, name).relative_to(workspace.root)} is of night {night}, the runs know {last.tables.get(name, 0)}: "
                "restore runs/ and outbox/ from a backup that has that night, or the whole workspace from an older one, then give this command again"
            )
    commands.require_kept(workspace, max((row["commands"] for document in documents for row in document["rows"]["runs"]), default=0))


def forget_torn(folder: Path, say: Say) -> None:
    """Drop the log of a table that names files that are gone: what is left of them is taken in again, night by night."""
    gone = tables.state_of(folder).gone
    if gone:
        say(f"{folder.name}: {len(gone)} of its files are gone or damaged: its log is made anew")
        durable.remove(folder / tables.LOG)


def names_behind(workspace: Workspace, document: Mapping[str, Any]) -> list[str]:
    """The tables that are behind a night which wrote to them, in the order in which they can be made anew."""
    written = {*document["tables"], *REPLACED}
    return [name for name in ORDER if name in written and tables.night_of(table_folder(workspace, name)) < document["night"]]


def rebuild_night(
    workspace: Workspace, document: Mapping[str, Any], newest: int, found: Counter[str], made: Counter[str], notes: list[str], say: Say
) -> None:
    """Bring the tables that are behind a night to it: take in what lies there, folds as a whole, and make the rest anew. newest: the last night."""
    night = document["night"]
    lost = []

    def count(name: str, files: Iterable[TableFile]) -> None:
        amount = sum((file.amount for file in files), Amount())
        piece = f"{night:06d}{ORDER.index(name):02d}"
        pace.note(workspace.staging / REBUILD, "rebuild", piece, Amount(1, amount.rows, amount.bytes))

    for name in names_behind(workspace, document):
        staged = [TableFile(**file | {"path": str(workspace.root / file["path"])}) for file in document["tables"].get(name, ())]
        fold = folds.whole_from(table_folder(workspace, name), night)
        reach(f"rebuild.{name}")
        if fold and fold.last <= newest:
            count(name, fold.files)
            folds.take_in(table_folder(workspace, name), fold, TABLES[name], replace=name in REPLACED)
            found[name] += 1
        elif tables.lie_there(table_folder(workspace, name), staged, night):
            count(name, staged)
            tables.append(table_folder(workspace, name), staged, TABLES[name], night, replace=name in REPLACED)
            found[name] += 1
        else:
            lost.append(name)
    if not lost:
        return
    say(f"night {night} ({document['business_date']}): {', '.join(lost)}")
    past = PastNight(workspace, document, night == newest, notes)
    try:
        for name in lost:
            files = past.rows_of(name)
            count(name, files)
            reach(f"rebuild.made.{name}")
            tables.append(table_folder(workspace, name), files, TABLES[name], night, replace=name in REPLACED)
            made[name] += 1
    except UnreachableError as error:
        rest = ", ".join(lost[lost.index(name) :])
        raise RefusedError(
            f"night {night} ({document['business_date']}): {name} cannot be rebuilt: {error}; still of an older night: {rest}"
        ) from error
    finally:
        durable.remove(past.staging)
