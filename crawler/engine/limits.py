"""When a crawl has had enough: the limits of its definition. Pure."""

from __future__ import annotations

from crawler.engine.settings import Manners
from crawler.model import Progress


def reached(manners: Manners, progress: Progress, seconds: float) -> str:
    """The limit that is reached, as a reason; "" while none is."""
    if manners.max_pages and progress.done >= manners.max_pages:
        return f"max_pages ({manners.max_pages}) reached"
    if manners.max_items and progress.items >= manners.max_items:
        return f"max_items ({manners.max_items}) reached"
    if manners.max_seconds and seconds >= manners.max_seconds:
        return f"max_seconds ({manners.max_seconds:g}) reached"
    return ""


def allowance(manners: Manners, progress: Progress, under_way: int, items: int) -> bool:
    """Whether one more page may be started without risking more than ``max_pages``.

    ``under_way``: pages being fetched or waiting for their commit, each of which may count;
    ``items``: those found that wait for their commit. What pages under way hold is not known, so
    ``max_items`` may be passed by as much.
    """
    if manners.max_items and progress.items + items >= manners.max_items:
        return False
    return not manners.max_pages or progress.done + under_way < manners.max_pages
