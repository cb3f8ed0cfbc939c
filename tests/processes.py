"""What Linux tells of processes that tests start."""

from __future__ import annotations

from pathlib import Path

STOPPED = "T"
GONE = "Z"


def state_of(pid: int) -> str:
    """One letter, as in proc(5): R, S, D, `STOPPED`, …; `GONE` for a zombie, and for one that has
    been waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return GONE
