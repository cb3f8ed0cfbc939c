"""Cursors, limits and rows of lists that people read, for every backend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from crawler.errors import InvalidInput, NotFound
from crawler.model import ItemRecord, PageRecord, PageState
from crawler.store.cleaning import decode_fields, decode_names

LARGEST_LIMIT = 10_000


def bounded(limit: int) -> int:
    """The limit, from 1 to `LARGEST_LIMIT`."""
    return max(1, min(limit, LARGEST_LIMIT))


def seq_of(cursor: str) -> int:
    """The seq that a cursor stands for; 0 for ""."""
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 18):
        raise InvalidInput("cursor: not one of this list", field="cursor")
    return int(cursor)


def pages_statement(state: PageState | None, status: int | None) -> str:
    """The name of the statement that lists pages by what was asked."""
    asked = [name for name, value in (("state", state), ("status", status)) if value is not None]
    return f"list_pages_of_{'_and_'.join(asked)}" if asked else "list_pages"


def page_of(row: Sequence[Any]) -> PageRecord:
    """The record that a row holds."""
    url, state, *rest = row
    return PageRecord(url, PageState(state), *rest)


def item_of(row: Sequence[Any]) -> ItemRecord:
    """The record that a row holds."""
    seq, url, rule, ordinal, revision, fields, missing, stored_at = row
    return ItemRecord(
        seq, url, rule, ordinal, revision, decode_fields(fields), decode_names(missing), stored_at
    )


def no_run(run: int, there: Iterable[int]) -> NotFound:
    """What is raised for a run that there is not."""
    known = ", ".join(map(str, there)) or "none yet"
    return NotFound(f"there is no run {run}; there is: {known}")
