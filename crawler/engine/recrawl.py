"""Whether a page is as the run before left it, and when it is asked again. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from xxhash import xxh3_128

from crawler.engine.fetch.page import Page
from crawler.engine.settings import Pace
from crawler.model import Before, Imprint, PageState, Request, Visit

UNCHANGED = "unchanged"
NOT_MODIFIED = 304


def known_of(request: Request, depth_limit: int) -> Before | None:
    """What is known of the page, None where nothing may be taken over: where depth is limited, a
    page that is found at another depth may lead elsewhere."""
    before = request.before
    if before is None or (depth_limit and before.depth != request.depth):
        return None
    return before


def unasked(request: Request, before: Before | None, pace: Pace) -> Visit | None:
    """The visit of a page that is not to be asked yet; None for all others. An interval that the
    definition would not allow any more is over."""
    if before is None or not before.due_at:
        return None
    if not pace.min_s or before.imprint.interval_s > pace.max_s:
        return None
    when = f"{datetime.fromtimestamp(before.due_at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return replace(
        _unchanged(request, before, before.imprint),
        reason=f"not asked before {when}",
        due_at=before.due_at,
    )


def answered(request: Request, before: Before, page: Page, pace: Pace) -> Visit | None:
    """The visit of a page that is unchanged; None where it has changed, or does not say. A server
    may send the same page again instead of saying so."""
    imprint = before.imprint
    if page.status != NOT_MODIFIED:
        if not 200 <= page.status < 300 or digest_of(page) != imprint.digest:
            return None
        imprint = replace(imprint, etag=page.etag, last_modified=page.last_modified)
    imprint = replace(
        imprint,
        etag=page.etag or imprint.etag,
        last_modified=page.last_modified or imprint.last_modified,
        interval_s=interval_after(imprint.interval_s, pace, unchanged=True),
    )
    return replace(
        _unchanged(request, before, imprint),
        status=page.status,
        size_bytes=page.size_bytes,
        elapsed_s=page.elapsed_s,
    )


def _unchanged(request: Request, before: Before, imprint: Imprint) -> Visit:
    return Visit(
        request,
        PageState.DONE,
        reason=UNCHANGED,
        final_url=request.url,
        content_type=before.content_type,
        rule=before.rule,
        imprint=imprint,
        unchanged=True,
    )


def imprint_of(page: Page, before: Before | None, pace: Pace) -> Imprint:
    """What is kept of a page that was read."""
    was_s = before.imprint.interval_s if before is not None else 0.0
    interval_s = interval_after(was_s, pace, unchanged=False)
    return Imprint(digest_of(page), page.etag, page.last_modified, interval_s)


def interval_after(interval_s: float, pace: Pace, *, unchanged: bool) -> float:
    """How long a page is not asked again: twice as long as last time (0.0: it is new) where it had
    not changed, half as long where it had."""
    if not pace.min_s:
        return 0.0
    wanted = interval_s * 2 if unchanged else interval_s / 2
    return min(pace.max_s, max(pace.min_s, wanted))


def digest_of(page: Page) -> bytes:
    """16 bytes over the body and what else of an answer decides how it is read."""
    state = xxh3_128()
    for text in (page.content_type, page.charset or "", page.robots_tag):
        state.update(text.encode("utf-8", "replace") + b"\0")
    state.update(page.body)
    return state.digest()
