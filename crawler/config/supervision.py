"""What a service manager tells a process of itself, in the environment: sd_notify(3) and
sd_watchdog_enabled(3)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Supervision:
    """``socket``: a path, or the name of an abstract socket behind an ``@``. ``watchdog_s``: the
    longest silence before the process is taken for hung; None: no silence is too long."""

    socket: str
    watchdog_s: float | None = None


def read_supervision(environ: Mapping[str, str] = os.environ) -> Supervision | None:
    """None where no service manager listens to this process.

    A watchdog that was set for another process, a parent of ours say, is not ours to feed.
    """
    socket = environ.get("NOTIFY_SOCKET", "")
    if socket[:1] not in {"/", "@"}:
        return None
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return Supervision(socket)
    text = environ.get("WATCHDOG_USEC", "")
    return Supervision(socket, int(text) / 1e6 if text.isdecimal() and int(text) else None)
