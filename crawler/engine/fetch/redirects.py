"""Redirects followed by ourselves, each hop under the same rules as the first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from crawler.engine.fetch.page import REDIRECTS, Fetch, Page
from crawler.errors import FetchFailed
from crawler.model import Imprint

MAX_HOPS = 10

Gate = Callable[[Page], Awaitable[bool]]


def next_request(status: int, method: str, body: bytes | None) -> tuple[str, bytes | None]:
    """Method and body of the request that a redirect asks for (RFC 9110, 15.4).

    303 turns everything but HEAD into GET; 301 and 302 turn POST into GET, as browsers do; 307
    and 308 keep both. Where a page itself goes elsewhere (200), that is GET.
    """
    if status in (307, 308) or (status in (301, 302) and method != "POST"):
        return method, body
    return ("HEAD" if method == "HEAD" else "GET"), None


async def follow(
    fetch: Fetch,
    url: str,
    *,
    gate: Gate,
    method: str = "GET",
    body: bytes | None = None,
    hops: int = MAX_HOPS,
    max_bytes: int | None = None,
    timeout_s: float | None = None,
    truncate: bool = False,
    unless: Imprint | None = None,
) -> Page:
    """Fetch ``url`` and what it redirects to; the answer's ``url`` is where it ended. ``unless`` is
    of ``url`` itself, and nobody else is asked with it.

    ``gate`` is awaited with each redirect: it waits as politeness wants, and says whether to
    follow; otherwise the redirect itself is the answer. Raises `FetchFailed`: "redirect loop"
    when a URL comes up a third time (a second time is how sites test for cookies), "too many
    redirects", "redirect to nowhere".
    """
    start, seen = url, {url: 1}
    for _ in range(hops + 1):
        page = await fetch.get(
            url,
            method=method,
            body=body,
            max_bytes=max_bytes,
            timeout_s=timeout_s,
            truncate=truncate,
            unless=unless if url == start else None,
        )
        if page.status not in REDIRECTS and page.location is None:
            return page
        if page.location is None:
            raise FetchFailed("redirect to nowhere", retry=False, status=page.status)
        if not await gate(page):
            return page
        method, body = next_request(page.status, method, body)
        url = page.location
        seen[url] = seen.get(url, 0) + 1
        if seen[url] > 2:
            raise FetchFailed("redirect loop", retry=False, status=page.status)
    raise FetchFailed("too many redirects", retry=False)
