"""The `Store` of this backend: one pool of connections, and what they are used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crawler.clock import Clock
from crawler.model import (
    Event,
    Failures,
    ItemRecord,
    JournalRecord,
    Keep,
    KeptAnswer,
    PageRecord,
    PageState,
    Progress,
    Retried,
    RunRecord,
    SinkRecord,
    Stamp,
    Stats,
)
from crawler.store.contract import LAST, Job, Memo, Mirrored
from crawler.store.postgres import (
    answers,
    inquiries,
    ledger,
    outbox,
    purging,
    results,
    retrying,
    schema,
    server,
    trimming,
)
from crawler.store.postgres.budgets import PostgresBudgets
from crawler.store.postgres.connection import Database, Now, server_time
from crawler.store.postgres.frontier import PostgresFrontier
from crawler.store.postgres.outbox import PostgresOutbox
from crawler.story import Reason, Story


async def open_postgres(
    url: str,
    clock: Clock,
    *,
    locked_for_s: float,
    name: str = "crawler",
    now: Now = server_time,
) -> PostgresStore:
    """Open the database, creating its schema. See `crawler.store.open_store`."""
    arguments = server.parse_url(url, name)
    connection = await server.connect(arguments)
    try:
        store_id = await schema.migrate(connection)
    finally:
        await connection.close()
    database = Database(arguments, clock, now, patience_s=locked_for_s)
    return PostgresStore(server.place(url), store_id, database)


class PostgresStore:
    """Any number of processes on any number of machines."""

    def __init__(self, place: str, store_id: str, database: Database) -> None:
        self._place = place
        self._id = store_id
        self._database = database

    @property
    def id(self) -> str:
        return self._id

    async def claim(self, stamp: Stamp, job: Job) -> PostgresFrontier:
        claim = await self._database.write("claim", lambda tx: ledger.claim(tx, stamp, job))
        return PostgresFrontier(claim, self._database)

    def budgets(self, holder: str) -> PostgresBudgets:
        return PostgresBudgets(holder, self._database)

    def outbox(self, holder: str) -> PostgresOutbox:
        return PostgresOutbox(holder, self._database)

    async def sinks(self, resource_id: str) -> Sequence[SinkRecord]:
        return await self._database.read(lambda tx: outbox.sinks(tx, resource_id))

    async def open_epoch(self, cluster: str, revision: int) -> int:
        return await self._database.write(
            "epoch", lambda tx: ledger.open_epoch(tx, cluster, revision)
        )

    async def raise_fence(self, stamp: Stamp) -> None:
        await self._database.write("fence", lambda tx: ledger.raise_fence(tx, stamp))

    async def bury(self, resource_id: str) -> None:
        await self._database.write("bury", lambda tx: ledger.bury(tx, resource_id))

    async def purge(self, limit: int) -> int:
        found = await self._database.read(lambda tx: purging.find_remains(tx, max(0, limit)))
        if not found:
            return 0
        return await self._database.write("purge", lambda tx: purging.purge(tx, found, limit))

    async def trim(self, resource_id: str, keep: Keep, limit: int) -> bool:
        if not await self._database.read(lambda tx: trimming.is_due(tx, resource_id, keep)):
            return False
        return await self._database.write(
            "trim", lambda tx: trimming.trim(tx, resource_id, keep, max(1, limit))
        )

    async def failed(
        self, resource_id: str, run: int, wanted: Failures, *, after: int = 0, limit: int = 1000
    ) -> Sequence[int]:
        return await self._database.read(
            lambda tx: retrying.find_failed(tx, resource_id, run, wanted, after, limit)
        )

    async def retry(self, stamp: Stamp, run: int, pages: Sequence[int]) -> Retried:
        return await self._database.write("retry", lambda tx: retrying.retry(tx, stamp, run, pages))

    async def note(self, events: Sequence[tuple[str, Event]]) -> None:
        if events:
            await self._database.write("tell", lambda tx: ledger.note_all(tx, events))

    async def mirror(self, entries: Sequence[Memo]) -> None:
        if entries:
            await self._database.write("mirror", lambda tx: ledger.mirror(tx, entries))

    async def mirrored(self) -> Sequence[Mirrored]:
        return await self._database.read(ledger.mirrored)

    async def progress(self, resource_ids: Sequence[str]) -> Mapping[str, tuple[int, Progress]]:
        return await self._database.read(lambda tx: results.progress(tx, resource_ids))

    async def runs(self, resource_id: str) -> Mapping[int, RunRecord]:
        return await self._database.read(lambda tx: results.runs(tx, resource_id))

    async def stats(self, resource_id: str, run: int | None = None) -> Stats:
        return await self._database.read(lambda tx: results.stats(tx, resource_id, run))

    async def due_runs(self, due: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
        return await self._database.read(lambda tx: results.due_runs(tx, due))

    async def pages(
        self,
        resource_id: str,
        *,
        run: int | None = None,
        state: PageState | None = None,
        status: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> tuple[Sequence[PageRecord], str]:
        return await self._database.read(
            lambda tx: results.pages(tx, resource_id, run, state, status, after, limit)
        )

    async def items(
        self,
        resource_id: str,
        *,
        run: int | None = None,
        after: int = 0,
        until: int = LAST,
        limit: int = 100,
    ) -> Sequence[ItemRecord]:
        return await self._database.read(
            lambda tx: results.items(tx, resource_id, run, after, until, limit)
        )

    async def extents(self, resource_id: str) -> Mapping[int, int]:
        return await self._database.read(lambda tx: results.extents(tx, resource_id))

    async def events(
        self, resource_id: str, *, after: int = 0, limit: int = 100
    ) -> Sequence[Event]:
        return await self._database.read(lambda tx: results.events(tx, resource_id, after, limit))

    async def journal(self, *, before: int = LAST, limit: int = 100) -> Sequence[JournalRecord]:
        return await self._database.read(lambda tx: results.journal(tx, before, limit))

    async def begin_answer(self, key: str, digest: bytes, plan: str) -> KeptAnswer:
        return await self._database.write("answer", lambda tx: answers.begin(tx, key, digest, plan))

    async def end_answer(self, key: str, digest: bytes, status: int, body: str) -> None:
        await self._database.write(
            "answered", lambda tx: answers.end(tx, key, digest, status, body)
        )

    async def story(
        self, resource_id: str, fingerprint: bytes, *, run: int | None = None
    ) -> Story | None:
        return await self._database.read(
            lambda tx: inquiries.story(tx, resource_id, fingerprint, run)
        )

    async def reasons(self, resource_id: str, *, run: int | None = None) -> Sequence[Reason]:
        return await self._database.read(lambda tx: inquiries.reasons(tx, resource_id, run))

    async def find_pages(
        self,
        resource_id: str,
        text: str,
        *,
        run: int | None = None,
        state: PageState | None = None,
        status: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> tuple[Sequence[PageRecord], str]:
        return await self._database.read(
            lambda tx: inquiries.find_pages(tx, resource_id, text, run, state, status, after, limit)
        )

    async def find_items(
        self,
        resource_id: str,
        text: str,
        *,
        run: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> tuple[Sequence[ItemRecord], str]:
        return await self._database.read(
            lambda tx: inquiries.find_items(tx, resource_id, text, run, after, limit)
        )

    async def totals(self) -> Progress:
        return await self._database.read(inquiries.totals)

    async def failing(self, limit: int) -> Sequence[tuple[str, int, int]]:
        return await self._database.read(lambda tx: inquiries.failing(tx, limit))

    async def scheduled(self, resource_ids: Sequence[str]) -> Mapping[str, str]:
        return await self._database.read(lambda tx: inquiries.scheduled(tx, resource_ids))

    async def tasks(self, *, before: str = "", limit: int = 100) -> Sequence[tuple[str, str, str]]:
        return await self._database.read(lambda tx: inquiries.tasks(tx, before, limit))

    async def check(self) -> Mapping[str, Any]:
        row = await self._database.read(ledger.health)
        version, size, level, standby, connections, most = row
        return {
            "backend": "postgresql",
            "id": self._id,
            "place": self._place,
            "schema": schema.VERSION,
            "postgresql": version,
            "size_bytes": size,
            "synchronous_commit": level,
            "standby": standby,
            "connections": connections,
            "max_connections": most,
        }

    async def close(self) -> None:
        await self._database.close()
