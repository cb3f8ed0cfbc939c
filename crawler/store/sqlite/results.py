"""Reads what people look at: progress, pages, items and events of a resource's latest run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from crawler.model import Event, ItemRecord, PageRecord, PageState, Progress
from crawler.store import statements
from crawler.store.paging import bounded, item_of, page_of, pages_statement, seq_of
from crawler.store.sqlite.recording import as_progress

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
    state: PageState | None,
    status: int | None,
    after: str,
    limit: int,
) -> tuple[list[PageRecord], str]:
    """Page records in the order found, and the cursor for more ("" at the end)."""
    asked: dict[str, Any] = {
        "run_id": _latest_run(connection, resource_id),
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
    connection: sqlite3.Connection, resource_id: str, after: int, limit: int
) -> list[ItemRecord]:
    """Items with a seq above ``after``."""
    asked = {
        "run_id": _latest_run(connection, resource_id),
        "after": after,
        "limit": bounded(limit),
    }
    return [item_of(row) for row in connection.execute(_SQL["list_items"], asked)]


def events(connection: sqlite3.Connection, resource_id: str, after: int, limit: int) -> list[Event]:
    """Events with a seq above ``after``."""
    asked = {"resource_id": resource_id, "after": after, "limit": bounded(limit)}
    return [Event(*row) for row in connection.execute(_SQL["list_events"], asked)]


def _latest_run(connection: sqlite3.Connection, resource_id: str) -> int | None:
    row = connection.execute(_SQL["select_latest_run"], (resource_id,)).fetchone()
    return None if row is None else int(row[0])
