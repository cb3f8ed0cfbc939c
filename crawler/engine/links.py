"""From what a page links to, to the requests that the store has not been told of yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import structlog

from crawler.engine.baggage import BEFORE, carried
from crawler.engine.hops import one_more
from crawler.engine.parts import Chain, chain_of
from crawler.engine.urls import Scope, canonical, fingerprint, host_of
from crawler.engine.urls.memory import Recent
from crawler.errors import InvalidInput
from crawler.model import Request

log = structlog.get_logger(__name__)

MAX_LINKS = 10_000  # per page; more are a trap, or a mistake
TOO_DEEP = "depth_limit"
_MEMO = 200_000  # spellings and fingerprints each; about 25 MB at most


class Link(Protocol):
    """A link as extraction finds it: an absolute URL, not yet canonical.

    ``method`` "" is that of the page, with its body: the same request with another query.
    """

    @property
    def url(self) -> str: ...
    @property
    def to(self) -> str | None: ...
    @property
    def priority(self) -> int: ...
    @property
    def carry(self) -> Mapping[str, Any]: ...
    @property
    def is_next(self) -> bool: ...
    @property
    def method(self) -> str: ...
    @property
    def body(self) -> bytes | None: ...


class Found:
    """Requests for the store: ``links`` to crawl, ``excluded`` with the reason."""

    __slots__ = ("excluded", "links")

    def __init__(self) -> None:
        self.links: list[Request] = []
        self.excluded: list[tuple[Request, str]] = []


class LinkFilter:
    """Sorts the links of page after page, each spelling and each URL at most once.

    The filter is a convenience: what it forgets is sent again, and the store ignores it. It must
    only learn of links that are committed before, or with, whatever relies on it: batches are
    committed in the order of their visits.
    """

    def __init__(self, scope: Scope, depth_limit: int, *, memo: int = _MEMO) -> None:
        self._scope = scope
        self._depth_limit = depth_limit
        self._memo = memo
        self._settled: Recent[str] = Recent(memo)  # spellings there is nothing more to do about
        self._known: Recent[bytes] = Recent(memo)  # requests that the store knows
        self._deep: Recent[bytes] = Recent(memo)  # known to it as excluded: a shorter way may come

    def note(self, request: Request) -> None:
        """The store knows this request."""
        self._known.add(request.fingerprint)

    def rescope(self) -> None:
        """The scope has grown: what was out of it may be in now."""
        self._settled = Recent(self._memo)

    def sort(self, page: Request, rule: str | None, links: Sequence[Link], here: str = "") -> Found:
        """The requests that ``page`` adds. ``rule``: the one it was taken by; ``here``: the digest
        of what is on it, which the page after it is compared with."""
        found = Found()
        if len(links) > MAX_LINKS:
            log.warning("links beyond the cap ignored", url=page.url, links=len(links))
            links = links[:MAX_LINKS]
        settled = self._settled
        for link in links:
            if link.method != "GET":
                self._take_other(found, page, rule, link, here)
            elif link.url not in settled:
                self._take(found, page, rule, link)
        return found

    def _take_other(
        self, found: Found, page: Request, rule: str | None, link: Link, here: str
    ) -> None:
        """A link of which the URL does not say everything."""
        url = self._permitted(link)
        if url is None:
            return
        method, body = _sent(page, link)
        mark = fingerprint(method, url, body)
        if mark in self._known:
            return
        depth = page.depth if link.is_next else page.depth + 1
        request = _request(mark, url, page, rule, link, depth, method, body)
        if here and link.is_next:
            request = replace(request, carry={**request.carry, BEFORE: here})
        if not self._depth_limit or depth <= self._depth_limit:
            self._known.add(mark)
            found.links.append(request)
        elif mark not in self._deep:
            self._deep.add(mark)
            found.excluded.append((request, TOO_DEEP))

    def onward(self, page: Request, rule: str | None, link: Link, chain: Chain) -> Request | None:
        """The request for the page on which an item goes on; None where it may not be sent, or
        was already."""
        url = self._permitted(link)
        if url is None:
            return None
        method, body = _sent(page, link)
        mark = chain.mark(method, url, body)
        longer = chain.onto(mark)
        if longer is None:
            return None
        request = _request(mark, url, page, rule, link, page.depth, method, body)
        return replace(request, carry={**request.carry, **longer.baggage()})

    def _permitted(self, link: Link) -> str | None:
        """The canonical URL of a link; None where it is none, or out of scope."""
        try:
            url = canonical(link.url)
        except InvalidInput:
            return None
        return url if self._scope.allows(url) else None

    def _take(self, found: Found, page: Request, rule: str | None, link: Link) -> None:
        try:
            url = canonical(link.url)
        except InvalidInput:
            self._settled.add(link.url)
            return
        mark = fingerprint("GET", url) if self._scope.allows(url) else None
        if mark is None or mark in self._known:
            self._settled.add(link.url)
            return
        depth = page.depth if link.is_next else page.depth + 1
        if self._depth_limit and depth > self._depth_limit:
            if mark not in self._deep:
                self._deep.add(mark)
                found.excluded.append((_request(mark, url, page, rule, link, depth), TOO_DEEP))
            return
        self._known.add(mark)
        self._settled.add(link.url)
        found.links.append(_request(mark, url, page, rule, link, depth))

    def redirect(self, page: Request, url: str, method: str, body: bytes | None) -> Request | None:
        """The request that a redirect to ``url`` asks for; None if the store knows it.

        It inherits everything: depth, priority, rule, carried values and an unfinished item; and
        knows how many redirects led to it.
        """
        carry = one_more(page)
        chain = chain_of(page)
        if chain is not None:
            mark = chain.mark(method, url, body)
            longer = chain.onto(mark)
            if longer is None:
                return None
            carry = {**carry, **longer.baggage()}
        else:
            mark = fingerprint(method, url, body)
            if mark in self._known:
                return None
            self._known.add(mark)
        return Request(
            fingerprint=mark,
            url=url,
            host=host_of(url),
            depth=page.depth,
            priority=page.priority,
            method=method,
            body=body,
            rule=page.rule,
            carry=carry,
            parent=page.fingerprint,
        )


def _sent(page: Request, link: Link) -> tuple[str, bytes | None]:
    return (link.method, link.body) if link.method else (page.method, page.body)


def _request(
    mark: bytes,
    url: str,
    page: Request,
    rule: str | None,
    link: Link,
    depth: int,
    method: str = "GET",
    body: bytes | None = None,
) -> Request:
    to, carry = link.to, link.carry
    if link.is_next:  # more of the same: its rule, and what was carried to it
        to = to if to is not None else (page.rule or rule)
        carry = {**carried(page), **carry} if page.carry else carry
    return Request(
        fingerprint=mark,
        url=url,
        host=host_of(url),
        depth=depth,
        priority=link.priority,
        method=method,
        body=body,
        rule=to,
        carry=carry,
        parent=page.fingerprint,
    )
