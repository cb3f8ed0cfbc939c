"""What is kept of runs, and what is said of those that are not: without a database."""

from __future__ import annotations

from crawler.errors import NotFound
from crawler.model import Keep

ALL, ITEMS, NONE = "all", "items", "none"  # of a run
REMEMBERED = 1_000  # runs of which nothing is kept but that they were, and when they were due
RUNS_AT_ONCE = 50
PAGES_AT_ONCE = 100  # as each may have many items


def kept_in(place: int, keep: Keep) -> str:
    """What is kept of an old run; the latest run is in place 1."""
    return NONE if place > keep.runs else ITEMS


def is_forgotten(place: int, keep: Keep) -> bool:
    """Whether not even the number of the run is kept."""
    return place > keep.runs + REMEMBERED


def bounds(resource_id: str, keep: Keep) -> dict[str, object]:
    """As ``select_old_runs`` takes them."""
    return {
        "resource_id": resource_id,
        "pages": keep.pages,
        "runs": keep.runs,
        "known": keep.runs + REMEMBERED,
        "limit": RUNS_AT_ONCE,
    }


def check_kept(run: int | None, kept: str, *, pages: bool) -> None:
    """Raise `NotFound` where nothing is kept of the run, or not what is asked for."""
    if kept == NONE:
        raise NotFound(f"run {run} is not kept any more; keep_runs says how many are")
    if pages and kept == ITEMS:
        raise NotFound(
            f"the pages of run {run} are not kept any more, its items are; keep_pages says of how "
            "many runs they are"
        )
