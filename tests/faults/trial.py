"""One trial: a command fails at a place in some way, is given again, and everything ends as if nothing had been."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from storage import failpoints
from tests.faults.disk import forgetful
from tests.faults.stories import COMMANDS, Story, rows_of
from tests.kit import Ran, World

KINDS = {
    "kill": "the process is killed",
    "power": "the power fails: what was not made durable is gone",
    "error": "the disk refuses",
    "full": "the disk is full",
    "torn": "the file is cut in half, and the process killed",
    "lost-rename": "the rename never happens, and the process is killed",
    "conflict": "somebody else got ahead in the table",
}
WRITES = ("durable.write:", "tables.stage:", "outbox.write:")
NAMES = ("durable.rename:", "durable.link:", "durable.move:")
COMMITS = ("tables.commit:",)
RETURNED = "(returned)"  # no place in the code: the command has ended with 0
REFUSED = {"error", "full", "conflict"}


class KilledError(BaseException):
    """Stands for SIGKILL: nothing in lefi catches it."""


@dataclass(frozen=True)
class Trial:
    """Where and how a command fails. which: the first, middle or last time that it comes there."""

    command: str
    place: str
    which: str
    kind: str

    def __str__(self) -> str:
        return f"{self.command}-{self.place}-{self.which}-{self.kind}".replace(" ", "")

    def count(self, story: Story) -> int:
        """Which time that is."""
        often = story.reached.get(self.place, 1)
        return {"first": 1, "middle": (often + 1) // 2, "last": often}[self.which]


def kinds_at(place: str) -> tuple[str, ...]:
    """In which ways a place can fail."""
    if place.startswith(WRITES):
        return ("kill", "power", "error", "full", "torn")
    if place.startswith(NAMES):
        return ("lost-rename", "power", "error")
    if place.startswith(COMMITS):
        return ("kill", "power", "error", "full", "conflict")
    return ("power",) if place == RETURNED else ("kill", "power")


def trials(points: dict[str, dict[str, str]]) -> Iterator[Trial]:
    """The matrix. points: by command and place whether it comes there once or often."""
    for command, places in points.items():
        for place, how_often in {**places, RETURNED: "once"}.items():
            for kind in kinds_at(place):
                dies = kind in ("kill", "power", "lost-rename")
                for which in ("first",) if how_often == "once" else ("first", "middle", "last") if dies else ("middle",):
                    yield Trial(command, place, which, kind)


def fail(trial: Trial, story: Story, world: World, died: Path) -> Ran | None:
    """Give the command and let it fail; None when it was killed. died: where the workspace then lies as the killed process left it."""
    failpoints.reached.clear()
    shadow = world.root.with_name(f"{world.root.name}-shadow")
    with forgetful(world.root, shadow) if trial.kind == "power" else nullcontext() as disk:

        def die() -> None:
            if disk:
                disk.write_what_is_left(died)
            else:
                shutil.copytree(world.root, died)
            raise KilledError

        failpoint = f"{trial.place}:{trial.count(story)}={trial.kind}"
        with patch.object(failpoints, "die", die), patch.dict(os.environ, {"LEFI_FAILPOINT": failpoint}):
            try:
                ran = world.lefi(*COMMANDS[trial.command], code=None)
                if trial.place != RETURNED:
                    return ran
                failpoints.reached[RETURNED] = 1
                die()
            except KilledError:
                pass
            return None


def run(trial: Trial, story: Story, folder: Path) -> None:
    """Let a command fail in this process, and see that nothing is lost, wrong or twice."""
    world = story.world.twin_at(folder / "ws")
    died = folder / "died"
    ran = fail(trial, story, world, died)
    reached = failpoints.reached[trial.place]
    assert reached >= trial.count(story), f"{trial.place} was not reached: run `make faults`"
    if trial.kind in REFUSED:
        assert ran
        expects_refusal(ran)
    else:
        assert ran is None
        world = World.at(died, *world.written)
    ends_as_if_nothing_had_been(trial, story, world)


def expects_refusal(ran: Ran) -> None:
    """It said what is wrong, and what to do. What comes after a night has settled may be put off."""
    if ran.code == 0:
        assert "was put off: " in ran.err
    else:
        assert ran.code == 1
        assert ran.err.splitlines()[-1].startswith("lefi: ")
        assert "this is a bug of ours" not in ran.err
        assert "give the command again" in ran.err


def run_killed(trial: Trial, story: Story, folder: Path) -> None:
    """The same with a process of its own that dies by SIGKILL."""
    world = story.world.twin_at(folder / "ws")
    world.process(*COMMANDS[trial.command], failpoint=f"{trial.place}:{trial.count(story)}={trial.kind}", code=-signal.SIGKILL)
    ends_as_if_nothing_had_been(trial, story, world)


def ends_as_if_nothing_had_been(trial: Trial, story: Story, world: World) -> None:
    """Give the command again, and run the night: outbox and tables are those of the undisturbed twin."""
    assert world.outbox().items() <= story.outbox.items(), "something else was published"
    assert (world.root / "store" / ".lock").exists() or story.command == "compact", "a stale lock is left, and stops nobody"
    world.lefi("status", "--json")
    if trial.place != RETURNED:
        world.lefi(*COMMANDS[trial.command])
    if trial.command != "nightly":
        world.lefi(*COMMANDS["nightly"])
    assert world.outbox() == story.outbox
    for name, rows in rows_of(world).items():
        assert rows.equals(story.rows[name]), name
    assert not list((world.root / "staging").iterdir())
    assert not list(world.root.rglob("*.tmp"))
