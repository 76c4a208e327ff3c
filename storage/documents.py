"""How a file of ours in JSON is read: it has what we wrote into it, or it is damaged. Without Polars or Delta, as `lefi status` wants."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

from schemas.errors import LefiError
from storage.workspace import Workspace

Shape = Mapping[str, type | UnionType]  # what a document has, whichever version wrote it
OF_COMMAND: Shape = {"number": int, "name": str, "arguments": dict, "rows": dict | None}


def document(workspace: Workspace, path: Path, shape: Shape, what_helps: str = "restore it from a backup") -> dict[str, Any]:
    """What we wrote into a file. LefiError, which names it and says what helps, when it is damaged."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError:  # of JSON, or of UTF-8
        value = None
    if isinstance(value, dict) and all(name in value and isinstance(value[name], kind) for name, kind in shape.items()):
        return value
    raise LefiError(f"{path.relative_to(workspace.root)} is damaged: {what_helps}")
