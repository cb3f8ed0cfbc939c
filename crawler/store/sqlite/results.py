"""Reads what people look at: progress, pages, items and events of a resource's latest run."""

from __future__ import annotations

import json
import sqlite3
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
from crawler.store.runs import run_of
from crawler.store.sqlite.recording import as_progress
from crawler.store.stats import MAX_KINDS, stats_of

_SQL = statements.statements("sqlite", "results")


def progress(
    connection: sqlite3.Connection, resource_ids: Sequence[str]
) -> dict[str, tuple[int, Progress]]:
    """Latest run and totals, per ID that has one; one statement for all."""
    rows = connection.execute(
        _SQL["select_latest_progress"], {"ids": json.dumps(list(resource_ids))}
    )
    return {row[0]: (row[1], as_progress(row[2:])) for row in rows}


def pages(
    connection: sqlite3.Connection,
    resource_id: str,
    run: int | None,
    state: PageState | None,
    status: int | None,
    after: str,
    limit: int,
) -> tuple[list[PageRecord], str]:
    """Page records in the order found, and the cursor for more ("" at the end)."""
    asked: dict[str, Any] = {
        "run_id": run_id_of(connection, resource_id, run, pages=True),
        "after": seq_of(after),
        "limit": bounded(limit) + 1,  # one more tells whether there are more
        "state": None if state is None else state.value,
        "status": status,
    }
    found = [row[0] for row in connection.execute(_SQL[pages_statement(state, status)], asked)]
    shown = found[: bounded(limit)]
    records = [page_of(connection.execute(_SQL["select_page"], (seq,)).fetchone()) for seq in shown]
    return records, str(shown[-1]) if len(found) > len(shown) else ""


def items(
    connection: sqlite3.Connection,
    resource_id: str,
    run: int | None,
    after: int,
    until: int,
    limit: int,
) -> list[ItemRecord]:
    """Items with a seq above ``after`` and up to ``until``."""
    asked = {
        "run_id": run_id_of(connection, resource_id, run),
        "after": after,
        "until": until,
        "limit": bounded(limit),
    }
    return [item_of(row) for row in connection.execute(_SQL["list_items"], asked)]


def extents(connection: sqlite3.Connection, resource_id: str) -> dict[int, int]:
    """The highest seq per run."""
    return dict(reversed(connection.execute(_SQL["select_extents"], (resource_id,)).fetchall()))


def events(connection: sqlite3.Connection, resource_id: str, after: int, limit: int) -> list[Event]:
    """Events with a seq above ``after``."""
    asked = {"resource_id": resource_id, "after": after, "limit": bounded(limit)}
    return [Event(*row) for row in connection.execute(_SQL["list_events"], asked)]


def journal(connection: sqlite3.Connection, before: int, limit: int) -> list[JournalRecord]:
    """Events of all resources with a seq below ``before``, the newest first."""
    asked = {"before": before, "limit": bounded(limit)}
    return [JournalRecord(*row) for row in connection.execute(_SQL["list_journal"], asked)]


def runs(connection: sqlite3.Connection, resource_id: str) -> dict[int, RunRecord]:
    """Runs with their totals."""
    rows = connection.execute(_SQL["select_runs_progress"], (resource_id,))
    return {row[0]: run_of(row, as_progress(row[1:-3])) for row in rows}


def stats(connection: sqlite3.Connection, resource_id: str, run: int | None) -> Stats:
    """What one run came to."""
    run_id = run_id_of(connection, resource_id, run, pages=True)
    records = runs(connection, resource_id)
    if run_id is None:
        return {}
    asked = {"run_id": run_id, "limit": MAX_KINDS}
    kinds = connection.execute(_SQL["count_kinds"], asked).fetchall()
    return stats_of(records[max(records) if run is None else run], kinds)


def due_runs(connection: sqlite3.Connection, due: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """By resource ID the run of its due time and its highest run; one statement for all."""
    rows = connection.execute(_SQL["select_due_runs"], (json.dumps(dict(due)),))
    return {row[0]: (row[1], row[2]) for row in rows}


def run_id_of(
    connection: sqlite3.Connection, resource_id: str, run: int | None, *, pages: bool = False
) -> int | None:
    """The run's key; None: there is no run at all, and none was asked for. ``pages``: they are
    what is asked for."""
    asked = {"resource_id": resource_id, "run": run}
    row = connection.execute(_SQL["select_run_id"], asked).fetchone()
    if row is None and run is not None:
        raise no_run(run, runs(connection, resource_id))
    if row is not None:
        check_kept(run, row[1], pages=pages)
    return None if row is None else int(row[0])
