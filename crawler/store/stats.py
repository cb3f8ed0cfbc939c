"""What a run came to, in figures that are called as Scrapy calls them: without a database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from crawler.model import Figure, PageState, RunRecord, Stats

MAX_KINDS = 1_000  # of ends that pages may have; those of the fewest pages are not told apart


def stats_of(run: RunRecord, kinds: Iterable[Sequence[Any]]) -> Stats:
    """The figures of a run, by name in order. ``kinds``: state, HTTP status (0: no answer), reason
    (of pages that failed or are excluded), number of pages, retries and greatest depth of each kind
    of end that its pages came to.

    Names are Scrapy's where the meaning is. An answer that was not the last of its page is counted
    as a retry only.
    """
    progress, counts, depth = run.progress, Counter[str](), 0
    for state, status, reason, pages, retries, deepest in kinds:
        counts["retry/count"] += retries
        if status:
            counts["response_received_count"] += pages
            counts[f"downloader/response_status_count/{status}"] += pages
        elif state == PageState.FAILED:
            counts["downloader/exception_count"] += pages
            counts[f"downloader/exception_type_count/{reason}"] += pages
        if state == PageState.EXCLUDED:
            forbidden = reason == "robots.txt"
            counts["robotstxt/forbidden" if forbidden else f"excluded/{reason}"] += pages
        elif state != PageState.PENDING:
            depth = max(depth, deepest)
    counts["downloader/response_bytes"] = progress.fetched_bytes
    counts["item_scraped_count"] = progress.items
    counts["item_incomplete_count"] = progress.incomplete_items
    counts["page_unchanged_count"] = progress.unchanged
    counts["page_failed_count"] = progress.failed
    counts["scheduler/enqueued"] = progress.known
    counts["scheduler/pending"] = progress.pending
    found: dict[str, Figure] = {name: n for name, n in counts.items() if n}
    return dict(sorted({**found, "request_depth_max": depth, **_times(run, counts)}.items()))


def _times(run: RunRecord, counts: Mapping[str, int]) -> Stats:
    """When it was, and how fast; the latter once it is over."""
    times: dict[str, Figure] = {"start_time": _told(run.started_at)}
    if not run.progress.finished:
        return times
    times["finish_reason"] = run.progress.finished
    times["finish_time"] = _told(run.finished_at)
    elapsed_s = run.finished_at - run.started_at
    times["elapsed_time_seconds"] = round(elapsed_s, 3)
    if elapsed_s > 0:
        responses = counts.get("response_received_count", 0)
        times["responses_per_minute"] = round(60 * responses / elapsed_s, 1)
        times["items_per_minute"] = round(60 * run.progress.items / elapsed_s, 1)
    return times


def _told(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
