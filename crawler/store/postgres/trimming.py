"""Deletes what is not kept of resources that live, a bounded number of rows at a time."""

from __future__ import annotations

from crawler.model import Keep
from crawler.store import statements
from crawler.store.keeping import (
    ITEMS,
    PAGES_AT_ONCE,
    RUNS_AT_ONCE,
    bounds,
    is_forgotten,
    kept_in,
)
from crawler.store.postgres import ledger
from crawler.store.postgres.connection import Transaction

_SQL = statements.statements("postgres", "trimming")
_PURGING = statements.statements("postgres", "purging")
_WHOLE = ("purge_items", "purge_attempts", "purge_pages", "purge_counters", "purge_outbox")


async def is_due(tx: Transaction, resource_id: str, keep: Keep) -> bool:
    """Whether anything is to go."""
    return bool(await _old_runs(tx, resource_id, keep)) or (
        await _old_event(tx, resource_id, keep) is not None
    )


async def trim(tx: Transaction, resource_id: str, keep: Keep, limit: int) -> bool:
    """Delete about ``limit`` rows; whether there is more. The resource is locked, so that no run
    begins or goes on meanwhile."""
    if not await ledger.lock_resource(tx, resource_id):
        return False
    left = limit
    runs = await _old_runs(tx, resource_id, keep)
    for run_id, place in runs:
        left -= await _trim_run(tx, run_id, kept_in(place, keep), left)
        if left <= 0:
            return True
        if is_forgotten(place, keep):
            await tx.run(_SQL["forget_run"], (run_id,))
    newest = await _old_event(tx, resource_id, keep)
    if newest is not None:
        row = {"resource_id": resource_id, "newest": newest, "limit": left}
        left -= await tx.run(_SQL["trim_events"], row)
    return left <= 0 or len(runs) == RUNS_AT_ONCE


async def _old_runs(tx: Transaction, resource_id: str, keep: Keep) -> list[tuple[int, int]]:
    rows = await tx.all(_SQL["select_old_runs"], bounds(resource_id, keep))
    return [(run_id, place) for run_id, place in rows]


async def _old_event(tx: Transaction, resource_id: str, keep: Keep) -> int | None:
    asked = {"resource_id": resource_id, "events": keep.events}
    row = await tx.one(_SQL["select_old_event"], asked)
    return None if row is None else int(row[0])


async def _trim_run(tx: Transaction, run_id: int, kept: str, limit: int) -> int:
    """How many rows went or changed; from ``limit`` on there may be more."""
    gone = 0
    if kept == ITEMS:
        gone = await _trim_pages(tx, run_id, limit)
    else:
        for name in _WHOLE:
            gone += await tx.run(_PURGING[name], {"key": run_id, "limit": limit - gone})
    row = {"run_id": run_id, "kept": kept, "trimming": gone >= limit}
    await tx.run(_SQL["mark_run"], row)
    return gone


async def _trim_pages(tx: Transaction, run_id: int, limit: int) -> int:
    gone = await tx.run(_PURGING["purge_attempts"], {"key": run_id, "limit": limit})
    while gone < limit:
        some = {"key": run_id, "limit": PAGES_AT_ONCE}
        gone += await tx.run(_SQL["keep_urls"], some)
        pages = await tx.run(_PURGING["purge_pages"], some)
        gone += pages
        if pages == 0:
            break
    return gone
