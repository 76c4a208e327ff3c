"""`lefi status --html DIR`: the public notices, made anew from the runs."""

import json
from pathlib import Path

from pages.notices import notices
from storage import durable
from storage.workspace import Workspace


def write_notices(root: Path, folder: Path) -> list[str]:
    """Write the site into a folder; pages that nothing is said on any more are left. Returns the names of the files."""
    workspace = Workspace(root)
    runs = sorted(path.parent for path in workspace.runs.glob("*/report.json"))
    reports = [json.loads((run / "report.json").read_text("utf-8")) for run in runs]
    conf = json.loads((runs[-1] / "commit.json").read_text("utf-8"))["conf"] if runs else {"benefits": {}, "partners": {}, "closures": []}
    site = notices(reports, conf)
    for name, content in site.items():
        durable.write_file(folder / name, content.encode())
    return list(site)
