"""Turns on hosts, kept in the database: the `Budgets` of this backend.

Their times are those of the clock that all processes of the machine share and nobody sets; a boot
looks like a step back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from crawler.clock import Clock
from crawler.model import HostGrant
from crawler.store import statements
from crawler.store.cleaning import clean_text
from crawler.store.sqlite.connection import Connection
from crawler.store.turns import Decision, Turn, Waiter, decide, give_back

_SQL = statements.statements("sqlite", "budgets")


class SqliteBudgets:
    """Bound to one holder."""

    def __init__(self, holder: str, writer: Connection, clock: Clock) -> None:
        self._holder = clean_text(holder)
        self._writer = writer
        self._clock = clock

    async def reserve(self, hosts: Mapping[str, float]) -> Mapping[str, HostGrant]:
        if not hosts:
            return {}
        asked = dict(hosts)
        return await self._writer.write("reserve", lambda c: self._reserve(c, asked))

    async def release(self, hosts: Mapping[str, float]) -> None:
        if not hosts:
            return
        given = dict(hosts)
        await self._writer.write("release", lambda c: self._release(c, given))

    def _reserve(
        self, connection: sqlite3.Connection, hosts: Mapping[str, float]
    ) -> dict[str, HostGrant]:
        now = self._clock.elapsed()
        return {
            host: self._reserve_one(connection, host, wait_s, now) for host, wait_s in hosts.items()
        }

    def _reserve_one(
        self, connection: sqlite3.Connection, host: str, wait_s: float, now: float
    ) -> HostGrant:
        key = clean_text(host)
        turn = _turn(connection, key)
        waiters = [Waiter(*row) for row in connection.execute(_SQL["select_waiters"], (key,))]
        decision = decide(turn, waiters, self._holder, wait_s, now)
        self._keep(connection, key, turn, waiters, decision)
        return decision.grant

    def _keep(
        self,
        connection: sqlite3.Connection,
        host: str,
        before: Turn,
        waiters: list[Waiter],
        decision: Decision,
    ) -> None:
        if decision.turn != before:
            _write_turn(connection, host, decision.turn)
        if (mark := decision.waiting) is not None:
            row = (host, mark.holder, mark.since, mark.seen)
            connection.execute(_SQL["upsert_waiter"], row)
        elif any(each.holder == self._holder for each in waiters):
            connection.execute(_SQL["delete_waiter"], (host, self._holder))
        if decision.gone:
            rows = [(host, holder) for holder in decision.gone]
            connection.executemany(_SQL["delete_waiter"], rows)

    def _release(self, connection: sqlite3.Connection, hosts: Mapping[str, float]) -> None:
        now = self._clock.elapsed()
        for host, wait_s in hosts.items():
            key = clean_text(host)
            _write_turn(
                connection, key, give_back(_turn(connection, key), self._holder, wait_s, now)
            )
            connection.execute(_SQL["delete_waiter"], (key, self._holder))


def _turn(connection: sqlite3.Connection, host: str) -> Turn:
    row = connection.execute(_SQL["select_turn"], (host,)).fetchone()
    return Turn() if row is None else Turn(*row)


def _write_turn(connection: sqlite3.Connection, host: str, turn: Turn) -> None:
    row = (host, turn.holder, turn.until, turn.not_before)
    connection.execute(_SQL["upsert_turn"], row)
