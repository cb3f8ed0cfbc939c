"""Deletes what buried resources left, a bounded number of rows at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from crawler.store import statements
from crawler.store.postgres.connection import Transaction

_SQL = statements.statements("postgres", "purging")


async def find_remains(tx: Transaction, limit: int) -> list[str]:
    """Up to ``limit`` buried resources of which rows are left."""
    return [row[0] for row in await tx.all(_SQL["select_remains"], (limit,))]


async def purge(tx: Transaction, resource_ids: Sequence[str], limit: int) -> int:
    """Delete up to ``limit`` rows of these resources, which `find_remains` found: nobody takes a
    tombstone away, so what was buried then is buried now."""
    left = limit
    for resource_id in resource_ids:
        async for statement, key in _steps(tx, resource_id):
            left -= await tx.run(_SQL[statement], {"key": key, "limit": left})
            if left == 0:
                return limit
    return limit - left


async def _steps(tx: Transaction, resource_id: str) -> AsyncIterator[tuple[str, str | int]]:
    """What to delete in which order: a run goes when nothing hangs on it any more, so that what
    an interrupted purge left is found again."""
    for (run_id,) in await tx.all(_SQL["select_runs"], (resource_id,)):
        yield "purge_items", run_id
        yield "purge_attempts", run_id
        yield "purge_pages", run_id
        yield "purge_counters", run_id
        yield "purge_outbox", run_id
    yield "purge_runs", resource_id
    yield "purge_events", resource_id
    yield "purge_fences", resource_id
