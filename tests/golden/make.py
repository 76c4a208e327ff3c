"""Make the golden workspaces of the store format that this code writes: `python -m tests.golden.make`. Those of older formats stay as they are.

`format-N.tar.xz` is settled; of `format-N-unfinished.tar.xz` the last night is committed, and was killed while it was published.
"""

import tarfile
import tempfile
from pathlib import Path

from storage.workspace import FORMAT
from tests.golden.story import BUCKETS, WAITING, tell
from tests.kit import World

GOLDEN = Path(__file__).parent


def pack(world: World, name: str) -> Path:
    """A workspace as a tar file, without times and owners."""
    path = GOLDEN / f"{name}.tar.xz"

    def bare(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.mtime = entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return None if entry.name.endswith((".lock", ".compacting")) else entry

    with tarfile.open(path, "w:xz", preset=9) as packed:
        packed.add(world.root, "ws", filter=bare)
    return path


def main() -> None:
    """Tell the story, and pack what came of it."""
    with tempfile.TemporaryDirectory() as scratch:
        world = World(Path(scratch) / "ws", buckets=BUCKETS)
        tell(world)
        print(pack(world, f"format-{FORMAT}"))
        world.killed_night(WAITING[0], "publish:2")
        print(pack(world, f"format-{FORMAT}-unfinished"))


if __name__ == "__main__":
    main()
