"""Deletes what is not kept of resources that live, a bounded number of rows at a time."""

from __future__ import annotations

import sqlite3

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
from crawler.store.sqlite import ledger

_SQL = statements.statements("sqlite", "trimming")
_PURGING = statements.statements("sqlite", "purging")
_WHOLE = ("purge_items", "purge_attempts", "purge_pages", "purge_counters", "purge_outbox")


def is_due(connection: sqlite3.Connection, resource_id: str, keep: Keep) -> bool:
    """Whether anything is to go."""
    return bool(_old_runs(connection, resource_id, keep)) or (
        _old_event(connection, resource_id, keep) is not None
    )


def trim(connection: sqlite3.Connection, resource_id: str, keep: Keep, limit: int) -> bool:
    """Delete about ``limit`` rows; whether there is more."""
    if ledger.is_buried(connection, resource_id):
        return False
    left = limit
    runs = _old_runs(connection, resource_id, keep)
    for run_id, place in runs:
        left -= _trim_run(connection, run_id, kept_in(place, keep), left)
        if left <= 0:
            return True
        if is_forgotten(place, keep):
            connection.execute(_SQL["forget_run"], (run_id,))
    newest = _old_event(connection, resource_id, keep)
    if newest is not None:
        row = {"resource_id": resource_id, "newest": newest, "limit": left}
        left -= connection.execute(_SQL["trim_events"], row).rowcount
    return left <= 0 or len(runs) == RUNS_AT_ONCE


def _old_runs(
    connection: sqlite3.Connection, resource_id: str, keep: Keep
) -> list[tuple[int, int]]:
    return connection.execute(_SQL["select_old_runs"], bounds(resource_id, keep)).fetchall()


def _old_event(connection: sqlite3.Connection, resource_id: str, keep: Keep) -> int | None:
    asked = {"resource_id": resource_id, "events": keep.events}
    row = connection.execute(_SQL["select_old_event"], asked).fetchone()
    return None if row is None else int(row[0])


def _trim_run(connection: sqlite3.Connection, run_id: int, kept: str, limit: int) -> int:
    """How many rows went or changed; from ``limit`` on there may be more."""
    gone = 0
    if kept == ITEMS:
        gone = _trim_pages(connection, run_id, limit)
    else:
        for name in _WHOLE:
            gone += connection.execute(_PURGING[name], (run_id, limit - gone)).rowcount
    row = {"run_id": run_id, "kept": kept, "trimming": int(gone >= limit)}
    connection.execute(_SQL["mark_run"], row)
    return gone


def _trim_pages(connection: sqlite3.Connection, run_id: int, limit: int) -> int:
    gone = connection.execute(_PURGING["purge_attempts"], (run_id, limit)).rowcount
    while gone < limit:
        some = (run_id, PAGES_AT_ONCE)
        gone += connection.execute(_SQL["keep_urls"], some).rowcount
        pages = connection.execute(_PURGING["purge_pages"], some).rowcount
        gone += pages
        if pages == 0:
            break
    return gone
