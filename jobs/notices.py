"""`lefi status --html DIR`: the public notices, made anew from the runs."""

from pathlib import Path

from pages.notices import notices
from storage import durable
from storage.runs import commit_of, report_of, settled
from storage.workspace import Workspace


def write_notices(root: Path, folder: Path) -> list[str]:
    """Write the site into a folder; pages that nothing is said on any more are left. Returns the names of the files."""
    workspace = Workspace(root)
    runs = settled(workspace)
    conf = commit_of(workspace, runs[-1])["conf"] if runs else {"benefits": {}, "partners": {}, "closures": []}
    site = notices([report_of(workspace, run) for run in runs], conf)
    for name, content in site.items():
        durable.write_file(folder / name, content.encode())
    return list(site)
