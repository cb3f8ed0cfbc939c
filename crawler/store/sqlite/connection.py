"""One SQLite connection on a thread of its own: the event loop never waits for the disk.

Each transaction is one synchronous call that runs to its end, whatever happens to its caller.
Automatic checkpoints are off: SQLite before 3.51.3 can lose pages when a checkpoint meets a commit
that resets the log (sqlite.org/wal.html#walresetbug). Ours run at the beginning of a write, under
the write lock, so no commit can meet them.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from crawler.clock import Backoff
from crawler.errors import Misconfigured, OutcomeUnknown, StoreUnavailable
from crawler.failpoint import hit_sync
from crawler.store.sqlite.beside import run_beside
from crawler.store.sqlite.faults import code_of, foreign_errors, is_busy
from crawler.store.sqlite.schema import refuse_foreign

log = structlog.get_logger(__name__)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

RETRY = Backoff(base_s=0.001, cap_s=0.05, floor_s=0.0005)
CHECKPOINT_AFTER_CHANGES = 4000  # rows; some megabytes of log
CACHE_KIB = 16 * 1024


class Successor(Protocol):
    """Somebody who may end the process that holds the lock."""

    def announced(self) -> AbstractContextManager[None]:
        """Say who asks for the lock, while the block runs."""

    def evict(self, connection: sqlite3.Connection) -> bool:
        """End whom it may; whether somebody is gone, so that asking again is worthwhile."""


class Connection:
    """A connection whose every use happens on its own thread, in the order of the calls."""

    def __init__(self, path: Path, *, name: str, locked_for_s: float) -> None:
        self._path = path
        self._locked_for_s = locked_for_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"store-{name}")
        self._sqlite: sqlite3.Connection | None = None
        self._checkpointer: sqlite3.Connection | None = None
        self._checked_changes = 0
        self._loop_thread: int | None = None

    def stay_near(self) -> None:
        """From now on run beside the event loop's thread, which is the calling one: for a process
        that does little else than this."""
        self._loop_thread = threading.get_native_id()

    async def open(self) -> None:
        """Connect. Raises `Misconfigured` where WAL cannot be had."""
        await self._call(self._connect)

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` on one snapshot."""
        return await self._call(lambda gave_up: self._read(work, gave_up))

    async def write(self, verb: str, work: Work[T], successor: Successor | None = None) -> T:
        """Run ``work`` in one transaction under the write lock.

        Failpoints: ``store.in_<verb>`` (lock held, nothing written), ``store.before_<verb>``
        (all written, not committed), ``store.after_<verb>`` (committed, not answered). A caller
        that is cancelled while its call waits in line or for the lock has no effect; afterwards
        the call is awaited to its end, and only then the cancellation goes on.
        """
        return await self._call(lambda gave_up: self._write(verb, work, successor, gave_up))

    async def close(self) -> None:
        """Finish what was called before, then disconnect. Idempotent."""
        with suppress(StoreUnavailable):
            await self._call(self._disconnect)
        self._thread.shutdown(wait=True)

    async def _call(self, job: Callable[[threading.Event], T]) -> T:
        gave_up = threading.Event()
        try:
            future: Future[T] = self._thread.submit(self._run, job, gave_up)
        except RuntimeError as error:
            raise StoreUnavailable("the store is closed") from error
        waiting = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            gave_up.set()
            if not future.cancel():
                await _ended(waiting)
            raise

    def _run(self, job: Callable[[threading.Event], T], gave_up: threading.Event) -> T:
        if self._loop_thread is not None:
            run_beside(self._loop_thread)
        return job(gave_up)

    def _connect(self, gave_up: threading.Event) -> None:
        with foreign_errors():
            self._sqlite = self._patiently(lambda: _connect(self._path), gave_up)
            self._checkpointer = self._patiently(lambda: _connect(self._path), gave_up)

    def _disconnect(self, _: threading.Event) -> None:
        with foreign_errors():
            for each in (self._checkpointer, self._sqlite):
                if each is not None:
                    each.close()
        self._sqlite = self._checkpointer = None

    def _opened(self) -> sqlite3.Connection:
        if self._sqlite is None:
            raise StoreUnavailable("the store is not open")
        return self._sqlite

    def _read(self, work: Work[T], gave_up: threading.Event) -> T:
        connection = self._opened()

        def snapshot() -> T:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                _roll_back(connection)

        with foreign_errors():
            return self._patiently(snapshot, gave_up)

    def _write(
        self, verb: str, work: Work[T], successor: Successor | None, gave_up: threading.Event
    ) -> T:
        connection = self._opened()
        with foreign_errors(), successor.announced() if successor else nullcontext():
            self._lock(connection, successor, gave_up)
            if self._checkpoint(connection):
                self._lock(connection, successor, gave_up)
            try:
                hit_sync(f"store.in_{verb}")
                result = work(connection)
                hit_sync(f"store.before_{verb}")
                _commit(connection)
            finally:
                _roll_back(connection)
            hit_sync(f"store.after_{verb}")
            return result

    def _lock(
        self,
        connection: sqlite3.Connection,
        successor: Successor | None,
        gave_up: threading.Event,
    ) -> None:
        def begin() -> None:
            connection.execute("BEGIN IMMEDIATE")

        try:
            self._patiently(begin, gave_up)
        except sqlite3.OperationalError as error:
            if successor is None or gave_up.is_set() or not is_busy(error):
                raise
            if not successor.evict(connection):
                raise
            self._patiently(begin, gave_up)

    def _patiently(self, job: Callable[[], T], gave_up: threading.Event) -> T:
        """Repeat while others are in the way, for ``locked_for_s`` of waiting, jittered.

        Waiting is counted, not read from a clock: what a stopped process misses is no waiting.
        """
        waited_s = 0.0
        for delay_s in RETRY.delays():
            try:
                return job()
            except sqlite3.OperationalError as error:
                if not is_busy(error) or gave_up.is_set() or waited_s >= self._locked_for_s:
                    raise
            gave_up.wait(delay_s)
            waited_s += delay_s
        raise AssertionError("delays never end")

    def _checkpoint(self, connection: sqlite3.Connection) -> bool:
        """Copy the log into the file where it is time; True: done, and the lock given back.

        Only a transaction that begins after a complete copy may start the log anew; so the one
        that asked begins again.
        """
        changes = connection.total_changes
        if changes - self._checked_changes < CHECKPOINT_AFTER_CHANGES:
            return False
        assert self._checkpointer is not None
        self._checked_changes = changes
        try:
            self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            # The log only grows; whether the disk is usable, the transaction itself finds out.
            log.warning("checkpoint failed", error=str(error))
        finally:
            _roll_back(connection)
        return True


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0.0, isolation_level=None, cached_statements=256)
    try:
        connection.execute("BEGIN")  # another process may just be making the schema
        refuse_foreign(connection)
        connection.execute("ROLLBACK")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise Misconfigured(f"--store: {path}: the file system does not allow SQLite's WAL")
        for setting in (
            "synchronous = FULL",
            "wal_autocheckpoint = 0",
            f"cache_size = -{CACHE_KIB}",
            "temp_store = MEMORY",
            "secure_delete = OFF",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


def _commit(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if code_of(error) == sqlite3.SQLITE_IOERR:
            # The log may hold the commit although its flush failed; a crash now would keep it.
            raise OutcomeUnknown(f"the disk failed in a commit ({error})") from error
        raise


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        # An error here only says that SQLite rolled back by itself.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


async def _ended(waiting: asyncio.Future[T]) -> None:
    """Wait for the end of a call that cannot be stopped; further cancellations add nothing."""
    while not waiting.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({waiting})
    if not waiting.cancelled():
        waiting.exception()
