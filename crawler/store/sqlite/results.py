"""Reads what people look at: progress, pages, items and events of a resource's latest run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from crawler.errors import InvalidInput
from crawler.model import Event, ItemRecord, PageRecord, PageState, Progress
from crawler.store import statements
from crawler.store.cleaning import decode_fields, decode_names
from crawler.store.sqlite.recording import as_progress

_SQL = statements.statements("sqlite", "results")
LARGEST_LIMIT = 10_000


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
        "after": _seq(after),
        "limit": _bounded(limit) + 1,  # one more tells whether there are more
    }
    name = "list_pages"
    if state is not None:
        name, asked["state"] = f"{name}_of_state", state.value
    if status is not None:
        name, asked["status"] = f"{name}{'_and' if state else '_of'}_status", status
    found = [row[0] for row in connection.execute(_SQL[name], asked)]
    shown = found[: _bounded(limit)]
    records = [_page(connection.execute(_SQL["select_page"], (seq,)).fetchone()) for seq in shown]
    return records, str(shown[-1]) if len(found) > len(shown) else ""


def items(
    connection: sqlite3.Connection, resource_id: str, after: int, limit: int
) -> list[ItemRecord]:
    """Items with a seq above ``after``."""
    asked = {
        "run_id": _latest_run(connection, resource_id),
        "after": after,
        "limit": _bounded(limit),
    }
    return [_item(row) for row in connection.execute(_SQL["list_items"], asked)]


def events(connection: sqlite3.Connection, resource_id: str, after: int, limit: int) -> list[Event]:
    """Events with a seq above ``after``."""
    asked = {"resource_id": resource_id, "after": after, "limit": _bounded(limit)}
    return [Event(*row) for row in connection.execute(_SQL["list_events"], asked)]


def _latest_run(connection: sqlite3.Connection, resource_id: str) -> int | None:
    row = connection.execute(_SQL["select_latest_run"], (resource_id,)).fetchone()
    return None if row is None else int(row[0])


def _bounded(limit: int) -> int:
    return max(1, min(limit, LARGEST_LIMIT))


def _seq(cursor: str) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 18):
        raise InvalidInput("after: not a cursor of this list", field="after")
    return int(cursor)


def _page(row: Sequence[Any]) -> PageRecord:
    url, state, *rest = row
    return PageRecord(url, PageState(state), *rest)


def _item(row: Sequence[Any]) -> ItemRecord:
    seq, url, rule, ordinal, revision, fields, missing, stored_at = row
    return ItemRecord(
        seq, url, rule, ordinal, revision, decode_fields(fields), decode_names(missing), stored_at
    )
