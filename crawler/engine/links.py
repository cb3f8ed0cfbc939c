"""From what a page links to, to the requests that the store has not been told of yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from crawler.engine.hops import carried, one_more
from crawler.engine.sitemaps import MAX_ENTRIES, MAX_NESTED, is_sitemap
from crawler.engine.urls import Scope, Tidy, canonical, fingerprint, host_of
from crawler.engine.urls.memory import Recent
from crawler.errors import InvalidInput
from crawler.model import Request

MAX_LINKS = 10_000  # per page; more are a trap, or a mistake
TOO_DEEP = "depth_limit"
_MEMO = 200_000  # spellings and fingerprints each; about 25 MB at most


class Link(Protocol):
    """A link as extraction finds it: an absolute URL, not yet canonical."""

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


class Found:
    """Requests for the store: ``links`` to crawl, ``excluded`` with the reason. ``cut`` counts
    links beyond the cap, which were not looked at."""

    __slots__ = ("cut", "excluded", "links")

    def __init__(self, cut: int = 0) -> None:
        self.cut = cut
        self.links: list[Request] = []
        self.excluded: list[tuple[Request, str]] = []


class LinkFilter:
    """Sorts the links of page after page, each spelling and each URL at most once.

    The filter is a convenience: what it forgets is sent again, and the store ignores it. It must
    only learn of links that are committed before, or with, whatever relies on it: batches are
    committed in the order of their visits.

    ``tidy`` makes a canonical URL that of its page; ``judge`` says why a URL is a trap, "" if it is
    none. Neither is asked about a spelling that was settled before.
    """

    def __init__(
        self,
        scope: Scope,
        depth_limit: int,
        *,
        tidy: Tidy | None = None,
        judge: Callable[[str], str] | None = None,
        memo: int = _MEMO,
    ) -> None:
        self._scope = scope
        self._depth_limit = depth_limit
        self._tidy = tidy
        self._judge = judge
        self._memo = memo
        self._settled: Recent[str] = Recent(memo)  # spellings there is nothing more to do about
        self._known: Recent[bytes] = Recent(memo)  # requests that the store knows
        self._deep: Recent[bytes] = Recent(memo)  # known to it as excluded: a shorter way may come
        self._trapped: Recent[bytes] = Recent(memo)  # likewise, unless a sitemap lists them

    def note(self, request: Request) -> None:
        """The store knows this request."""
        self._known.add(request.fingerprint)

    def rescope(self) -> None:
        """The scope has grown: what was out of it may be in now."""
        self._settled = Recent(self._memo)

    def sort(self, page: Request, rule: str | None, links: Sequence[Link]) -> Found:
        """The requests that ``page`` adds. ``rule``: the one it was taken by.

        What a sitemap lists begins anew, as start URLs do, and is no trap: it has an end.
        """
        most = MAX_ENTRIES + MAX_NESTED if is_sitemap(page.rule) else MAX_LINKS
        found = Found(max(0, len(links) - most))
        if found.cut:
            links = links[:most]
        settled = self._settled
        for link in links:
            if link.url not in settled:
                self._take(found, page, rule, link)
        return found

    def _take(self, found: Found, page: Request, rule: str | None, link: Link) -> None:
        try:
            url = canonical(link.url)
        except InvalidInput:
            self._settled.add(link.url)
            return
        if self._tidy is not None:
            url = self._tidy(url)
        mark = fingerprint("GET", url) if self._scope.allows(url) else None
        if mark is None or mark in self._known:
            self._settled.add(link.url)
            return
        listed = is_sitemap(page.rule)
        depth = page.depth if link.is_next or listed else page.depth + 1
        if self._depth_limit and depth > self._depth_limit:
            if mark not in self._deep:
                self._deep.add(mark)
                found.excluded.append((_request(mark, url, page, rule, link, depth), TOO_DEEP))
            return
        if self._judge is not None and not listed:
            if mark in self._trapped:
                return
            if trap := self._judge(url):
                self._trapped.add(mark)
                found.excluded.append((_request(mark, url, page, rule, link, depth), trap))
                return
        self._known.add(mark)
        self._settled.add(link.url)
        found.links.append(_request(mark, url, page, rule, link, depth))

    def redirect(self, page: Request, url: str, method: str, body: bytes | None) -> Request | None:
        """The request that a redirect to ``url`` asks for; None if the store knows it.

        It inherits everything: depth, priority, rule and carried values; and knows how many
        redirects led to it.
        """
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
            carry=one_more(page),
            parent=page.fingerprint,
        )


def _request(
    mark: bytes, url: str, page: Request, rule: str | None, link: Link, depth: int
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
        rule=to,
        carry=carry,
        parent=page.fingerprint,
    )
