"""What became of one URL, and why pages failed, as it is told to people: values without I/O."""

from __future__ import annotations

from dataclasses import dataclass

from crawler.errors import NotFound
from crawler.model import ItemRecord, PageRecord, PageState


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
class Attempt:
    """One time that a page was asked for. ``state`` is what the page was after it: PENDING, to be
    tried again. ``status`` 0: no answer came. ``node`` "": not kept, as of those that went well."""

    at: float
    state: PageState
    status: int
    reason: str
    elapsed_s: float
    node: str


@dataclass(frozen=True, slots=True)
class Story:
    """What a run knows of one URL. ``way``: the pages that led to it, the nearest first; one that
    is not there any more ends it. ``attempts``: the latest, the first one first, those before
    somebody had it retried included. ``found``: URLs that were first found on it, the first
    hundred. ``items``: the first hundred. ``runs``: what became of it in each run whose pages are
    kept, the latest first."""

    run: int
    page: PageRecord
    method: str
    final_url: str
    not_before: float  # Unix seconds until when it waits; 0.0: it does not
    way: tuple[PageRecord, ...]
    attempts: tuple[Attempt, ...]
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


def never_heard(run: int | None) -> NotFound:
    """What is raised for a URL of which a run (None: the latest) knows nothing."""
    told = "the latest run" if run is None else f"run {run}"
    return NotFound(
        f"{told} does not know this URL: no page that it read links there, or the link is "
        "out of the crawl's scope (allowed_domains, rules); what was asked by POST is found by "
        "the key that lists of pages have"
    )
