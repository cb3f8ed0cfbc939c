"""A process that hardly gets to run, as behind a slow disk: in between it stands still."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def sluggish(pid: int, *, stands_s: float, runs_s: float) -> Iterator[None]:
    """By turns it stands still for so long and runs for so long; in the end it runs."""
    over = threading.Event()

    def take_turns() -> None:
        while not over.is_set():
            os.kill(pid, signal.SIGSTOP)
            over.wait(stands_s)
            os.kill(pid, signal.SIGCONT)
            over.wait(runs_s)

    turns = threading.Thread(target=take_turns, name=f"sluggish {pid}")
    turns.start()
    try:
        yield
    finally:
        over.set()
        turns.join()
