"""How the Spark jobs are started: arguments, summaries, exit codes as `lefi` has them."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from schemas.errors import LefiError, UsageError
from storage.workspace import Workspace

Job = Callable[[Workspace, argparse.Namespace], tuple[Mapping[str, Any], int]]


def parser(about: str) -> argparse.ArgumentParser:
    """The arguments that every job has."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("workspace", type=Path)
    made.add_argument("--master", help="a Spark master's URL; default: what spark-submit says, else this machine")
    return made


def run(job: Job, given: argparse.Namespace) -> None:
    """Do a job, print its summary as JSON, and end with its code; an error's text goes to stderr."""
    try:
        if not given.workspace.is_dir():
            raise UsageError(f"{given.workspace} is no folder: the Spark jobs work on a workspace on a file system")
        summary, code = job(Workspace(given.workspace.resolve()), given)
    except LefiError as error:
        print(f"lefi: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(json.dumps(summary, ensure_ascii=False, default=str))
    sys.exit(code)


def say(text: str) -> None:
    """Tell how far a job is."""
    print(text, file=sys.stderr)
