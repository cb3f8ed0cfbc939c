"""Answers what people ask of single pages and items: what became of one, where a text stands."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from crawler.errors import NotFound
from crawler.model import ItemRecord, PageRecord, PageState, Progress
from crawler.store import statements
from crawler.store.paging import (
    SCAN,
    bounded,
    cursor_after,
    item_of,
    like_json,
    like_text,
    page_of,
    pages_statement,
    seq_of,
)
from crawler.store.sqlite.results import run_id_of
from crawler.store.story import story_of
from crawler.story import Reason, Story

_SQL = statements.statements("sqlite", "inquiries")
_LISTS = statements.statements("sqlite", "results")


def story(
    connection: sqlite3.Connection, resource_id: str, fingerprint: bytes, run: int | None
) -> Story | None:
    """All that a run knows of one page."""
    run_id = run_id_of(connection, resource_id, run, pages=True)
    asked = {"run_id": run_id, "fingerprint": fingerprint}
    seqs = [row[0] for row in connection.execute(_SQL["select_way"], asked)]
    if not seqs:
        return None
    key = (run_id, fingerprint)
    return story_of(
        run,
        connection.execute(_SQL["select_facts"], seqs[:1]).fetchone(),
        [_page(connection, seq) for seq in seqs],
        connection.execute(_SQL["list_attempts"], key).fetchall(),
        connection.execute(_SQL["list_found"], key).fetchall(),
        connection.execute(_SQL["list_page_items"], key).fetchall(),
        connection.execute(_SQL["list_visits"], (resource_id, fingerprint)).fetchall(),
    )


def reasons(connection: sqlite3.Connection, resource_id: str, run: int | None) -> list[Reason]:
    """How pages ended that brought nothing, the most frequent first."""
    run_id = run_id_of(connection, resource_id, run, pages=True)
    rows = connection.execute(_SQL["count_reasons"], {"run_id": run_id, "scan": SCAN})
    return [Reason(PageState(row[0]), *row[1:]) for row in rows]


def find_pages(
    connection: sqlite3.Connection,
    resource_id: str,
    text: str,
    run: int | None,
    state: PageState | None,
    status: int | None,
    after: str,
    limit: int,
) -> tuple[list[PageRecord], str]:
    """Pages whose URL or reason holds the text, and the cursor for more ("" at the end)."""
    asked: dict[str, Any] = {
        "run_id": run_id_of(connection, resource_id, run, pages=True),
        "after": seq_of(after),
        "limit": SCAN,
        "state": None if state is None else state.value,
        "status": status,
    }
    seen = [row[0] for row in connection.execute(_LISTS[pages_statement(state, status)], asked)]
    most = bounded(limit)
    wanted = {"seqs": json.dumps(seen), "text": like_text(text), "limit": most}
    found = [row[0] for row in connection.execute(_SQL["match_pages"], wanted)]
    return [_page(connection, seq) for seq in found], cursor_after(seen, found, most)


def find_items(
    connection: sqlite3.Connection,
    resource_id: str,
    text: str,
    run: int | None,
    after: str,
    limit: int,
) -> tuple[list[ItemRecord], str]:
    """Items of which a field holds the text, and the cursor for more ("" at the end)."""
    asked = {
        "run_id": run_id_of(connection, resource_id, run),
        "after": seq_of(after),
        "text": like_json(text),
        "scan": SCAN,
    }
    rows = connection.execute(_SQL["match_items"], asked).fetchall()
    most = bounded(limit)
    found = [seq for seq, matches in rows if matches][:most]
    items = [item_of(connection.execute(_SQL["select_item"], (seq,)).fetchone()) for seq in found]
    return items, cursor_after([seq for seq, _ in rows], found, most)


def totals(connection: sqlite3.Connection) -> Progress:
    """Sums over the latest runs of all resources."""
    return Progress(*connection.execute(_SQL["sum_latest_runs"]).fetchone())


def failing(connection: sqlite3.Connection, limit: int) -> list[tuple[str, int, int]]:
    """Those with the most failed pages."""
    return connection.execute(_SQL["list_failing"], (bounded(limit),)).fetchall()


def scheduled(connection: sqlite3.Connection, resource_ids: Sequence[str]) -> dict[str, str]:
    """Definitions that may hold a schedule, by resource ID."""
    return dict(connection.execute(_SQL["list_scheduled"], (json.dumps(list(resource_ids)),)))


def tasks(connection: sqlite3.Connection, before: str, limit: int) -> list[tuple[str, str, str]]:
    """Resources that may be tasks, the latest first."""
    asked = {"before": before, "limit": bounded(limit)}
    return connection.execute(_SQL["list_tasks"], asked).fetchall()


def _page(connection: sqlite3.Connection, seq: int) -> PageRecord:
    row = connection.execute(_LISTS["select_page"], (seq,)).fetchone()
    if row is None:  # trimmed in between, which one transaction of reading rules out
        raise NotFound("the page is not there any more")
    return page_of(row)
