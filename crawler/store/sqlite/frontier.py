"""One part of one run under one claim: the `Frontier` of this backend."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

from crawler.clock import Clock
from crawler.model import Progress, Request, Visit
from crawler.store.contract import Window
from crawler.store.dealing import Choice
from crawler.store.fencing import Claim
from crawler.store.sqlite import recording, window
from crawler.store.sqlite.connection import Connection
from crawler.store.sqlite.ledger import check_claim

T = TypeVar("T")


class SqliteFrontier:
    """Every call proves the claim in the transaction that it writes or reads in."""

    def __init__(self, claim: Claim, writer: Connection, reader: Connection, clock: Clock) -> None:
        self._claim = claim
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._last_host = ""

    async def seed(self, requests: Sequence[Request]) -> Progress:
        return await self._write("seed", lambda c: recording.seed(c, self._claim, requests))

    async def window(self, limit: int, per_host: int, skip: AbstractSet[bytes]) -> Window:
        def choose(connection: sqlite3.Connection) -> Choice:
            now = self._clock.wall()
            return window.choose(
                connection, self._claim, limit, per_host, skip, self._last_host, now
            )

        choice = await self._read(choose)
        if choice.overdue:
            await self._write(
                "promote", lambda c: window.promote(c, self._claim, self._clock.wall())
            )
            choice = await self._read(choose)
        self._last_host = choice.last_host
        return Window(choice.requests, choice.next_in_s)

    async def commit(self, visits: Sequence[Visit]) -> Progress:
        return await self._write(
            "commit",
            lambda c: recording.record(c, self._claim, visits, self._clock.wall()),
        )

    async def sweep(self) -> bool:
        return await self._write("sweep", lambda c: recording.sweep(c, self._claim))

    async def strike(self, fingerprint: bytes, reason: str) -> Progress:
        return await self._write(
            "strike",
            lambda c: recording.strike(c, self._claim, fingerprint, reason, self._clock.wall()),
        )

    async def finish(self, reason: str, *, limit: bool = False) -> Progress:
        return await self._write(
            "finish",
            lambda c: recording.finish(c, self._claim, reason, limit, self._clock.wall()),
        )

    async def targets(self, fingerprints: Sequence[bytes]) -> Sequence[str]:
        return await self._read(lambda c: window.targets(c, self._claim, fingerprints))

    async def progress(self) -> Progress:
        return await self._read(lambda c: recording.progress(c, self._claim.run_id))

    async def note(self, kind: str, detail: str) -> None:
        await self._write(
            "note", lambda c: recording.note(c, self._claim, kind, detail, self._clock.wall())
        )

    async def _write(self, verb: str, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._writer.write(verb, self._proven(work))

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._reader.read(self._proven(work))

    def _proven(self, work: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
        def proven(connection: sqlite3.Connection) -> T:
            check_claim(connection, self._claim)
            return work(connection)

        return proven
