"""Bring tables back to what they were after a run, by Delta's time travel.

python -m jobs.spark.restore WORKSPACE --run RUN [--table NAME]... [--master URL]

To the last settled run: what another writer did to a table since is undone, and the nights go on. To an earlier one: the workspace does not agree
then, and every command says so until `lefi rebuild` has brought the tables to the last run again, from the files that lie there.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from jobs.spark.command import parser, run, say
from jobs.spark.session import start
from schemas.errors import RefusedError
from schemas.frames import TABLES
from storage import folds, tables, thin
from storage.agreement import require_complete, require_finished, table_folder
from storage.lock import only_writer
from storage.runs import commit_of, settled
from storage.workspace import Workspace

OURS = frozenset({tables.APPLICATION, tables.DOUBLINGS, folds.APPLICATION, thin.APPLICATION})


def version_after(folder: Path, night: int) -> int:
    """The newest version of a table that holds what the nights up to `night` wrote, and nothing that another writer did since.

    0 stands for an empty table. RefusedError when the log does not reach back so far, or the table's buckets were doubled since.
    """
    commits = sorted(path for path in (folder / tables.LOG).glob("*.json") if path.stem.isdigit())
    found, later = None, False
    for path in commits:
        actions = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
        done = {action["txn"]["appId"]: action["txn"]["version"] for action in actions if "txn" in action}
        if done.get(tables.APPLICATION, 0) > night:
            later = True
        if later and tables.DOUBLINGS in done:
            raise RefusedError(f"{folder.name}: its buckets were doubled after night {night}: it cannot be restored to it")
        if later:
            continue
        created = any("metaData" in action for action in actions) and int(path.stem) == 0
        if created or OURS & set(done):
            found = int(path.stem)
    if found is None:
        raise RefusedError(f"{folder.name}: its log does not reach back to night {night}: give `lefi rebuild`")
    return found


def restore(spark: SparkSession, workspace: Workspace, name: str, night: int) -> dict[str, int]:
    """Restore one table. RefusedError when its old files are gone. Returns its version before, and which one it was made."""
    folder = table_folder(workspace, name)
    version, before = version_after(folder, night), spark.sql(f"DESCRIBE HISTORY delta.`{folder}` LIMIT 1").collect()[0]["version"]
    if version == before:
        return {"version": before, "restored": version}
    absent = missing_files(folder, version)
    if absent:
        raise RefusedError(
            f"{name}: {absent} files of version {version} were folded, erased or vacuumed since: it cannot be restored to night {night}; "
            f"what it holds now is whole, so give `lefi rebuild {workspace.root}` if a command refuses it"
        )
    spark.sql(f"RESTORE TABLE delta.`{folder}` TO VERSION AS OF {version}").collect()
    tables.sync_log(folder, before)
    return {"version": before, "restored": version}


def missing_files(folder: Path, version: int) -> int:
    """How many files of a version do not lie there any more."""
    from deltalake import DeltaTable

    paths = DeltaTable(str(folder), version=version).get_add_actions(flatten=True)["path"].to_pylist()
    return sum(not (folder / path).exists() for path in paths)


def job(workspace: Workspace, given: argparse.Namespace) -> tuple[Mapping[str, Any], int]:
    """Restore the tables that are named, or all, under the lock."""
    done: dict[str, dict[str, int]] = {}
    with only_writer(workspace):
        if given.run not in settled(workspace):
            raise RefusedError(f"--run {given.run}: no settled run of that name is in runs/")
        require_complete(workspace)
        require_finished(workspace)
        spark = start("restore", given.master)
        after = commit_of(workspace, given.run)["catalog"]["tables"]
        for name in given.table or TABLES:
            folder = table_folder(workspace, name)
            if (folder / tables.LOG).exists():
                done[name] = restore(spark, workspace, name, after.get(name, 0))
                say(f"{name}: version {done[name]['version']} is as version {done[name]['restored']} was")
        last = settled(workspace)[-1]
    if given.run != last:
        say(f"the tables are of run {given.run}, the workspace is of {last}: give `lefi rebuild {workspace.root}` before the next command")
    return {"run": given.run, "last_run": last, "tables": done}, 0


def main(argv: Sequence[str] | None = None) -> None:
    """Run the job."""
    made = parser(__doc__ or "")
    made.add_argument("--run", required=True, help="a settled run, by its name in runs/")
    made.add_argument("--table", action="append", choices=list(TABLES), help="only this table; may be given several times")
    run(job, made.parse_args(argv))


if __name__ == "__main__":
    main()
