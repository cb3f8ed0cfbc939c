"""Transactions on PostgreSQL, over a pool of connections that come back after an outage.

What fails before COMMIT is sent had no effect, and is repeated for a while where it may pass. What
fails while COMMIT is under way may have happened: `OutcomeUnknown`, never repeated here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncCursor
from psycopg.pq import TransactionStatus

from crawler.clock import Backoff, Clock
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.failpoint import hit
from crawler.store.postgres import server
from crawler.store.postgres.faults import foreign_errors
from crawler.store.postgres.pool import Pool
from crawler.store.postgres.server import Connection

T = TypeVar("T")
Parameters = Sequence[Any] | dict[str, Any]

RETRY = Backoff(base_s=0.02, cap_s=1.0)
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
TRANSACTION_S = 15.0  # a server that stands still is noticed by nothing else


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction. ``now`` is its time by the store's ``clock``."""

    cursor: AsyncCursor[tuple[Any, ...]]
    now: float
    clock: Callable[[], Awaitable[float]]

    async def run(self, statement: str, parameters: Parameters = ()) -> int:
        """The number of rows that it concerned."""
        await self.cursor.execute(statement.encode(), parameters)
        return self.cursor.rowcount

    async def all(self, statement: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Its rows."""
        await self.cursor.execute(statement.encode(), parameters)
        return await self.cursor.fetchall()

    async def one(self, statement: str, parameters: Parameters = ()) -> tuple[Any, ...] | None:
        """Its first row."""
        await self.cursor.execute(statement.encode(), parameters)
        return await self.cursor.fetchone()

    async def later(self) -> Transaction:
        """The same, with the time of now: whoever waited for locks is behind."""
        return replace(self, now=await self.clock())


Work = Callable[[Transaction], Awaitable[T]]
Now = Callable[[Connection], Awaitable[float]]


async def server_time(connection: Connection) -> float:
    """The database's clock, one for all machines that crawl."""
    cursor = await connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
    row = await cursor.fetchone()
    assert row is not None
    return float(row[0])


class Database:
    """Every call is one transaction on some connection of the pool."""

    def __init__(
        self, arguments: dict[str, Any], clock: Clock, now: Now, *, patience_s: float
    ) -> None:
        self._clock = clock
        self._now = now
        self._patience_s = patience_s
        self._pool = Pool(partial(server.redial, arguments), clock, patience_s=patience_s)

    async def close(self) -> None:
        """Idempotent."""
        await self._pool.close()

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` on one snapshot."""
        return await self._patiently(lambda: self._transaction("", work))

    async def write(self, verb: str, work: Work[T]) -> T:
        """Run ``work`` in one transaction.

        Failpoints: ``store.in_<verb>`` (begun, nothing written), ``store.before_<verb>`` (all
        written, not committed), ``store.after_<verb>`` (committed, not answered). A caller that
        is cancelled before COMMIT has no effect; from then on the call is awaited to its end.
        """
        return await self._patiently(lambda: self._transaction(verb, work))

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat what the database gave up or could not take, for about ``patience_s``."""
        waited_s = 0.0
        for delay_s in RETRY.delays():
            began = self._clock.elapsed()
            try:
                return await attempt()
            except StoreUnavailable as error:
                waited_s += self._clock.elapsed() - began + delay_s
                if waited_s >= self._patience_s or not isinstance(error.__cause__, psycopg.Error):
                    raise
            await self._clock.sleep(delay_s)
        raise AssertionError("delays never end")

    async def _transaction(self, verb: str, work: Work[T]) -> T:
        connection = await self._pool.take()
        try:
            with foreign_errors():
                result = await self._begin(connection, verb, work)
            await _to_the_end(_commit(connection))
        finally:
            await _to_the_end(self._give_back(connection))
        if verb:
            await hit(f"store.after_{verb}")
        return result

    async def _begin(self, connection: Connection, verb: str, work: Work[T]) -> T:
        """All of a transaction but its end."""
        try:
            async with asyncio.timeout(TRANSACTION_S):
                now = await self._now(connection)
                await connection.execute("BEGIN" if verb else _SNAPSHOT)
                async with connection.cursor() as cursor:
                    transaction = Transaction(cursor, now, partial(self._now, connection))
                    if verb:
                        await hit(f"store.in_{verb}")
                    result = await work(transaction)
                    if verb:
                        await hit(f"store.before_{verb}")
                    return result
        except TimeoutError as error:
            raise StoreUnavailable("the database does not answer") from error

    async def _give_back(self, connection: Connection) -> None:
        """Where the database failed a transaction, its session goes too: its settings may be the
        cause, as of one begun while the database could only be read."""
        if connection.info.transaction_status is TransactionStatus.INTRANS:
            await _roll_back(connection)
        await self._pool.give_back(connection)


async def _commit(connection: Connection) -> None:
    """Raises `StoreUnavailable` where the server says that nothing was kept, `OutcomeUnknown`
    where it says nothing."""
    try:
        async with asyncio.timeout(TRANSACTION_S):
            cursor = await connection.execute("COMMIT")
    except (psycopg.Error, TimeoutError) as error:
        if isinstance(error, psycopg.Error) and _definite(error):
            with foreign_errors():
                raise
        raise OutcomeUnknown("the answer of the database to a commit was lost") from error
    if cursor.statusmessage != "COMMIT":
        raise StoreUnavailable("the database gave up this transaction")


def _definite(error: psycopg.Error) -> bool:
    """Whether the server itself refused to commit. One that is shut down in between may have
    committed (class 57), and a lost connection says nothing."""
    state = error.sqlstate or ""
    return bool(state) and state[:2] not in {"08", "57", "58", "XX"} and state != "40003"


async def _roll_back(connection: Connection) -> None:
    with suppress(psycopg.Error, TimeoutError):
        async with asyncio.timeout(1.0):
            await connection.execute("ROLLBACK")


async def _to_the_end(work: Awaitable[T]) -> T:
    """Await ``work`` although the caller is cancelled meanwhile, however often; the cancellation
    then goes on."""
    task = asyncio.ensure_future(work)
    cancelled = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except BaseException:  # noqa: BLE001 - told below
            break
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # the caller is gone; nobody else asks for it
    raise cancelled
