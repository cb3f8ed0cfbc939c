"""The `Store` of this backend: one connection to write, one to read, and what they are used for."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crawler.clock import Clock
from crawler.errors import Misconfigured, StoreUnavailable
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
from crawler.store.sqlite import (
    answers,
    inquiries,
    ledger,
    outbox,
    purging,
    results,
    retrying,
    schema,
    trimming,
)
from crawler.store.sqlite.budgets import SqliteBudgets
from crawler.store.sqlite.claimants import Notes, Process, this_process
from crawler.store.sqlite.connection import Connection
from crawler.store.sqlite.faults import code_of
from crawler.store.sqlite.frontier import SqliteFrontier
from crawler.store.sqlite.outbox import SqliteOutbox
from crawler.story import Reason, Story


async def open_sqlite(path: Path, clock: Clock, *, locked_for_s: float) -> SqliteStore:
    """Open the file, creating it and its schema. See `crawler.store.open_store`."""
    schema.prepare_file(path)
    writer = Connection(path, name="write", locked_for_s=locked_for_s)
    reader = Connection(path, name="read", locked_for_s=locked_for_s)
    try:
        store_id = await _open(path, writer, reader)
    except BaseException as error:
        await reader.close()
        await writer.close()
        cause = error.__cause__
        if isinstance(cause, sqlite3.DatabaseError) and not _may_pass(cause):
            raise Misconfigured(f"--store: {path}: {error}") from error
        raise
    return SqliteStore(path, store_id, writer, reader, clock)


async def _open(path: Path, writer: Connection, reader: Connection) -> str:
    await writer.open()
    await reader.open()
    behind = await reader.read(schema.needs_migration)
    schema.take_rights(path)
    if behind:
        await writer.write("migrate", schema.migrate)
    return await reader.read(ledger.store_id)


def _may_pass(error: sqlite3.DatabaseError) -> bool:
    """Whether opening may succeed later, without anybody changing the set-up."""
    lasting = {
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CORRUPT,
    }
    return code_of(error) not in lasting


class SqliteStore:
    """Reads never wait for writes of this or other processes (WAL)."""

    def __init__(
        self, path: Path, store_id: str, writer: Connection, reader: Connection, clock: Clock
    ) -> None:
        self._path = path
        self._id = store_id
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._process: Process = this_process()
        self._notes = Notes(Path(f"{path}-claims"), self._process)

    @property
    def id(self) -> str:
        return self._id

    async def claim(self, stamp: Stamp, job: Job) -> SqliteFrontier:
        claim = await self._writer.write(
            "claim",
            lambda c: ledger.claim(c, stamp, job, self._process, self._clock.wall()),
            ledger.PartSuccessor(stamp, self._notes),
        )
        for connection in (self._writer, self._reader):
            connection.stay_near()  # who has a claim crawls
        return SqliteFrontier(claim, self._writer, self._reader, self._clock)

    def budgets(self, holder: str) -> SqliteBudgets:
        return SqliteBudgets(holder, self._writer, self._clock)

    def outbox(self, holder: str) -> SqliteOutbox:
        return SqliteOutbox(holder, self._writer, self._reader, self._clock)

    async def sinks(self, resource_id: str) -> Sequence[SinkRecord]:
        return await self._reader.read(lambda c: outbox.sinks(c, resource_id, self._clock.wall()))

    async def open_epoch(self, cluster: str, revision: int) -> int:
        return await self._writer.write(
            "epoch",
            lambda c: ledger.open_epoch(c, cluster, revision, self._process),
            ledger.LeaderSuccessor(cluster, revision, self._notes),
        )

    async def raise_fence(self, stamp: Stamp) -> None:
        await self._writer.write(
            "fence",
            lambda c: ledger.raise_fence(c, stamp),
            ledger.PartSuccessor(stamp, self._notes),
        )

    async def bury(self, resource_id: str) -> None:
        await self._writer.write(
            "bury",
            lambda c: ledger.bury(c, resource_id),
            ledger.Undertaker(resource_id, self._notes),
        )

    async def purge(self, limit: int) -> int:
        # Looked for without the write lock: most of the time there is nothing to do.
        found = await self._reader.read(lambda c: purging.find_remains(c, max(0, limit)))
        if not found:
            return 0
        return await self._writer.write("purge", lambda c: purging.purge(c, found, limit))

    async def trim(self, resource_id: str, keep: Keep, limit: int) -> bool:
        # Looked for without the write lock, as for a purge.
        if not await self._reader.read(lambda c: trimming.is_due(c, resource_id, keep)):
            return False
        return await self._writer.write(
            "trim", lambda c: trimming.trim(c, resource_id, keep, max(1, limit))
        )

    async def failed(
        self, resource_id: str, run: int, wanted: Failures, *, after: int = 0, limit: int = 1000
    ) -> Sequence[int]:
        return await self._reader.read(
            lambda c: retrying.find_failed(c, resource_id, run, wanted, after, limit)
        )

    async def retry(self, stamp: Stamp, run: int, pages: Sequence[int]) -> Retried:
        return await self._writer.write("retry", lambda c: retrying.retry(c, stamp, run, pages))

    async def note(self, events: Sequence[tuple[str, Event]]) -> None:
        if events:
            await self._writer.write("tell", lambda c: ledger.note_all(c, events))

    async def mirror(self, entries: Sequence[Memo]) -> None:
        if entries:
            await self._writer.write("mirror", lambda c: ledger.mirror(c, entries))

    async def mirrored(self) -> Sequence[Mirrored]:
        return await self._reader.read(ledger.mirrored)

    async def progress(self, resource_ids: Sequence[str]) -> Mapping[str, tuple[int, Progress]]:
        return await self._reader.read(lambda c: results.progress(c, resource_ids))

    async def runs(self, resource_id: str) -> Mapping[int, RunRecord]:
        return await self._reader.read(lambda c: results.runs(c, resource_id))

    async def stats(self, resource_id: str, run: int | None = None) -> Stats:
        return await self._reader.read(lambda c: results.stats(c, resource_id, run))

    async def due_runs(self, due: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
        return await self._reader.read(lambda c: results.due_runs(c, due))

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
        return await self._reader.read(
            lambda c: results.pages(c, resource_id, run, state, status, after, limit)
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
        return await self._reader.read(
            lambda c: results.items(c, resource_id, run, after, until, limit)
        )

    async def extents(self, resource_id: str) -> Mapping[int, int]:
        return await self._reader.read(lambda c: results.extents(c, resource_id))

    async def events(
        self, resource_id: str, *, after: int = 0, limit: int = 100
    ) -> Sequence[Event]:
        return await self._reader.read(lambda c: results.events(c, resource_id, after, limit))

    async def journal(self, *, before: int = LAST, limit: int = 100) -> Sequence[JournalRecord]:
        return await self._reader.read(lambda c: results.journal(c, before, limit))

    async def begin_answer(self, key: str, digest: bytes, plan: str) -> KeptAnswer:
        return await self._writer.write(
            "answer", lambda c: answers.begin(c, key, digest, plan, self._clock.wall())
        )

    async def end_answer(self, key: str, digest: bytes, status: int, body: str) -> None:
        await self._writer.write("answered", lambda c: answers.end(c, key, digest, status, body))

    async def story(
        self, resource_id: str, fingerprint: bytes, *, run: int | None = None
    ) -> Story | None:
        return await self._reader.read(lambda c: inquiries.story(c, resource_id, fingerprint, run))

    async def reasons(self, resource_id: str, *, run: int | None = None) -> Sequence[Reason]:
        return await self._reader.read(lambda c: inquiries.reasons(c, resource_id, run))

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
        return await self._reader.read(
            lambda c: inquiries.find_pages(c, resource_id, text, run, state, status, after, limit)
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
        return await self._reader.read(
            lambda c: inquiries.find_items(c, resource_id, text, run, after, limit)
        )

    async def totals(self) -> Progress:
        return await self._reader.read(inquiries.totals)

    async def failing(self, limit: int) -> Sequence[tuple[str, int, int]]:
        return await self._reader.read(lambda c: inquiries.failing(c, limit))

    async def scheduled(self, resource_ids: Sequence[str]) -> Mapping[str, str]:
        return await self._reader.read(lambda c: inquiries.scheduled(c, resource_ids))

    async def tasks(self, *, before: str = "", limit: int = 100) -> Sequence[tuple[str, str, str]]:
        return await self._reader.read(lambda c: inquiries.tasks(c, before, limit))

    async def check(self) -> Mapping[str, Any]:
        level = await self._reader.read(schema.level_of)
        try:
            size = self._path.stat().st_size
            disk = os.statvfs(self._path)
        except OSError as error:
            raise StoreUnavailable(f"the database file is gone ({error.strerror})") from error
        return {
            "backend": "sqlite",
            "id": self._id,
            "path": str(self._path),
            "schema": level.reached,
            "sqlite": sqlite3.sqlite_version,
            "size_bytes": size,
            "log_bytes": _size_of(Path(f"{self._path}-wal")),
            "disk_free_bytes": disk.f_bavail * disk.f_frsize,
        }

    async def close(self) -> None:
        await self._reader.close()
        await self._writer.close()


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
