"""The wall clock of chosen processes, stepped while they run; every other clock stays true."""

from __future__ import annotations

import mmap
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

_SOURCE = Path(__file__).with_name("wallskew.c")


class WallClock:
    """A skew that all processes started with `environment` share. C programs and Python only: Go
    asks the kernel without the C library."""

    def __init__(self, folder: Path) -> None:
        library = folder / "wallskew.so"
        self._file = folder / "wallskew"
        self._file.write_bytes(struct.pack("q", 0))
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", library, _SOURCE],
            check=True,
            timeout=60,
        )
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "WALLSKEW_FILE": str(self._file),
        }

    def step(self, seconds: float) -> None:
        """From now on the wall clock is so far from the true time, either way."""
        # In place, and the eight bytes at once: the processes have the file mapped.
        with self._file.open("r+b") as file, mmap.mmap(file.fileno(), 8) as page:
            page[:] = struct.pack("q", int(seconds * 1e9))
