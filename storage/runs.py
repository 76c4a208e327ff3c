"""What a run leaves in runs/: a commit file once it is committed, a report once it is settled; and how a file that we wrote as JSON is read.

Without Polars or Delta, as `lefi status` wants.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

from schemas.errors import LefiError
from storage.workspace import Workspace

COMMIT, REPORT = "commit.json", "report.json"
Shape = Mapping[str, type | UnionType]  # what a document has, whichever version wrote it
OF_REPORT: Shape = {
    "run": str,
    "night": int,
    "business_date": str,
    "deliveries": dict,
    "withheld": list,
    "drops": list,
    "rejected": dict,
}
OF_COMMIT: Shape = {**OF_REPORT, "tables": dict, "rows": dict, "conf": dict, "catalog": dict}
OF_COMMAND: Shape = {"number": int, "name": str, "arguments": dict, "rows": dict | None}


def settled(workspace: Workspace) -> list[str]:
    """Runs that are committed and settled, in order."""
    return sorted(path.parent.name for path in workspace.runs.glob(f"*/{REPORT}") if (path.parent / COMMIT).exists())


def unfinished(workspace: Workspace) -> list[str]:
    """Runs that are committed and not settled, in order."""
    committed = sorted(workspace.runs.glob(f"*/{COMMIT}"))
    return [path.parent.name for path in committed if not (path.parent / REPORT).exists()]


def commit_of(workspace: Workspace, run: str) -> dict[str, Any]:
    """What a run has committed. LefiError when the file is damaged."""
    return document(workspace, workspace.runs / run / COMMIT, OF_COMMIT)


def report_of(workspace: Workspace, run: str) -> dict[str, Any]:
    """The report of a settled run. LefiError when the file is damaged."""
    return document(workspace, workspace.runs / run / REPORT, OF_REPORT)


def document(workspace: Workspace, path: Path, shape: Shape, what_helps: str = "restore it from a backup") -> dict[str, Any]:
    """What we wrote into a file. LefiError, which names it and says what helps, when it is damaged."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError:  # of JSON, or of UTF-8
        value = None
    if isinstance(value, dict) and all(name in value and isinstance(value[name], kind) for name, kind in shape.items()):
        return value
    raise LefiError(f"{path.relative_to(workspace.root)} is damaged: {what_helps}")
