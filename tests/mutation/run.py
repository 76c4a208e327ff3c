"""`make mutation`: is there a test for every rule? Each rule in transforms/ is made wrong, one place at a time, and its tests must fail.

The mutants are cosmic-ray's (https://cosmic-ray.readthedocs.io), and those of tests/mutation/operators.py. Each module is mutated in a copy of the
tree under build/mutation/, against its own unit tests alone. An interrupted run goes on where it was; a module whose rules or tests have
changed begins anew.

    python -m tests.mutation.run                 all modules, and the table of docs/mutation.md
    python -m tests.mutation.run hold judge      some modules
    python -m tests.mutation.run --report        what is known so far, and each survivor as a diff
"""

import argparse
import ast
import hashlib
import os
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import cosmic_ray.plugins
import hypothesis  # noqa: F401 - loaded once, for all forks
import polars  # noqa: F401
import polars_hash  # noqa: F401
import pyarrow  # noqa: F401
import pydantic  # noqa: F401
import pytest
from cosmic_ray.commands.init import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkResult

from tests.mutation.operators import FrameOperators

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "mutation"
MODULES = sorted(path.stem for path in (ROOT / "transforms").glob("*.py") if path.stem != "__init__")
# Beside tests/transforms/test_<module>.py: tests of what a module does for another one.
ALSO = {"judge_lines": ["take_orders"]}
# Of all operators that cosmic-ray could put in place of another: those that somebody might have meant.
MEANT = {
    "Add": "Sub",
    "Sub": "Add",
    "Mul": "Add",
    "FloorDiv": "Mul",
    "Mod": "FloorDiv",
    "BitOr": "BitAnd",
    "BitAnd": "BitOr",
    "Eq": "NotEq",
    "NotEq": "Eq",
    "Lt": "LtE GtE",
    "LtE": "Lt Gt",
    "Gt": "GtE LtE",
    "GtE": "Gt Lt",
    "Is": "IsNot",
    "IsNot": "Is",
}
WANTED = {
    *(
        f"core/Replace{kind}Operator_{one}_{other}"
        for one, others in MEANT.items()
        for other in others.split()
        for kind in ("Binary", "Comparison")
    ),
    *(f"core/ReplaceUnaryOperator_Delete_{one}" for one in ("USub", "Invert", "Not")),
    *(f"core/{name}" for name in ("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd")),
    *(f"core/{name}" for name in ("NumberReplacer", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop")),
    *(f"frames/{name}" for name in FrameOperators()),
}
SLOWER = 5  # times as long as the sound tests: then a mutant hangs


@dataclass(frozen=True)
class Score:
    """What came of a module's mutants. survivors: each with its diff; pending: mutants not tried yet."""

    module: str
    killed: int
    survivors: Sequence[tuple[MutationSpec, str]]
    pending: int

    @property
    def percent(self) -> float:
        """Killed, of those that were tried."""
        tried = self.killed + len(self.survivors)
        return 100 * self.killed / tried if tried else 100.0


def tests_of(module: str) -> list[str]:
    """The files that test a module."""
    return [f"tests/transforms/test_{name}.py" for name in (module, *ALSO.get(module, ()))]


def version_of(module: str) -> str:
    """A digest of all that decides a module's score."""
    paths = [f"transforms/{module}.py", *tests_of(module), "tests/transforms/facts.py", "tests/mutation/operators.py"]
    tests = "".join((ROOT / path).read_text("utf-8") for path in tests_of(module))
    paths += ["tests/transforms/kernel.py"] if "tests.transforms.kernel" in tests else []
    paths += map(str, oracles()) if "tests.oracle" in tests else []
    return hashlib.sha256(b"".join((ROOT / path).read_bytes() for path in paths)).hexdigest()[:12]


def oracles() -> Iterator[Path]:
    """The slow and obvious ways that rules are held against."""
    yield from (path.relative_to(ROOT) for path in sorted((ROOT / "tests" / "oracle").glob("*.py")))


def tests_fail(module: str, processor_seconds: int) -> tuple[bool, str]:
    """Run a module's tests in a fork of this process, which has loaded the libraries and used none; whether they fail, and what was said.

    Who does not end fails, too; it is processor time that counts, so that a busy machine kills no mutant. Nothing of Polars may run before the fork:
    its threads would not follow, and every mutant would hang.
    """
    quick = ["-p", "tests.mutation.quick", "-p", "no:cacheprovider", "-p", "no:xdist", "--noconftest"]
    said = Path("said.txt")
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds))
        with said.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            os._exit(pytest.main(["-q", "-x", *quick, *tests_of(module)]))
    _, status = os.waitpid(child, 0)
    return status != 0, said.read_text("utf-8", "replace")


def tried(mutation: MutationSpec, module: str, processor_seconds: int) -> WorkResult:
    """Make a mutant, run the tests, and put the module back."""
    operator = cosmic_ray.plugins.get_operator(mutation.operator_name)(**mutation.operator_args)
    with use_mutation(mutation.module_path, operator, mutation.occurrence) as (sound, mutant):
        if mutant is None:
            raise SystemExit(f"{module}: there is no occurrence {mutation.occurrence} of {mutation.operator_name}")
        failed, said = tests_fail(module, processor_seconds)
    outcome = TestOutcome.KILLED if failed else TestOutcome.SURVIVED
    diff = "\n".join(unified_diff(sound.splitlines(), mutant.splitlines(), lineterm="", n=0))
    return WorkResult(WorkerOutcome.NORMAL, said, outcome, diff)


def unmeant(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where a mutant would say nothing about a rule: annotations, decorators, docstrings and other texts for people."""
    places: list[ast.AST] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            every = [*node.args.args, *node.args.kwonlyargs, *filter(None, [node.args.vararg, node.args.kwarg])]
            places += [each.annotation for each in every if each.annotation] + [each for each in [node.returns] if each]
            places += node.decorator_list
        elif isinstance(node, ast.ClassDef):
            places += node.decorator_list
        elif isinstance(node, ast.AnnAssign):
            places.append(node.annotation)
        elif isinstance(node, ast.JoinedStr):
            places.append(node)
    return [
        ((each.lineno, each.col_offset), (each.end_lineno or 0, each.end_col_offset or 0)) for each in places if isinstance(each, ast.expr)
    ]


def session_of(module: str, look_only: bool = False) -> Path:
    """The folder with a module's mutants (session.sqlite) and the copy of the tree in which they are made (tree/).

    look_only: of what has changed since it was tried, the old one.
    """
    folder = BUILD / f"{module}-{version_of(module)}"
    if look_only and not folder.exists():
        folder = next(BUILD.glob(f"{module}-*"), folder)
    if not (folder / "session.sqlite").exists():
        for old in BUILD.glob(f"{module}-*"):
            shutil.rmtree(old)
        for path in subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split():
            if (ROOT / path).is_file() and not path.startswith(("requirements/", "docs/")):
                (folder / "tree" / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, folder / "tree" / path)
        with use_db(folder / "session.sqlite", WorkDB.Mode.create) as database:
            choose_mutants(database, folder / "tree" / "transforms" / f"{module}.py")
    return folder


def choose_mutants(database: WorkDB, path: Path) -> None:
    """All mutants of a module; those that say nothing about a rule are skipped."""
    init([path], database, {})
    away = unmeant(path.read_text("utf-8"))
    for item in database.work_items:
        (mutation,) = item.mutations
        outside = any(first <= mutation.start_pos and mutation.end_pos <= last for first, last in away)
        if outside or mutation.operator_name not in WANTED:
            database.set_result(item.job_id, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))


def execute(module: str, folder: Path) -> None:
    """Try the mutants of a module that have not been tried. folder: as `session_of` made it."""
    before = Path.cwd()
    rule = f"transforms/{module}.py"
    shutil.copy(ROOT / rule, folder / "tree" / rule)  # a run that was killed has left a mutant there
    os.chdir(folder / "tree")
    try:
        before_tests = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        failed, said = tests_fail(module, 600)
        if failed:
            raise SystemExit(f"{module}: its tests fail without a mutant:\n{said}")
        limit = 20 + SLOWER * int(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before_tests)
        with use_db(folder / "session.sqlite", WorkDB.Mode.open) as database:
            for item in tuple(database.pending_work_items):
                database.set_result(item.job_id, tried(item.mutations[0], module, limit))
                print(f"{module}: {database.num_results} of {database.num_work_items}", file=sys.stderr, flush=True)
    finally:
        os.chdir(before)


def score_of(module: str, folder: Path) -> Score:
    """What is known of a module's mutants. folder: as `session_of` made it."""
    with use_db(folder / "session.sqlite", WorkDB.Mode.open) as database:
        mutations = {item.job_id: item.mutations[0] for item in database.work_items}
        results = dict(database.results)
    tried = {job: result for job, result in results.items() if result.worker_outcome != WorkerOutcome.SKIPPED}
    outcomes = Counter(result.test_outcome for result in tried.values())
    survivors = [(mutations[job], result.diff or "") for job, result in tried.items() if result.test_outcome == TestOutcome.SURVIVED]
    survivors.sort(key=lambda each: (each[0].start_pos, each[0].operator_name))
    return Score(module, outcomes[TestOutcome.KILLED], survivors, len(mutations) - len(results))


def show(scores: Sequence[Score], survivors: bool) -> None:
    """The table, and the survivors as diffs."""
    print("| module | mutants | killed | survived | % |\n|---|--:|--:|--:|--:|")
    for score in scores:
        waiting = f" ({score.pending} not tried)" if score.pending else ""
        print(
            f"| {score.module}{waiting} | {score.killed + len(score.survivors)} | {score.killed} | {len(score.survivors)} | {score.percent:.0f} |"
        )
    killed, alive = sum(score.killed for score in scores), sum(len(score.survivors) for score in scores)
    print(f"| **all** | {killed + alive} | {killed} | {alive} | **{100 * killed / max(1, killed + alive):.1f}** |")
    for score in scores if survivors else ():
        for mutation, diff in score.survivors:
            print(f"\n{score.module}: {mutation.operator_name} in {mutation.definition_name}")
            print("\n".join(line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")))


def main(arguments: Sequence[str]) -> int:
    """Run; 1 when less than 90 % of all mutants are killed."""
    parser = argparse.ArgumentParser(prog="make mutation")
    parser.add_argument("modules", nargs="*", default=MODULES)
    parser.add_argument("--report", action="store_true", help="run nothing; show each survivor")
    wanted = parser.parse_args(arguments)
    cosmic_ray.plugins.OPERATOR_PROVIDERS["frames"] = FrameOperators()
    sys.dont_write_bytecode = True  # a mutant may be made in the same second as the one before
    scores = []
    for module in wanted.modules:
        folder = session_of(module, wanted.report)
        if not wanted.report:
            execute(module, folder)
        scores.append(score_of(module, folder))
    show(scores, wanted.report)
    killed, alive = sum(score.killed for score in scores), sum(len(score.survivors) for score in scores)
    return int(killed < 9 * alive)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
