"""Knows which processes claimed what, and ends one that was stopped while it held the lock.

A process that is stopped (SIGSTOP, Ctrl-Z) inside a transaction keeps SQLite's only write lock, and
nothing but its end frees it. Claims therefore record pid, start time and boot id. A claimant that
is stopped in its very first transaction stands in no row yet; so it also leaves a note in a file
beside the database before it asks for the lock.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_STOPPED = frozenset("Tt")  # proc_pid_stat(5): stopped on a signal, or by a tracer


@dataclass(frozen=True, slots=True)
class Process:
    """One process of one boot of one machine (and pid namespace): a pid alone is reused.

    ``started``: field 22 of /proc/<pid>/stat, in clock ticks after boot.
    """

    pid: int
    started: int
    boot: str


@dataclass(frozen=True, slots=True)
class Note:
    """What a claimant said before it asked for the lock."""

    process: Process
    part: int
    cluster: str
    revision: int


NOBODY = Process(0, 0, "")


def this_process() -> Process:
    """This process; `NOBODY` on a system without /proc, where no claimant is ever ended."""
    found = _look_up(os.getpid())
    return found[0] if found else NOBODY


def end_stopped(process: Process, *, wait_s: float = 2.0) -> bool:
    """SIGKILL the process if it still runs under this identity and is stopped.

    True once it is gone. Its pidfd is opened before the look, so that the pid cannot be reused
    between the two.
    """
    if process.pid <= 0 or process.pid == os.getpid() or not hasattr(os, "pidfd_open"):
        return False
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        found = _look_up(process.pid)
        if found is None or found[0] != process or found[1] not in _STOPPED:
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        ended = bool(select.select([handle], [], [], wait_s)[0])
    except OSError as error:
        log.warning("stopped claimant not ended", pid=process.pid, error=str(error))
        return False
    finally:
        os.close(handle)
    log.warning("stopped claimant ended", pid=process.pid, gone=ended)
    return ended


def _look_up(pid: int) -> tuple[Process, str] | None:
    """The process and its state letter; None where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before may hold anything
    return Process(pid, int(fields[19]), f"{boot} {namespace}"), fields[0]


class Notes:
    """Notes of claimants in a directory: read and written without the database's lock."""

    def __init__(self, directory: Path, process: Process) -> None:
        self._directory = directory
        self._process = process

    @contextmanager
    def left(self, key: str, part: int, cluster: str, revision: int) -> Iterator[None]:
        """Leave a note until the end of the block. ``key``: of what a part is claimed."""
        own = self._path(key, part, self._process)
        content = {
            "pid": self._process.pid,
            "started": self._process.started,
            "boot": self._process.boot,
            "part": part,
            "cluster": cluster,
            "revision": revision,
        }
        # The database decides what is possible: where this fails, its own error says more.
        with suppress(OSError):
            self._directory.mkdir(mode=0o700, exist_ok=True)
            partial = own.with_name(f"new-{own.name}")
            partial.touch(mode=0o600)
            partial.write_text(json.dumps(content), "utf-8")
            partial.replace(own)
        try:
            yield
        finally:
            with suppress(OSError):
                own.unlink()

    def read(self, key: str) -> list[Note]:
        """What others noted for ``key``."""
        try:
            paths = sorted(self._directory.glob(f"{_digest(key)}.*"))
        except OSError:
            return []
        found = (_parse(path) for path in paths)
        return [note for note in found if note is not None and note.process != self._process]

    def forget(self, process: Process) -> None:
        """Remove the notes of a process that is gone."""
        with suppress(OSError):
            for path in self._directory.glob(f"*.*.{process.pid}"):
                path.unlink()

    def _path(self, key: str, part: int, process: Process) -> Path:
        return self._directory / f"{_digest(key)}.{part}.{process.pid}"


def _digest(key: str) -> str:
    return hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=12).hexdigest()


def _parse(path: Path) -> Note | None:
    try:
        content = json.loads(path.read_text("utf-8"))
        process = Process(int(content["pid"]), int(content["started"]), str(content["boot"]))
        part = int(content["part"])
        return Note(process, part, str(content["cluster"]), int(content["revision"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
