"""What a run leaves in runs/: a commit file once it is committed, a report once it is settled. Read without Polars or Delta, as `lefi status` wants."""

import json
from typing import Any

from schemas.errors import LefiError
from storage.workspace import Workspace

COMMIT, REPORT = "commit.json", "report.json"


def settled(workspace: Workspace) -> list[str]:
    """Runs that are committed and settled, in order."""
    return sorted(path.parent.name for path in workspace.runs.glob(f"*/{REPORT}") if (path.parent / COMMIT).exists())


def unfinished(workspace: Workspace) -> list[str]:
    """Runs that are committed and not settled, in order."""
    committed = sorted(workspace.runs.glob(f"*/{COMMIT}"))
    return [path.parent.name for path in committed if not (path.parent / REPORT).exists()]


def commit_of(workspace: Workspace, run: str) -> dict[str, Any]:
    """What a run has committed. LefiError when the file is damaged."""
    return document(workspace, run, COMMIT)


def report_of(workspace: Workspace, run: str) -> dict[str, Any]:
    """The report of a settled run. LefiError when the file is damaged."""
    return document(workspace, run, REPORT)


def document(workspace: Workspace, run: str, name: str) -> dict[str, Any]:
    """One of the two files. LefiError when it is damaged."""
    try:
        return dict(json.loads((workspace.runs / run / name).read_text("utf-8")))
    except ValueError as error:  # of JSON, or of UTF-8
        raise LefiError(f"runs/{run}/{name} is damaged: restore it from a backup") from error
