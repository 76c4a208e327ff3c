"""What a run leaves in runs/: a commit file once it is committed, a report once it is settled. Read without Polars or Delta, as `lefi status` wants."""

from typing import Any

from storage.documents import Shape, document
from storage.workspace import Workspace

COMMIT, REPORT = "commit.json", "report.json"
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
