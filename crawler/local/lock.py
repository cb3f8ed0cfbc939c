"""One data directory, one user at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crawler.errors import Conflict, Misconfigured


@contextmanager
def hold_directory(data: Path, what: str) -> Iterator[None]:
    """Own ``data`` (made if missing) while the context lasts; the kernel frees it if we die.

    Raises `Conflict` naming the pid and ``what`` of the other owner.
    """
    try:
        data.mkdir(parents=True, exist_ok=True)
        file = (data / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"cannot use {data}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            pid, _, other = file.read(200).strip().partition(" ")
            raise Conflict(
                f"{data} is in use by pid {pid or '?'} ({other or 'crawler'}): "
                "stop that first, or choose another directory with --data"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()} {what}\n")
        file.flush()
        yield
