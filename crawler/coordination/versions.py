"""Which releases of etcd will do, and what is wrong with the others."""

from __future__ import annotations

import re
from enum import StrEnum

Version = tuple[int, int, int]


class Fitness(StrEnum):
    """Whether a version of etcd will do."""

    GOOD = "good"
    OLD = "old"  # works, with known faults that ours live through
    UNFIT = "unfit"


def judge(version: Version) -> tuple[Fitness, str]:
    """Fitness and the reason for it.

    3.5.0 to 3.5.2 lose acknowledged writes when killed (etcd's own postmortem of 2022, "v3.5 data
    inconsistency"); before 3.4 a watch cannot ask for fragments; before 3.4.22 and 3.5.6 there are
    fixed bugs in leases and in authentication.
    """
    words = ".".join(map(str, version))
    if (3, 5, 0) <= version <= (3, 5, 2):
        return Fitness.UNFIT, f"etcd {words} can lose acknowledged writes; install 3.5.30 or newer"
    if version < (3, 4, 0):
        return Fitness.UNFIT, f"etcd {words} is too old; install 3.4.22 or newer"
    if version < (3, 4, 22) or (3, 5, 0) <= version < (3, 5, 6):
        return Fitness.OLD, f"etcd {words} has known faults; better 3.5.30 or newer"
    return Fitness.GOOD, ""


def read_version(text: str) -> Version | None:
    """The version that etcd says it has, such as ``3.5.30`` or ``3.6.0-rc.1``."""
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def keeps_strangers_out(version: Version) -> bool:
    """Whether users and roles of etcd protect it: older releases leave calls unguarded."""
    if version < (3, 5, 0):
        return version >= (3, 4, 44)
    return version >= ((3, 5, 30) if version < (3, 6, 0) else (3, 6, 11))
