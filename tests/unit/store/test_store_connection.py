"""Transactions on their thread: locks are waited for, cancellation leaves nothing half done."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crawler import failpoint
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.store.sqlite import connection as module
from crawler.store.sqlite.beside import run_beside
from crawler.store.sqlite.connection import Connection
from crawler.store.sqlite.faults import translated
from crawler.store.sqlite.schema import APPLICATION_ID, prepare_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "store.db"
    prepare_file(found)
    return found


@pytest.fixture
async def connection(path: Path) -> AsyncIterator[Connection]:
    made = Connection(path, name="test", locked_for_s=0.2)
    await made.open()
    await made.write("make", make)
    yield made
    await made.close()


@pytest.fixture
def blocker(path: Path, connection: Connection) -> Iterator[sqlite3.Connection]:
    """Another connection, as another process would have one."""
    other = sqlite3.connect(path, isolation_level=None)
    yield other
    other.close()


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoint.arm("")


def make(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (x)")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def insert(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO t VALUES (1)")


def size_of(path: str) -> int:
    return os.path.getsize(path)


async def rows(connection: Connection) -> int:
    return await connection.read(lambda c: int(c.execute("SELECT count(*) FROM t").fetchone()[0]))


async def test_a_lock_is_waited_for(connection: Connection, blocker: sqlite3.Connection) -> None:
    blocker.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(connection.write("insert", insert))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.05)
    blocker.execute("COMMIT")
    await waiting
    assert await rows(connection) == 1


async def test_a_lock_that_stays_is_ours_to_tell(
    connection: Connection, blocker: sqlite3.Connection
) -> None:
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="in use by another process") as caught:
        await connection.write("insert", insert)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert await rows(connection) == 0, "readers go on"
    blocker.execute("COMMIT")
    await connection.write("insert", insert)


async def test_an_error_rolls_back(connection: Connection) -> None:
    def failing(c: sqlite3.Connection) -> None:
        insert(c)
        raise StoreUnavailable("in the middle")

    with pytest.raises(StoreUnavailable):
        await connection.write("insert", failing)
    assert await rows(connection) == 0
    await connection.write("insert", insert)
    assert await rows(connection) == 1


async def test_mistakes_in_sql_are_not_disguised(connection: Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await connection.write("insert", lambda c: c.execute("INSERT INTO nowhere VALUES (1)"))
    await connection.write("insert", insert)


@pytest.mark.parametrize(("place", "kept"), [("in", 0), ("before", 0), ("after", 1)])
async def test_failpoints_stand_where_they_say(
    connection: Connection, place: str, kept: int
) -> None:
    failpoint.arm(f"store.{place}_insert=fail")
    with pytest.raises(OutcomeUnknown):
        await connection.write("insert", insert)
    assert await rows(connection) == kept


async def test_a_running_call_ends_before_its_cancellation_goes_on(connection: Connection) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(c: sqlite3.Connection) -> None:
        insert(c)
        started.set()
        go_on.wait(10)

    task = asyncio.create_task(connection.write("insert", slow))
    await asyncio.to_thread(started.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.wait({task}, timeout=0.01)
        assert not task.done(), "the transaction is still open"
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await rows(connection) == 1


async def test_a_call_in_line_is_dropped(connection: Connection) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(c: sqlite3.Connection) -> None:
        started.set()
        go_on.wait(10)

    first = asyncio.create_task(connection.write("insert", slow))
    await asyncio.to_thread(started.wait, 10)
    second = asyncio.create_task(connection.write("insert", insert))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go_on.set()
    await first
    assert await rows(connection) == 0


async def test_cancelling_ends_the_wait_for_a_lock(path: Path, blocker: sqlite3.Connection) -> None:
    patient = Connection(path, name="patient", locked_for_s=60.0)
    await patient.open()
    blocker.execute("BEGIN IMMEDIATE")
    task = asyncio.create_task(patient.write("insert", insert))
    await asyncio.wait({task}, timeout=0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5.0)
    blocker.execute("COMMIT")
    assert await rows(patient) == 0
    await patient.close()


async def test_the_loop_goes_on_meanwhile(connection: Connection) -> None:
    failpoint.arm("store.in_insert=sleep(0.2)")
    task = asyncio.create_task(connection.write("insert", insert))
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0.01)
    assert turns > 5


async def test_a_snapshot_is_one(connection: Connection, blocker: sqlite3.Connection) -> None:
    def twice(c: sqlite3.Connection) -> tuple[int, int]:
        first = c.execute("SELECT count(*) FROM t").fetchone()[0]
        blocker_thread_insert()
        return first, c.execute("SELECT count(*) FROM t").fetchone()[0]

    def blocker_thread_insert() -> None:
        done = asyncio.run_coroutine_threadsafe(insert_there(), loop)
        done.result(10)

    async def insert_there() -> None:
        insert(blocker)

    loop = asyncio.get_running_loop()
    assert await connection.read(twice) == (0, 0)
    assert await rows(connection) == 1


async def test_the_log_starts_anew(connection: Connection, path: Path) -> None:
    def many(c: sqlite3.Connection) -> None:
        c.executemany("INSERT INTO t VALUES (?)", (("x" * 500,) for _ in range(500)))

    for _ in range(60):
        await connection.write("insert", many)
    assert size_of(f"{path}-wal") < 4 * 2**20 < 60 * 500 * 500


async def test_a_checkpoint_meets_no_commit(
    connection: Connection, blocker: sqlite3.Connection, path: Path
) -> None:
    """The log is copied under the write lock (sqlite.org/wal.html#walresetbug)."""
    seen: list[tuple[str, bool]] = []
    other = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)

    def look(statement: str) -> None:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            seen.append((statement, True))
        else:
            seen.append((statement, False))

    checkpointer = connection._checkpointer
    assert checkpointer is not None
    await connection.read(lambda _: checkpointer.set_trace_callback(look))
    batch = [(1,)] * module.CHECKPOINT_AFTER_CHANGES
    for _ in range(2):
        await connection.write(
            "insert", lambda c: c.executemany("INSERT INTO t VALUES (?)", batch).close()
        )
    assert seen == [("PRAGMA wal_checkpoint(PASSIVE)", True)]
    other.close()


def test_errors_have_sentences() -> None:
    for code, word in [
        (sqlite3.SQLITE_FULL, "no space"),
        (sqlite3.SQLITE_IOERR_WRITE, "disk"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "in use"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "cannot be written"),
        (sqlite3.SQLITE_CORRUPT, "damaged"),
    ]:
        error = sqlite3.OperationalError("x")
        error.sqlite_errorcode = code
        ours = translated(error)
        assert isinstance(ours, StoreUnavailable)
        assert word in str(ours)
    assert translated(sqlite3.IntegrityError("x")) is None


async def test_who_crawls_has_its_threads_beside_the_loop(connection: Connection) -> None:
    """On each processor in turn; whoever does not crawl leaves that to the system."""
    processors = os.sched_getaffinity(0)
    assert await connection.read(lambda _: os.sched_getaffinity(0)) == processors
    connection.stay_near()
    try:
        for processor in processors:
            os.sched_setaffinity(0, {processor})
            assert await connection.read(lambda _: os.sched_getaffinity(0)) == {processor}
            assert await connection.write("look", lambda _: os.sched_getaffinity(0)) == {processor}
    finally:
        os.sched_setaffinity(0, processors)


def test_where_a_thread_runs_cannot_be_had_nothing_happens() -> None:
    processors = os.sched_getaffinity(0)
    run_beside(2**22 + 1)  # beyond the most that Linux gives
    assert os.sched_getaffinity(0) == processors
