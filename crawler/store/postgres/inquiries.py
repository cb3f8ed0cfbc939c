"""Answers what people ask of single pages and items: what became of one, where a text stands."""

from __future__ import annotations

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
from crawler.store.postgres.connection import Transaction
from crawler.store.postgres.results import run_id_of
from crawler.store.story import story_of
from crawler.story import Reason, Story

_SQL = statements.statements("postgres", "inquiries")
_LISTS = statements.statements("postgres", "results")


async def story(
    tx: Transaction, resource_id: str, fingerprint: bytes, run: int | None
) -> Story | None:
    """All that a run knows of one page."""
    run_id = await run_id_of(tx, resource_id, run, pages=True)
    asked = {"run_id": run_id, "fingerprint": fingerprint}
    seqs = [row[0] for row in await tx.all(_SQL["select_way"], asked)]
    if not seqs:
        return None
    key = (run_id, fingerprint)
    facts = await tx.one(_SQL["select_facts"], (seqs[0],))
    pages = dict(zip(sorted(seqs), await _pages(tx, seqs), strict=False))
    if facts is None or len(pages) != len(seqs):  # trimmed in between
        raise NotFound("the page is not there any more")
    return story_of(
        run,
        facts,
        [pages[seq] for seq in seqs],
        await tx.all(_SQL["list_attempts"], key),
        await tx.all(_SQL["list_found"], key),
        await tx.all(_SQL["list_page_items"], key),
        await tx.all(_SQL["list_visits"], (resource_id, fingerprint)),
    )


async def reasons(tx: Transaction, resource_id: str, run: int | None) -> list[Reason]:
    """How pages ended that brought nothing, the most frequent first."""
    run_id = await run_id_of(tx, resource_id, run, pages=True)
    rows = await tx.all(_SQL["count_reasons"], {"run_id": run_id, "scan": SCAN})
    return [Reason(PageState(row[0]), *row[1:]) for row in rows]


async def find_pages(
    tx: Transaction,
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
        "run_id": await run_id_of(tx, resource_id, run, pages=True),
        "after": seq_of(after),
        "limit": SCAN,
        "state": None if state is None else state.value,
        "status": status,
    }
    seen = [row[0] for row in await tx.all(_LISTS[pages_statement(state, status)], asked)]
    most = bounded(limit)
    wanted = {"seqs": seen, "text": like_text(text), "limit": most}
    found = [row[0] for row in await tx.all(_SQL["match_pages"], wanted)]
    return await _pages(tx, found), cursor_after(seen, found, most)


async def find_items(
    tx: Transaction, resource_id: str, text: str, run: int | None, after: str, limit: int
) -> tuple[list[ItemRecord], str]:
    """Items of which a field holds the text, and the cursor for more ("" at the end)."""
    asked = {
        "run_id": await run_id_of(tx, resource_id, run),
        "after": seq_of(after),
        "text": like_json(text),
        "scan": SCAN,
    }
    rows = await tx.all(_SQL["match_items"], asked)
    most = bounded(limit)
    found = [seq for seq, matches in rows if matches][:most]
    items = [item_of(row) for row in await tx.all(_SQL["select_items"], (found,))]
    return items, cursor_after([seq for seq, _ in rows], found, most)


async def totals(tx: Transaction) -> Progress:
    """Sums over the latest runs of all resources."""
    (row,) = await tx.all(_SQL["sum_latest_runs"])
    return Progress(*row)


async def failing(tx: Transaction, limit: int) -> list[tuple[str, int, int]]:
    """Those with the most failed pages."""
    rows = await tx.all(_SQL["list_failing"], (bounded(limit),))
    return [(row[0], row[1], row[2]) for row in rows]


async def scheduled(tx: Transaction, resource_ids: Sequence[str]) -> dict[str, str]:
    """Definitions that may hold a schedule, by resource ID."""
    rows = await tx.all(_SQL["list_scheduled"], (list(resource_ids),))
    return {row[0]: row[1] for row in rows}


async def tasks(tx: Transaction, before: str, limit: int) -> list[tuple[str, str, str]]:
    """Resources that may be tasks, the latest first."""
    rows = await tx.all(_SQL["list_tasks"], {"before": before, "limit": bounded(limit)})
    return [(row[0], row[1], row[2]) for row in rows]


async def _pages(tx: Transaction, seqs: Sequence[int]) -> list[PageRecord]:
    """Their records, in the order of seq."""
    return [page_of(row) for row in await tx.all(_LISTS["select_pages"], (list(seqs),))]
