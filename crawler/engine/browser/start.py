"""Becomes the browser, once it is sure to die with its parent: run as a program, by its path.

``start.py FILE PROGRAM ARGUMENT…`` writes its process id into FILE. It imports nothing of
ours, so that it takes no time.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h; kept by execve(2)


def main() -> None:
    """Never returns. If the parent is dead already, the browser ends by its closed pipe."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    Path(sys.argv[1]).write_text(str(os.getpid()), "ascii")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - what the operator has installed


if __name__ == "__main__":
    main()
