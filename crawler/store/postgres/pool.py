"""A few connections, dialled when somebody needs one and kept for a while.

Nothing runs in the background: who needs a connection hears itself why there is none, and after an
outage the next call is the first to get through.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from psycopg.pq import TransactionStatus

from crawler.clock import Clock
from crawler.errors import StoreUnavailable
from crawler.store.postgres.server import Connection

SIZE = 4
IDLE_S = 60.0


class Pool:
    """At most `SIZE` connections at a time; those not needed for `IDLE_S` are closed as others
    come back."""

    def __init__(
        self, dial: Callable[[], Awaitable[Connection]], clock: Clock, *, patience_s: float
    ) -> None:
        self._dial = dial
        self._clock = clock
        self._patience_s = patience_s
        self._turns = asyncio.Semaphore(SIZE)
        self._idle: deque[tuple[float, Connection]] = deque()  # the one used last stands right
        self._closed = False

    async def take(self) -> Connection:
        """An idle connection, to be given back. Raises `StoreUnavailable`."""
        await self._wait_for_turn()
        try:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            return self._idle.pop()[1] if self._idle else await self._dial()
        except BaseException:
            self._turns.release()
            raise

    async def give_back(self, connection: Connection) -> None:
        """In any other state than idle it is not used again. Where it broke, those that stood
        idle meanwhile are not trusted either: a server that restarted has ended them all."""
        status = connection.info.transaction_status
        try:
            if status is TransactionStatus.IDLE and not self._closed:
                self._idle.append((self._clock.elapsed(), connection))
                await self._close_idle(before=self._clock.elapsed() - IDLE_S)
            else:
                await connection.close()
            if status is TransactionStatus.UNKNOWN:
                await self._close_idle()
        finally:
            self._turns.release()

    async def close(self) -> None:
        """Idempotent. Connections in use are closed when they come back."""
        self._closed = True
        await self._close_idle()

    async def _wait_for_turn(self) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await self._turns.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("all connections to the database are in use") from error

    async def _close_idle(self, *, before: float = float("inf")) -> None:
        while self._idle and self._idle[0][0] < before:
            await self._idle.popleft()[1].close()
