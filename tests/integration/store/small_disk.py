"""A file system of few megabytes that can be filled to the last byte."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """``directory``: where it is mounted."""

    directory: Path

    def fill(self, *, leave_kilobytes: int = 0) -> None:
        """Leave so much room and no more."""
        found = os.statvfs(self.directory)
        size = found.f_bavail * found.f_frsize - leave_kilobytes * 1024
        with (self.directory / "ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, size)

    def empty(self) -> None:
        """Make room again."""
        (self.directory / "ballast").unlink()


@contextmanager
def small_disk(*, megabytes: int) -> Iterator[SmallDisk]:
    """Mounted as long as the block runs; only root may do that."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    directory = Path(tempfile.mkdtemp(prefix="disk-"))
    options = f"size={megabytes}m,mode=0777"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    subprocess.run([*as_root, *command], check=True)
    try:
        yield SmallDisk(directory)
    finally:
        subprocess.run([*as_root, "umount", "--lazy", str(directory)], check=True)
        directory.rmdir()
