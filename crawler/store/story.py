"""What is told of single pages: the values, and how they are made of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crawler.model import ItemRecord, PageRecord, PageState
from crawler.store.paging import item_of


@dataclass(frozen=True, slots=True)
class Visited:
    """What became of a URL in one run."""

    run: int
    state: PageState
    status: int
    reason: str
    attempts: int
    fetched_at: float  # 0.0: never


@dataclass(frozen=True, slots=True)
class Story:
    """What a run knows of one URL. ``way``: the pages that led to it, the nearest first; one that
    is not there any more ends it. ``found``: URLs that were first found on it, the first hundred.
    ``items``: the first hundred. ``runs``: what became of it in each run whose pages are kept, the
    latest first."""

    run: int
    page: PageRecord
    method: str
    final_url: str
    not_before: float  # Unix seconds until when it waits; 0.0: it does not
    way: tuple[PageRecord, ...]
    found: tuple[str, ...]
    items: tuple[ItemRecord, ...]
    runs: tuple[Visited, ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """How many pages of a run ended alike."""

    state: PageState
    status: int
    reason: str
    pages: int


def story_of(
    run: int | None,
    facts: Sequence[Any],
    way: Sequence[PageRecord],
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
        found=tuple(row[0] for row in found),
        items=tuple(replace(item_of(row), url=page.url) for row in items),
        runs=runs,
    )
