"""Files that others read while we write them: staged beside their place, then swapped in whole."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crawler.errors import Conflict, OutOfStep

_NEW_MODE = 0o644


@contextmanager
def told(what: str) -> Iterator[None]:
    """What the system refuses becomes an error of ours, with ``what`` was tried."""
    try:
        yield
    except OSError as error:
        raise OutOfStep(f"{what}: {error.strerror or error}") from error


def read_whole(file: Path) -> bytes | None:
    """What it holds; None: there is no such file."""
    with told(f"cannot read {file}"):
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None


def stage(file: Path, content: bytes, mode: int | None = None) -> Path:
    """Write ``content`` beside ``file``, on the disk and with its owner and mode; where it is."""
    staged = file.with_name(f".{file.name}.staged")
    with told(f"cannot write {staged}"):
        try:
            before = file.stat()
        except FileNotFoundError:
            before = None
        if mode is None:
            mode = stat.S_IMODE(before.st_mode) if before is not None else _NEW_MODE
        staged.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(staged, flags, 0o600), "wb") as out:
            out.write(content)
            out.flush()
            if before is not None and (before.st_uid, before.st_gid) != (os.getuid(), os.getgid()):
                os.fchown(out.fileno(), before.st_uid, before.st_gid)
            os.fchmod(out.fileno(), mode)
            os.fsync(out.fileno())
    return staged


def swap(staged: Path, file: Path) -> None:
    """Put what was staged in its place: whoever reads finds the old or the new, also after a loss
    of power."""
    with told(f"cannot put {file} in its place"):
        staged.replace(file)
        directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def write_whole(file: Path, content: bytes, mode: int | None = None) -> None:
    """Both."""
    swap(stage(file, content, mode), file)


class Lock:
    """Who writes a file. The kernel frees it if we die."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._held: int | None = None

    def take(self) -> None:
        """Take it unless we have it. Raises `Conflict` that names the other's pid."""
        if self._held is not None:
            return
        beside = self._file.with_name(f".{self._file.name}.lock")
        with told(f"cannot write {beside}"):
            number = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(number, 20).decode("ascii", "replace").strip()
            os.close(number)
            raise Conflict(
                f"{self._file} is kept by another crawler edge (pid {pid or '?'}); stop that one, "
                "or give this target a file of its own"
            ) from error
        os.ftruncate(number, 0)
        os.write(number, f"{os.getpid()}\n".encode())
        self._held = number

    def release(self) -> None:
        """Let others have it; idempotent."""
        if self._held is not None:
            os.close(self._held)
            self._held = None
