"""What a process has cost so far, as Linux tells."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def children(pid: int) -> list[int]:
    """Processes that it started and that still run."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def peak_mib(pid: int) -> float:
    """The most resident memory that it ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found: Mapping[str, str] = dict(line.split(":", 1) for line in lines)
    return int(found["VmHWM"].split()[0]) / 1024
