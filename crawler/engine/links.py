"""From what a page links to, to the requests that the store has not been told of yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from crawler.engine.baggage import BEFORE, carried
from crawler.engine.hops import one_more
from crawler.engine.parts import Chain, chain_of
from crawler.engine.sitemaps import MAX_ENTRIES, MAX_NESTED, is_sitemap
from crawler.engine.urls import Scope, Tidy, canonical, fingerprint, host_of
from crawler.engine.urls.memory import Memory, Recent
from crawler.errors import InvalidInput
from crawler.model import Request

MAX_LINKS = 10_000  # per page; more are a trap, or a mistake
TOO_DEEP = "depth_limit"
_MEMO = 200_000  # fingerprints of a kind; about 20 MB at most


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
    none. Neither is asked about a spelling that was settled before. What is settled is kept in
    ``memory``, which other crawls may share.
    """

    def __init__(
        self,
        scope: Scope,
        depth_limit: int,
        *,
        tidy: Tidy | None = None,
        judge: Callable[[str], str] | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._scope = scope
        self._depth_limit = depth_limit
        self._tidy = tidy
        self._judge = judge
        self._memory = memory or Memory()
        # Spellings that there is nothing more to do about, and requests that the store knows: of a
        # plain GET its URL, which then is a settled spelling, of others the fingerprint.
        self._settled = self._memory.view()
        self._deep: Recent[bytes] = Recent(_MEMO)  # known to it as excluded: a shorter way may come
        self._trapped: Recent[bytes] = Recent(_MEMO)  # likewise, unless a sitemap lists them
        self._sound: Recent[bytes] = Recent(_MEMO)  # URLs that others than plain GETs go to

    def note(self, request: Request) -> None:
        """The store knows this request."""
        method, url, body = request.method, request.url, request.body
        if request.fingerprint == fingerprint(method, url, body):  # not one that an item goes on in
            self._settled.add(_key(method, url, body))

    def rescope(self) -> None:
        """The scope has grown: what was out of it may be in now."""
        self._settled = self._memory.view()

    def sort(self, page: Request, rule: str | None, links: Sequence[Link], here: str = "") -> Found:
        """The requests that ``page`` adds. ``rule``: the one it was taken by; ``here``: the digest
        of what is on it, which the page after it is compared with.

        What a sitemap lists begins anew, as start URLs do, and is no trap: it has an end.
        """
        most = MAX_ENTRIES + MAX_NESTED if is_sitemap(page.rule) else MAX_LINKS
        found = Found(max(0, len(links) - most))
        if found.cut:
            links = links[:most]
        settled = self._settled
        recent, seed = settled.recent, settled.seed
        # Most are settled, and recently.
        rest = [link for link in links if recent.get(link.url) != seed or link.method != "GET"]
        held = settled.holding([link.url for link in rest]) if rest else ()
        for link, is_settled in zip(rest, held, strict=True):
            if link.method != "GET":
                self._take_other(found, page, rule, link, here)
            elif not is_settled:
                self._take(found, page, rule, link)
        return found

    def onward(
        self, found: Found, page: Request, rule: str | None, link: Link, chain: Chain
    ) -> bool:
        """Add the request for the page on which an item goes on; False where it may not be sent,
        or was already. The page of a trap is excluded as what it is without the item."""
        url = self._permitted(link)
        if url is None:
            return False
        method, body = _sent(page, link)
        mark = chain.mark(method, url, body)
        longer = chain.onto(mark)
        if longer is None:
            return False
        refusal = self._refusal(mark, url, page.depth, plain=False)
        if refusal:
            plain = fingerprint(method, url, body)
            request = _request(plain, url, page, rule, link, page.depth, method, body)
            found.excluded.append((request, refusal))
        if refusal != "":
            return False
        request = _request(mark, url, page, rule, link, page.depth, method, body)
        carry = {**request.carry, **longer.baggage()}
        found.links.append(replace(request, carry=carry, bound=True))
        return True

    def _take(self, found: Found, page: Request, rule: str | None, link: Link) -> None:
        url = self._permitted(link)
        if url is None or url in self._settled:
            self._settled.add(link.url)
            return
        mark = fingerprint("GET", url)
        listed = is_sitemap(page.rule)
        depth = page.depth if link.is_next or listed else page.depth + 1
        refusal = self._refusal(mark, url, depth, plain=True, listed=listed)
        if refusal is None:
            return
        request = _request(mark, url, page, rule, link, depth)
        if refusal:
            found.excluded.append((request, refusal))
            return
        self._settled.add(url)
        if link.url != url:
            self._settled.add(link.url)
        found.links.append(request)

    def _take_other(
        self, found: Found, page: Request, rule: str | None, link: Link, here: str
    ) -> None:
        """A link of which the URL does not say everything."""
        url = self._permitted(link)
        if url is None:
            return
        method, body = _sent(page, link)
        key = _key(method, url, body)
        if key in self._settled:
            return
        mark = fingerprint(method, url, body)
        depth = page.depth if link.is_next else page.depth + 1
        refusal = self._refusal(mark, url, depth, plain=False)
        if refusal is None:
            return
        request = _request(mark, url, page, rule, link, depth, method, body)
        if here and link.is_next:
            request = replace(request, carry={**request.carry, BEFORE: here})
        if refusal:
            found.excluded.append((request, refusal))
            return
        self._settled.add(key)
        found.links.append(request)

    def _permitted(self, link: Link) -> str | None:
        """The canonical and tidy URL of a link; None where it is none, or out of scope."""
        try:
            url = canonical(link.url)
        except InvalidInput:
            return None
        if self._tidy is not None:
            url = self._tidy(url)
        return url if self._scope.allows(url) else None

    def _refusal(
        self, mark: bytes, url: str, depth: int, *, plain: bool, listed: bool = False
    ) -> str | None:
        """Why a new request is excluded: "": it is not; None: it is, and that was told before.

        A URL is judged once, however many requests go there: a ``plain`` one is a GET, of which
        ``mark`` is the URL's own, too. What is ``listed`` is not judged.
        """
        if self._depth_limit and depth > self._depth_limit:
            if mark in self._deep:
                return None
            self._deep.add(mark)
            return TOO_DEEP
        if self._judge is None or listed:
            return ""
        if mark in self._trapped:
            return None
        place = mark if plain else fingerprint("GET", url)
        if place != mark and (url in self._settled or place in self._sound):
            return ""
        trap = self._judge(url)
        if trap:
            self._trapped.add(mark)
        elif place != mark:
            self._sound.add(place)
        return trap

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
            mark, key = fingerprint(method, url, body), _key(method, url, body)
            if key in self._settled:
                return None
            self._settled.add(key)
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
            bound=chain is not None,
        )


def _key(method: str, url: str, body: bytes | None) -> str:
    """Under which a request is settled."""
    if method == "GET" and body is None:
        return url
    return fingerprint(method, url, body).hex()


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
