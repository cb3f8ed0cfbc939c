"""Events as rows: what is kept of each, cut to size and made storable."""

from __future__ import annotations

from crawler.model import Event
from crawler.store.cleaning import clean_text
from crawler.store.contract import MAX_DETAIL, MAX_KIND

Row = tuple[str, float, str, str, str, str]


def event_row(resource_id: str, event: Event) -> Row:
    """A row as the statements that insert events take it."""
    return (
        resource_id,
        event.at,
        clean_text(event.kind[:MAX_KIND]),
        clean_text(event.detail[:MAX_DETAIL]),
        clean_text(event.node),
        clean_text(event.request_id),
    )
