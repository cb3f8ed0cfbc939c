"""One part of one run under one claim: the `Frontier` of this backend. Its times are the
database's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

from crawler.errors import Fenced
from crawler.model import Progress, Request, Visit
from crawler.store.contract import Window
from crawler.store.dealing import Choice
from crawler.store.fencing import Claim
from crawler.store.postgres import recording, window
from crawler.store.postgres.connection import Database, Transaction
from crawler.store.postgres.ledger import check_claim, lock_resource, look_at_claim

T = TypeVar("T")
Work = Callable[[Transaction], Awaitable[T]]


class PostgresFrontier:
    """Every call proves the claim in the transaction that it writes or reads in."""

    def __init__(self, claim: Claim, database: Database) -> None:
        self._claim = claim
        self._database = database
        self._last_host = ""

    async def seed(self, requests: Sequence[Request]) -> Progress:
        return await self._write("seed", lambda tx: recording.seed(tx, self._claim, requests))

    async def window(self, limit: int, per_host: int, skip: AbstractSet[bytes]) -> Window:
        async def choose(tx: Transaction) -> Choice:
            return await window.choose(tx, self._claim, limit, per_host, skip, self._last_host)

        choice = await self._read(choose)
        if choice.overdue:
            await self._write("promote", lambda tx: window.promote(tx, self._claim))
            choice = await self._read(choose)
        self._last_host = choice.last_host
        return Window(choice.requests, choice.next_in_s)

    async def commit(self, visits: Sequence[Visit]) -> Progress:
        return await self._write("commit", lambda tx: recording.record(tx, self._claim, visits))

    async def sweep(self) -> bool:
        return await self._write("sweep", lambda tx: recording.sweep(tx, self._claim))

    async def strike(self, fingerprint: bytes, reason: str) -> Progress:
        return await self._write(
            "strike", lambda tx: recording.strike(tx, self._claim, fingerprint, reason)
        )

    async def finish(self, reason: str, *, limit: bool = False) -> Progress:
        return await self._write_about(
            "finish", lambda tx: recording.finish(tx, self._claim, reason, limit)
        )

    async def targets(self, fingerprints: Sequence[bytes]) -> Sequence[str]:
        return await self._read(lambda tx: window.targets(tx, self._claim, fingerprints))

    async def progress(self) -> Progress:
        return await self._read(lambda tx: recording.progress(tx, self._claim.run_id))

    async def note(self, kind: str, detail: str) -> None:
        await self._write_about("note", lambda tx: recording.note(tx, self._claim, kind, detail))

    async def _write(self, verb: str, work: Work[T]) -> T:
        async def proven(tx: Transaction) -> T:
            await check_claim(tx, self._claim)
            return await work(tx)

        return await self._database.write(verb, proven)

    async def _write_about(self, verb: str, work: Work[T]) -> T:
        """For what adds an event: the resource is locked first, as everywhere."""

        async def proven(tx: Transaction) -> T:
            if not await lock_resource(tx, self._claim.resource_id):
                raise Fenced(f"resource {self._claim.resource_id} is deleted")
            await check_claim(tx, self._claim)
            return await work(tx)

        return await self._database.write(verb, proven)

    async def _read(self, work: Work[T]) -> T:
        async def proven(tx: Transaction) -> T:
            await look_at_claim(tx, self._claim)
            return await work(tx)

        return await self._database.read(proven)
