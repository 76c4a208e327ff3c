"""The command line as a newcomer meets it: help that teaches, mistakes answered by what to do, progress on a terminal and silence in a pipe."""

import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer.main

from jobs.lefi import PARTS, app
from jobs.progress import Far, left, resident_bytes, watched
from storage import pace, running
from storage.pace import Amount
from tests.kit import ROOT, World

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
        (("init", __file__), f"{__file__} is no folder"),
        (("init", f"{__file__}/ws"), f"{__file__} is no folder"),
        (("schemas", __file__), f"{__file__} is no folder"),
        (("status", "ws", "--html", __file__), f"{__file__} is no folder"),
        (("export", "ws", "--partner", "A", "--recipient", "a", "--to", __file__), f"{__file__} is no folder"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(line: tuple[str, ...], said: str) -> None:
    ran = run(*line)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stdout == ""


def test_a_command_that_is_interrupted_says_so_and_does_not_end_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler that sees 0 takes a night for done."""

    def interrupted(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    world = World(tmp_path / "ws")
    monkeypatch.setattr("pipelines.run.make_plan", interrupted)
    assert "lefi: interrupted: give the command again" in world.night("2026-01-05", code=130).err


def test_the_shell_completes_commands_and_options() -> None:
    asked = {"_LEFI_COMPLETE": "complete_bash", "COMP_CWORD": "1"}

    def completed(words: str, place: int) -> list[str]:
        environment = os.environ | asked | {"COMP_WORDS": words, "COMP_CWORD": str(place)}
        ran = subprocess.run(LINE, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return ran.stdout.split()

    assert completed("lefi ni", 1) == ["nightly"]
    assert set(completed("lefi re", 1)) >= {"refresh", "retract", "release", "reconcile", "rehearse", "rebuild", "receive", "recalculate"}
    assert "--business-date" in completed("lefi nightly ws --b", 3)


@pytest.mark.slow
def test_progress_is_shown_on_a_terminal_and_not_in_a_pipe(tmp_path: Path) -> None:
    arguments = ("--persons", "300", "--nights", "2", "--seed", "1")
    run("init", str(tmp_path / "ws"))
    shown = on_a_terminal("generate", str(tmp_path / "ws"), *arguments)
    assert re.search(r"drops [█·]{24} +\d+% +\d+ of 56 ", shown)
    piped = run("generate", str(tmp_path / "ws"), *arguments)
    assert "\x1b" not in piped.stderr + piped.stdout
    assert "█" not in piped.stderr
    shown = on_a_terminal("nightly", str(tmp_path / "ws"), "--business-date", "2026-01-05")
    done = r"[\d,]+ of [\d,]+ rows cut, \d+ of 64 buckets taken, \d+ of 64 compared"
    assert re.search(rf"nightly [█·]{{24}} +\d+% +{done}, [\d,]+ rows/s, [\d.]+ MB/s, \d+ MiB", shown)


def test_the_time_left_follows_from_the_speed() -> None:
    assert [left(*each) for each in ((10, 0), (0.5, 0.5), (30, 0.5), (90, 0.25))] == ["", "", "about 0:30 left", "about 4:30 left"]


def test_what_is_done_is_counted_by_notes_under_staging_and_twice_is_once(tmp_path: Path) -> None:
    pace.expect(tmp_path / "a", {"take_bite": 64, "deliver_bite": 64, "nothing": 0})
    for _ in range(2):
        pace.note(tmp_path / "a", "take_bite", "0f", Amount(16, 100, 2000))
        pace.note(tmp_path / "a", "take_bite", "10", Amount(48, 300, 4000))
    pace.note(tmp_path / "a", "deliver_bite", "0f", Amount(16, 10, 1))
    pace.note(tmp_path / "missing", "deliver_bite", "0f", Amount(1, 1, 1))
    done = pace.done([tmp_path / "a", tmp_path / "missing"])
    assert done == {"take_bite": Amount(64, 400, 6000), "deliver_bite": Amount(16, 10, 1)}
    assert pace.share(done, pace.expected([tmp_path / "a"])) == (1 + 16 / 64) / 2
    assert pace.total(tmp_path / "a") == Amount(80, 410, 6001)


def test_memory_is_that_of_the_process_and_all_below_it() -> None:
    alone = resident_bytes()
    holding = "x = bytearray(80 << 20); print(len(x), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        assert resident_bytes() > alone + (80 << 20)
        child.communicate(b"\n")


def test_status_shows_a_command_at_work_and_none_that_was_killed(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    run("init", str(root))
    with watched("nightly", lambda: Far(0.25, Amount(0, 5000, 10_000), "said"), root) as watch:
        watch.began -= 30
        watch.said -= 30
        for _ in range(100):
            if running.file_of(root).exists():
                break
            time.sleep(0.05)
        stale = running.file_of(root).read_bytes()
        said = run("status", str(root)).stdout
        now = json.loads(run("status", str(root), "--json").stdout)["running"]
    assert re.search(r"running: nightly, 25% done, about 1:\d\d left; [\d,]+ rows/s, ", said)
    assert (now["command"], now["share"], now["rows"], now["bytes"]) == ("nightly", 0.25, 5000, 10_000)
    assert running.running(root) is None
    running.file_of(root).write_bytes(stale.replace(str(os.getpid()).encode(), b"1"))
    assert running.running(root) is None, "another process has the number"


@pytest.mark.slow
def test_each_summary_of_long_work_says_what_it_came_to(tmp_path: Path) -> None:
    root = str(tmp_path / "ws")
    run("init", root)
    run("generate", root, "--persons", "200", "--nights", "1", "--seed", "1")
    night, again = (json.loads(run("nightly", root, "--business-date", "2026-01-05", "--json").stdout)["work"] for _ in range(2))
    assert night["rows"] == again["rows"] > 2000
    assert night["rows_per_second"] == pytest.approx(night["rows"] / night["seconds"], rel=0.01)
    assert night["peak_mib"] > 50
    partner = next((tmp_path / "ws" / "outbox").iterdir())
    took = json.loads(run("receive", str(partner), str(tmp_path / "picture.duckdb"), "--json").stdout)["work"]
    assert took["bytes"] == sum(path.stat().st_size for path in partner.rglob("part-*.avro"))
