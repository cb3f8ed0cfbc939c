"""Appends items to a file: a batch is delivered when it is on the disk."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from crawler.definition import Sink
from crawler.delivery.records import Parcel
from crawler.errors import DeliveryFailed

_CHUNK = 1 << 16


def append(directory: Path, sink: Sink, parcel: Parcel) -> None:
    """Write it behind what is there, to ``directory/<resource>/<path>``, and wait for the disk.

    What a crash left of a line is cut off first: its item is sent again. Raises `DeliveryFailed`,
    and the file is then as before.
    """
    assert sink.path is not None
    goal = directory / parcel.resource / sink.path
    try:
        goal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(goal, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _append(file, parcel.body)
            _sync_folder(goal.parent)
        finally:
            os.close(file)
    except BlockingIOError as error:
        raise DeliveryFailed("another process writes to the file") from error
    except OSError as error:
        raise DeliveryFailed(f"the file cannot be written: {error.strerror}") from error


def _append(file: int, data: bytes) -> None:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    end = whole_lines(file)
    try:
        os.ftruncate(file, end)
        written = 0
        while written < len(data):
            written += os.pwrite(file, data[written:], end + written)
        os.fsync(file)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, end)
        raise


def whole_lines(file: int) -> int:
    """How many bytes the complete lines of a file take."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - _CHUNK)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _sync_folder(folder: Path) -> None:
    """So that a crash does not take the name of a new file."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
