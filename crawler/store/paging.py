"""Cursors, limits and rows of lists that people read, for every backend."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from crawler.errors import InvalidInput, NotFound
from crawler.model import ItemRecord, PageRecord, PageState
from crawler.store.cleaning import clean_text, decode_fields, decode_names

LARGEST_LIMIT = 10_000
SCAN = 20_000  # rows that a search looks at before it answers


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


def like_text(text: str) -> str:
    """The pattern for LIKE of what holds the text, whose own signs stand for themselves. It is made
    storable as what is stored was."""
    text = clean_text(text)
    for sign in "\\%_":
        text = text.replace(sign, f"\\{sign}")
    return f"%{text}%"


def like_json(text: str) -> str:
    """The same, of JSON that holds it in a string."""
    return like_text(json.dumps(clean_text(text), ensure_ascii=False)[1:-1])


def cursor_after(seen: Sequence[int], found: Sequence[int], limit: int) -> str:
    """Where a search goes on that looked at these rows, of which those were what it looked for; ""
    at the end of all rows."""
    if len(found) >= limit:
        return str(found[-1])
    return str(seen[-1]) if len(seen) >= SCAN else ""
