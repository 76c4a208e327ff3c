"""A disk that forgets, when the power fails, whatever was not made durable: bytes that no fsync followed, and names whose folder was not synced."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR
from unittest.mock import patch

State = tuple[int, int]  # size and time of change


@dataclass
class Disk:
    """What of a folder and all in it is durable.

    shadow: a folder on the same file system, where files live on under their inode's number; names: of each folder by inode, as it was synced
    last; bytes_of: inode -> its state when it was synced last; held: open folders, so that no inode is used twice.
    """

    root: Path
    shadow: Path
    names: dict[int, dict[str, int]] = field(default_factory=dict)
    bytes_of: dict[int, State] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shadow.mkdir()
        for folder, _, files in os.walk(self.root):
            self.sync_folder(folder)
            for name in files:
                entry = os.stat(os.path.join(folder, name))
                self.bytes_of[entry.st_ino] = (entry.st_size, entry.st_mtime_ns)

    def sync_folder(self, folder: str) -> None:
        """The names in a folder, as they now are, become durable."""
        self.hold(folder)
        found = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                inode = found[entry.name] = entry.stat(follow_symlinks=False).st_ino
                if entry.is_dir(follow_symlinks=False):
                    self.hold(entry.path)
                elif not (self.shadow / str(inode)).exists():
                    os.link(entry.path, self.shadow / str(inode))
        self.names[os.stat(folder).st_ino] = found

    def hold(self, folder: str) -> None:
        """Keep a folder's inode from being used again; of a new folder no name is durable yet."""
        inode = os.stat(folder).st_ino
        if inode not in self.held:
            self.held[inode] = os.open(folder, os.O_RDONLY)
            self.names[inode] = {}

    def synced(self, handle: int) -> None:
        """Somebody called fsync."""
        entry, path = os.fstat(handle), os.readlink(f"/proc/self/fd/{handle}")
        if not path.startswith(str(self.root)):
            return
        if S_ISDIR(entry.st_mode):
            self.sync_folder(path)
        else:
            self.bytes_of[entry.st_ino] = (entry.st_size, entry.st_mtime_ns)

    def write_what_is_left(self, target: Path) -> None:
        """Write the folder as it is found when the power is back: what was not durable is not there, or has no bytes."""
        self.write_folder(os.stat(self.root).st_ino, target)

    def write_folder(self, inode: int, target: Path) -> None:
        """The same for one folder."""
        target.mkdir()
        for name, child in self.names[inode].items():
            if child in self.held:
                self.write_folder(child, target / name)
                continue
            kept = self.shadow / str(child)
            now = kept.stat()
            if self.bytes_of.get(child) == (now.st_size, now.st_mtime_ns):
                shutil.copyfile(kept, target / name)
            else:
                (target / name).touch()


@contextmanager
def forgetful(root: Path, shadow: Path) -> Iterator[Disk]:
    """Watch what becomes durable in a folder."""
    disk = Disk(root, shadow)
    original = os.fsync

    def fsync(handle: int) -> None:
        original(handle)
        disk.synced(handle)

    try:
        with patch("os.fsync", fsync):
            yield disk
    finally:
        for handle in disk.held.values():
            os.close(handle)
        shutil.rmtree(shadow)


__all__ = ["Disk", "forgetful"]
