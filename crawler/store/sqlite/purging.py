"""Deletes what buried resources left, a bounded number of rows at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from crawler.store import statements

_SQL = statements.statements("sqlite", "purging")


def find_remains(connection: sqlite3.Connection, limit: int) -> list[str]:
    """Up to ``limit`` buried resources of which rows are left."""
    rows = connection.execute(_SQL["select_remains"], {"limit": limit})
    return [row[0] for row in rows]


def purge(connection: sqlite3.Connection, resource_ids: Sequence[str], limit: int) -> int:
    """Delete up to ``limit`` rows of these resources, which `find_remains` found: nobody takes a
    tombstone away, so what was buried then is buried now."""
    left = limit
    for resource_id in resource_ids:
        for statement, key in _steps(connection, resource_id):
            left -= connection.execute(_SQL[statement], (key, left)).rowcount
            if left == 0:
                return limit
    return limit - left


def _steps(connection: sqlite3.Connection, resource_id: str) -> Iterator[tuple[str, str | int]]:
    """What to delete in which order: a run goes when nothing hangs on it any more, so that what
    an interrupted purge left is found again."""
    for (run_id,) in connection.execute(_SQL["select_runs"], (resource_id,)).fetchall():
        yield "purge_items", run_id
        yield "purge_attempts", run_id
        yield "purge_pages", run_id
        yield "purge_counters", run_id
        yield "purge_outbox", run_id
    yield "purge_runs", resource_id
    yield "purge_events", resource_id
    yield "purge_fences", resource_id
