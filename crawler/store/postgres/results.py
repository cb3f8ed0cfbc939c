"""Reads what people look at: progress, pages, items and events of a resource's latest run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crawler.model import (
    Event,
    ItemRecord,
    JournalRecord,
    PageRecord,
    PageState,
    Progress,
    RunRecord,
    Stats,
)
from crawler.store import statements
from crawler.store.keeping import check_kept
from crawler.store.paging import bounded, item_of, no_run, page_of, pages_statement, seq_of
from crawler.store.postgres.connection import Transaction
from crawler.store.postgres.recording import as_progress
from crawler.store.runs import run_of
from crawler.store.stats import MAX_KINDS, stats_of

_SQL = statements.statements("postgres", "results")


async def progress(tx: Transaction, resource_ids: Sequence[str]) -> dict[str, tuple[int, Progress]]:
    """Latest run and totals, per ID that has one; one statement for all."""
    rows = await tx.all(_SQL["select_latest_progress"], (list(set(resource_ids)),))
    return {row[0]: (row[1], as_progress(row[2:])) for row in rows}


async def pages(
    tx: Transaction,
    resource_id: str,
    run: int | None,
    state: PageState | None,
    status: int | None,
    after: str,
    limit: int,
) -> tuple[list[PageRecord], str]:
    """Page records in the order found, and the cursor for more ("" at the end)."""
    asked: dict[str, Any] = {
        "run_id": await run_id_of(tx, resource_id, run, pages=True),
        "after": seq_of(after),
        "limit": bounded(limit) + 1,  # one more tells whether there are more
        "state": None if state is None else state.value,
        "status": status,
    }
    found = [row[0] for row in await tx.all(_SQL[pages_statement(state, status)], asked)]
    shown = found[: bounded(limit)]
    rows = await tx.all(_SQL["select_pages"], (shown,))
    return [page_of(row) for row in rows], str(shown[-1]) if len(found) > len(shown) else ""


async def items(
    tx: Transaction, resource_id: str, run: int | None, after: int, until: int, limit: int
) -> list[ItemRecord]:
    """Items with a seq above ``after`` and up to ``until``."""
    run_id = await run_id_of(tx, resource_id, run)
    asked = {"run_id": run_id, "after": after, "until": until, "limit": bounded(limit)}
    return [item_of(row) for row in await tx.all(_SQL["list_items"], asked)]


async def extents(tx: Transaction, resource_id: str) -> dict[int, int]:
    """The highest seq per run."""
    rows = await tx.all(_SQL["select_extents"], (resource_id,))
    return {int(run): int(seq) for run, seq in reversed(rows)}


async def events(tx: Transaction, resource_id: str, after: int, limit: int) -> list[Event]:
    """Events with a seq above ``after``."""
    asked = {"resource_id": resource_id, "after": after, "limit": bounded(limit)}
    return [Event(*row) for row in await tx.all(_SQL["list_events"], asked)]


async def journal(tx: Transaction, before: int, limit: int) -> list[JournalRecord]:
    """Events of all resources with a seq below ``before``, the newest first."""
    asked = {"before": before, "limit": bounded(limit)}
    return [JournalRecord(*row) for row in await tx.all(_SQL["list_journal"], asked)]


async def runs(tx: Transaction, resource_id: str) -> dict[int, RunRecord]:
    """Runs with their totals."""
    rows = await tx.all(_SQL["select_runs_progress"], (resource_id,))
    return {row[0]: run_of(row, as_progress(row[1:-3])) for row in rows}


async def stats(tx: Transaction, resource_id: str, run: int | None) -> Stats:
    """What one run came to."""
    run_id = await run_id_of(tx, resource_id, run, pages=True)
    records = await runs(tx, resource_id)
    if run_id is None:
        return {}
    kinds = await tx.all(_SQL["count_kinds"], {"run_id": run_id, "limit": MAX_KINDS})
    return stats_of(records[max(records) if run is None else run], kinds)


async def due_runs(tx: Transaction, due: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """By resource ID the run of its due time and its highest run; one statement for all."""
    rows = await tx.all(_SQL["select_due_runs"], (list(due), list(due.values())))
    return {row[0]: (row[1], row[2]) for row in rows}


async def run_id_of(
    tx: Transaction, resource_id: str, run: int | None, *, pages: bool = False
) -> int | None:
    """The run's key; None: there is no run at all, and none was asked for. ``pages``: they are
    what is asked for."""
    asked = {"resource_id": resource_id, "run": run}
    row = await tx.one(_SQL["select_run_id"], asked)
    if row is None and run is not None:
        raise no_run(run, await runs(tx, resource_id))
    if row is not None:
        check_kept(run, row[1], pages=pages)
    return None if row is None else int(row[0])
