"""What crawling comes to in figures, and how long its steps take: counted where it is done, in a
registry of its own, because the process that crawls is not the one that Prometheus asks."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from crawler.model import PageState, Visit

REGISTRY = CollectorRegistry()

_SOON_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_LATER_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_PAGES = Counter(
    "crawler_pages",
    "Visits of pages that were committed, by what became of them; pending: to be tried again.",
    ["state"],
    registry=REGISTRY,
)
_BY_STATE = {state: _PAGES.labels(state=state.value) for state in PageState}
_UNCHANGED = Counter(
    "crawler_unchanged_pages", "Those of them that were as the run before had left them.",
    registry=REGISTRY,
)  # fmt: skip
_ITEMS = Counter("crawler_items", "Items found on pages that were committed.", registry=REGISTRY)
_BYTES = Counter(
    "crawler_fetched_bytes", "Bytes of pages that were committed, unpacked.", registry=REGISTRY
)
FETCH = Histogram(
    "crawler_fetch_duration_seconds",
    "From asking for a page to its last byte, redirects that are followed at once included.",
    buckets=_LATER_S,
    registry=REGISTRY,
)
EXTRACT = Histogram(
    "crawler_extract_duration_seconds", "Reading one page.", buckets=_SOON_S, registry=REGISTRY
)
COMMIT = Histogram(
    "crawler_commit_duration_seconds",
    "Committing one batch of pages to the store, answered or not.",
    buckets=_LATER_S,
    registry=REGISTRY,
)


def count(visits: Sequence[Visit]) -> None:
    """These are committed."""
    for state, number in Counted(visit.state for visit in visits).items():
        _BY_STATE[state].inc(number)
    _UNCHANGED.inc(sum(visit.unchanged for visit in visits))
    _ITEMS.inc(sum(len(visit.items) for visit in visits))
    _BYTES.inc(sum(visit.size_bytes for visit in visits))
