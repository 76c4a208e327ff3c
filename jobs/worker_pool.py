"""Beam's pool of Python workers: an engine's worker asks it for a process that runs our steps, which need not know Docker."""

import os
import sys
from pathlib import Path

from jobs.local_engine import Part, answers
from schemas.config import Cluster

MODULE = "pipelines.worker_pool"


def worker_pool(conf: Cluster) -> Part:
    """The pool. It starts `python` from the PATH, so this environment's comes first there."""
    port = conf.workers.rpartition(":")[2]
    return Part(
        "worker-pool",
        [sys.executable, "-m", MODULE, port],
        lambda: answers(conf.workers),
        {"Python's workers": conf.workers},
        {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
    )
