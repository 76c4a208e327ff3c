"""The command line as a newcomer meets it: help that teaches, mistakes answered by what to do, progress on a terminal and silence in a pipe."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from jobs.lefi import PARTS, app
from jobs.progress import covered, left
from tests.kit import ROOT

CLI: Any = typer.main.get_command(app)
LINE = [sys.executable, "-c", "from jobs.lefi import main; main()"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own, in a pipe."""
    return subprocess.run([*LINE, *arguments], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)


def on_a_terminal(*arguments: str) -> str:
    """The same on a terminal: all that was shown."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*LINE, *arguments], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs) as child:
        os.close(theirs)
        shown = b""
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # how Linux says that the other end is closed
                break
            if not data:
                break
            shown += data
    os.close(ours)
    assert child.returncode == 0, shown
    return shown.decode()


def test_the_help_has_every_command_with_its_whole_sentence() -> None:
    assert sorted(name for names in PARTS.values() for name in names) == sorted(CLI.commands)
    said = " ".join(run("--help", COLUMNS="80").stdout.split())
    for name, command in CLI.commands.items():
        assert f"{name} {command.help.partition('. ')[0]}" in said
    assert "..." not in said.replace("[ARGS]...", "")


def test_without_a_word_it_says_what_there_is() -> None:
    ran = run()
    assert ran.returncode == 2
    assert ran.stderr.startswith("Usage: ")
    assert "A first try: lefi init WS" in ran.stderr


@pytest.mark.parametrize("command", CLI.commands)
def test_every_command_has_an_example_that_is_spelled_right(command: str) -> None:
    """Each option of the examples is one of the command's."""
    epilog = CLI.commands[command].epilog
    assert f"lefi {command} " in epilog
    known = {option for parameter in CLI.commands[command].params for option in parameter.opts}
    for line in re.findall(r"lefi \w+[^;]*", epilog):
        assert line.startswith(f"lefi {command}")
        assert set(re.findall(r"--[a-z-]+", line)) <= known


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("nigtly", "ws"), "No such command 'nigtly'. Did you mean 'nightly'"),
        (("nightly",), "Missing argument 'WORKSPACE'. (see `lefi nightly --help`)"),
        (("nightly", "ws"), "Missing option '--business-date'"),
        (("nightly", "ws", "--business-date", "tomorrow"), "'tomorrow' is not a date written YYYY-MM-DD (see `lefi nightly --help`)"),
        (("nightly", "ws", "--businessdate", "2026-01-05"), "No such option: --businessdate"),
        (("status", "/nowhere"), "/nowhere is not a workspace (it has no store/catalog.json): make one with `lefi init /nowhere`"),
        (("init", "ws", "--buckets", "many"), "Invalid value for '--buckets'"),
        (("receive", "/nowhere", "/tmp/none.duckdb"), "there is no folder /nowhere"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(line: tuple[str, ...], said: str) -> None:
    ran = run(*line)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stdout == ""


def test_the_shell_completes_commands_and_options() -> None:
    asked = {"_LEFI_COMPLETE": "complete_bash", "COMP_CWORD": "1"}

    def completed(words: str, place: int) -> list[str]:
        environment = os.environ | asked | {"COMP_WORDS": words, "COMP_CWORD": str(place)}
        ran = subprocess.run(LINE, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return ran.stdout.split()

    assert completed("lefi ni", 1) == ["nightly"]
    assert set(completed("lefi re", 1)) >= {"refresh", "retract", "release", "reconcile", "rehearse", "rebuild", "receive", "recalculate"}
    assert "--business-date" in completed("lefi nightly ws --b", 3)


def test_progress_is_shown_on_a_terminal_and_not_in_a_pipe(tmp_path: Path) -> None:
    arguments = ("--persons", "300", "--nights", "2", "--seed", "1")
    run("init", str(tmp_path / "ws"))
    shown = on_a_terminal("generate", str(tmp_path / "ws"), *arguments)
    assert re.search(r"drops [█·]{24} +\d+% +\d+ of 56 ", shown)
    piped = run("generate", str(tmp_path / "ws"), *arguments)
    assert "\x1b" not in piped.stderr + piped.stdout
    assert "█" not in piped.stderr
    shown = on_a_terminal("nightly", str(tmp_path / "ws"), "--business-date", "2026-01-05")
    assert re.search(r"stage [█·]{24} +\d+% +\d+ of 64 buckets taken, \d+ compared", shown)


def test_the_time_left_follows_from_the_speed() -> None:
    assert [left(*each) for each in ((10, 0), (0.5, 0.5), (30, 0.5), (90, 0.25))] == ["", "", "about 0:30 left", "about 4:30 left"]


def test_buckets_are_counted_by_the_files_of_bites(tmp_path: Path) -> None:
    for name in ("a/parts/B/00000-00015.blocks", "a/parts/C/00000-00015.blocks", "a/parts/B/00016-00031.blocks", "a/parts/B/else.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert covered(tmp_path, "*/parts/*/*") == 32
