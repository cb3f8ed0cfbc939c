"""The story of a page, made of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from crawler.model import PageRecord, PageState
from crawler.store.paging import item_of
from crawler.story import Attempt, Story, Visited


def story_of(
    run: int | None,
    facts: Sequence[Any],
    way: Sequence[PageRecord],
    missed: Iterable[Sequence[Any]],
    found: Iterable[Sequence[Any]],
    items: Iterable[Sequence[Any]],
    visits: Iterable[Sequence[Any]],
) -> Story:
    """The story that these rows tell; ``way`` begins with the page itself."""
    page, *before = way
    method, final_url, not_before = facts
    runs = tuple(Visited(row[0], PageState(row[1]), *row[2:]) for row in visits)
    return Story(
        run=run if run is not None else max((each.run for each in runs), default=0),
        page=page,
        method=method,
        final_url=final_url,
        not_before=not_before,
        way=tuple(before),
        attempts=tuple(
            _attempts(page, [Attempt(row[0], PageState(row[1]), *row[2:]) for row in missed])
        ),
        found=tuple(row[0] for row in found),
        items=tuple(replace(item_of(row), url=page.url) for row in items),
        runs=runs,
    )


def _attempts(page: PageRecord, missed: list[Attempt]) -> list[Attempt]:
    """Those that failed, and what stands in the page's own row, unless that is the last of them,
    or nobody was asked."""
    last_at = missed[-1].at if missed else 0.0
    asked = page.attempts and page.state in (PageState.DONE, PageState.FAILED)
    if not asked or page.fetched_at <= last_at:
        return missed
    went = Attempt(page.fetched_at, page.state, page.status, page.reason, page.elapsed_s, "")
    return [*missed, went]
