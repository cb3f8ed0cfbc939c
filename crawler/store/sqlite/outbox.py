"""The outbox of this backend: leases on sinks, and the items that they have yet to get."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from crawler.clock import Clock
from crawler.errors import Fenced
from crawler.model import SinkRecord
from crawler.store import statements
from crawler.store.cleaning import clean_text
from crawler.store.fencing import Claim
from crawler.store.leases import HOLD_S, SINKS_SHOWN, asked, key_of, postponed, summed, taken_over
from crawler.store.outbox import Delivery, Outgoing
from crawler.store.sqlite.connection import Connection

_SQL = statements.statements("sqlite", "outbox")
Key = tuple[int, str]


class SqliteOutbox:
    """Bound to one holder. What is only looked at does not wait for the write lock."""

    def __init__(self, holder: str, writer: Connection, reader: Connection, clock: Clock) -> None:
        self._holder = clean_text(holder)
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def take(
        self, limit: int, skip: AbstractSet[Key], *, early: bool = False
    ) -> Sequence[Delivery]:
        if limit <= 0 or not await self._reader.read(lambda c: self._due(c, limit, skip, early)):
            return ()
        return await self._writer.write("take", lambda c: self._take(c, limit, skip, early))

    async def read(self, delivery: Delivery, limit: int, max_bytes: int) -> Sequence[Outgoing]:
        return await self._reader.read(lambda c: _outgoing(c, delivery, limit, max_bytes))

    async def advance(self, delivery: Delivery, seq: int, count: int) -> Delivery:
        now = self._clock.wall()
        row = {"seq": seq, "count": count, "now": now, "until": now + HOLD_S}
        await self._change("advance", "advance_outbox", delivery, row)
        return replace(delivery, seq=seq, failures=0)

    async def settle(self, delivery: Delivery) -> bool:
        def work(connection: sqlite3.Connection) -> bool:
            _check(connection, delivery)
            return bool(connection.execute(_SQL["settle_outbox"], key_of(delivery)).rowcount)

        return await self._writer.write("settle", work)

    async def postpone(self, delivery: Delivery, wait_s: float, trouble: str) -> None:
        row = postponed(delivery, wait_s, trouble, self._clock.wall())
        await self._change("postpone", "postpone_outbox", delivery, row)

    async def lags(self, limit: int) -> Mapping[tuple[str, str], int]:
        return await self._reader.read(
            lambda c: summed(c.execute(_SQL["select_lags"], (limit,)).fetchall())
        )

    async def release(self) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(_SQL["release_outbox"], (self._holder,))

        await self._writer.write("give_back", work)

    async def _change(
        self, verb: str, statement: str, delivery: Delivery, row: dict[str, Any]
    ) -> None:
        def work(connection: sqlite3.Connection) -> None:
            if not connection.execute(_SQL[statement], {**key_of(delivery), **row}).rowcount:
                raise Fenced(taken_over(delivery))

        await self._writer.write(verb, work)

    def _due(
        self, connection: sqlite3.Connection, limit: int, skip: AbstractSet[Key], early: bool
    ) -> list[Key]:
        wanted = asked(self._holder, self._clock.wall(), limit + len(skip), early=early)
        rows = connection.execute(_SQL["select_due_outbox"], wanted).fetchall()
        return [row for row in rows if row not in skip][:limit]

    def _take(
        self, connection: sqlite3.Connection, limit: int, skip: AbstractSet[Key], early: bool
    ) -> list[Delivery]:
        until = self._clock.wall() + HOLD_S
        found = []
        for run_id, sink in self._due(connection, limit, skip, early):
            row = {"run_id": run_id, "sink": sink, "holder": self._holder, "until": until}
            connection.execute(_SQL["lease_outbox"], row)
            taken = connection.execute(_SQL["select_delivery"], row).fetchone()
            if taken is not None:  # not of a resource that was buried
                found.append(Delivery(*taken))
        return found


def _outgoing(
    connection: sqlite3.Connection, delivery: Delivery, limit: int, max_bytes: int
) -> list[Outgoing]:
    _check(connection, delivery)
    row = {"run_id": delivery.run_id, "seq": delivery.seq, "limit": limit}
    found, left = [], max_bytes
    rows = connection.execute(_SQL["select_outgoing"], row)
    for each in rows:
        found.append(Outgoing(*each))
        left -= len(found[-1].fields)
        if left <= 0:
            break
    rows.close()
    return found


def _check(connection: sqlite3.Connection, delivery: Delivery) -> None:
    if connection.execute(_SQL["check_lease"], key_of(delivery)).fetchone() is None:
        raise Fenced(taken_over(delivery))


def open_outbox(connection: sqlite3.Connection, claim: Claim, sinks: Sequence[str]) -> None:
    """At a claim: part 0 says which sinks there are, all see that they are behind."""
    if claim.part == 0:
        names = [clean_text(each) for each in sinks]
        gone = {"resource_id": claim.resource_id, "sinks": json.dumps(names)}
        connection.execute(_SQL["forget_sinks"], gone)
        connection.executemany(_SQL["insert_outbox"], [(claim.run_id, each) for each in names])
        connection.execute(_SQL["hurry_outbox"], (claim.resource_id,))
    elif sinks:
        wake(connection, claim)


def wake(connection: sqlite3.Connection, claim: Claim) -> None:
    """Items were added: the sinks of their run are behind."""
    connection.execute(_SQL["wake_outbox"], (claim.run_id,))


def sinks(connection: sqlite3.Connection, resource_id: str, now: float) -> list[SinkRecord]:
    """How far they are."""
    row = {"resource_id": resource_id, "now": now, "limit": SINKS_SHOWN}
    return [SinkRecord(*each) for each in connection.execute(_SQL["list_sinks"], row)]
