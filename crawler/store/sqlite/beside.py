"""Where the threads of the store run: on the processor of the event loop.

Python lets one of the two run at a time, and SQLite's steps, thousands of a second, let go of that
right and ask for it again. On a processor of its own the thread took it from the loop at each, and
both waited for the other to be woken; on one processor it has its turn when the loop sleeps.
"""

from __future__ import annotations

import os


def run_beside(thread: int) -> None:
    """Bind the calling thread to the processor that another one (a native id) of this process ran
    on last. Does nothing where there is no way to: it is a matter of speed alone."""
    try:
        with open(f"/proc/self/task/{thread}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        os.sched_setaffinity(0, {int(fields[36])})  # "processor" of proc_pid_stat(5)
    except (OSError, AttributeError, ValueError, IndexError):
        return
