"""What runs just now on a workspace: a small file that is there as long as its command, for `lefi status`. Nothing depends on it."""

import json
import os
from pathlib import Path
from typing import Any

STARTED = 21  # place of the start time in /proc/PID/stat, counted from the first; its second, the name, may hold blanks


def file_of(root: Path) -> Path:
    """Where it lies in a workspace."""
    return root / "store" / "running.json"


def now_running(command: str) -> dict[str, Any]:
    """How a command of this process is named in it."""
    return {"command": command, "pid": os.getpid(), "started": started(os.getpid())}


def running(root: Path) -> dict[str, Any] | None:
    """What runs, without pid and start; None when nothing does that takes longer than a moment, or it was killed."""
    try:
        found: dict[str, Any] = json.loads(file_of(root).read_text("utf-8"))
        if found.pop("started") != started(found.pop("pid")):
            return None
    except (OSError, ValueError, KeyError):
        return None
    return found


def started(pid: int) -> str:
    """When a process began, by the kernel's clock; so that another one with its number is not taken for it. OSError when there is none."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[STARTED - 2]
