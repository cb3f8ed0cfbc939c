"""What one request comes to: robots, fetch, redirect, status, extraction, links; one `Visit`."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from crawler.clock import Clock
from crawler.engine import figures, recrawl, sitemaps
from crawler.engine.fetch import (
    MAX_HOPS,
    REDIRECTS,
    Fetch,
    Page,
    Robots,
    Rules,
    follow,
    next_request,
)
from crawler.engine.hops import from_start, hops, leads_back
from crawler.engine.links import LinkFilter
from crawler.engine.login import Login
from crawler.engine.parts import LAST_STRIKES, chain_of, unfinished
from crawler.engine.reading import Reader
from crawler.engine.retry import RETRY_AFTER, Again, decide, refusal
from crawler.engine.settings import Manners, keeps_cookies
from crawler.engine.sitemaps import is_sitemap
from crawler.engine.urls import Scope, fingerprint, host_of
from crawler.engine.walls import Book, CookieWall
from crawler.errors import FetchFailed
from crawler.failpoint import hit
from crawler.model import Before, PageState, Request, Visit
from crawler.telemetry.traces import span

log = structlog.get_logger(__name__)

ROBOTS = "robots.txt"
_WANTS_COOKIES = "; the site sets cookies: try cookies_enabled = true"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A visit, and what it tells of the host: for how long it wants to be left alone and why, how
    long it took to answer, whether that was a ``good`` answer, and the address it came from ("": of
    no interest). ``kept``: the host was not asked, and has told nothing."""

    visit: Visit
    pause_s: float = 0.0
    pause_reason: str = ""
    latency_s: float = 0.0
    good: bool = False
    address: str = ""
    kept: bool = False


class Pages:
    """Turns requests into visits. ``fetch_for`` tells what a page is fetched by, where that is not
    ``fetch`` for all of them."""

    def __init__(
        self,
        manners: Manners,
        scope: Scope,
        fetch: Fetch,
        robots: Robots,
        reader: Reader,
        links: LinkFilter,
        clock: Clock,
        chance: random.Random,
        login: Login | None = None,
        fetch_for: Callable[[Request], Fetch] | None = None,
    ) -> None:
        self._manners = manners
        self._login = login
        self._scope = scope
        self._fetch = fetch
        self._reader = reader
        self._links = links
        self._clock = clock
        self._chance = chance
        self._keeps_cookies = keeps_cookies(manners)
        self._robots = robots
        self._fetch_for = fetch_for

    @property
    def blocked(self) -> tuple[float, str]:
        """See `Fetch`."""
        return self._fetch.blocked

    def meet(self, request: Request) -> None:
        """The store handed out this request, so it knows it, and its host is in scope."""
        self._links.note(request)
        if not self._scope.allows(request.url):
            self._adopt(request.host)

    def led_to(self, url: str) -> None:
        """A redirect from a start URL, committed before this crawl was resumed, led there."""
        if not self._scope.allows(url):
            self._adopt(host_of(url))

    def _adopt(self, host: str) -> None:
        if self._scope.adopt(host):
            log.info("host taken into scope", host=host)
            self._links.rescope()

    def rules(self, url: str) -> Rules | None:
        """What robots.txt says to this URL; None: `load_rules` first."""
        if not self._manners.robotstxt_obey:
            return _NO_RULES
        return self._robots.known(url)

    async def load_rules(self, request: Request, book: Callable[[str], float]) -> Rules:
        """Fetch the robots.txt that speaks for this request: one request to its host, and one more
        for each redirect, by ``book`` for the URL that it leads to."""
        return await self._robots.load(request.url, book)

    def refuse(self, request: Request, rules: Rules) -> Visit | None:
        """The end of a request that must not be sent; None if it may be."""
        if rules.failure is not None and rules.final:
            return _lost(request, rules.failure.reason, rules.failure.status)
        if not rules.allows(request.url):
            return replace(_lost(request, ROBOTS), state=PageState.EXCLUDED)
        if request.strikes >= LAST_STRIKES and chain_of(request) is not None:
            return _lost(request, "killed its process")
        return None

    def unasked(self, request: Request) -> Visit | None:
        """The visit of a page that need not be asked yet; None where a request is to be sent."""
        return recrawl.unasked(request, self._before(request), self._manners.recrawl)

    def _before(self, request: Request) -> Before | None:
        return recrawl.known_of(request, self._manners.depth_limit)

    async def visit(self, request: Request, book: Book) -> Outcome:
        """Fetch and read one page, recorded as one."""
        with span("page", url=request.url):
            return await self._visit(request, book)

    async def _visit(self, request: Request, book: Book) -> Outcome:
        """Fetch and read one page. Whatever goes wrong with the page is in the visit. A redirect
        that is followed at once waits for the start that ``book`` gives it."""
        asked = self._clock.elapsed()
        try:
            with figures.FETCH.time(), span("fetch", url=request.url):
                page = await self._get(request, book)
        except FetchFailed as failure:
            latency_s = self._clock.elapsed() - asked
            lost = self._failed(request, failure)
            visit = replace(lost.visit, elapsed_s=latency_s)
            return replace(lost, visit=visit, latency_s=latency_s)
        await hit("engine.after_fetch")
        try:
            visit, pause_s, why = self._read(request, page), 0.0, ""
        except FetchFailed as failure:
            failed = self._failed(request, failure)
            visit = replace(failed.visit, elapsed_s=page.elapsed_s)
            pause_s, why = failed.pause_s, failed.pause_reason
        good = 200 <= page.status < 300 or visit.unchanged
        return Outcome(visit, pause_s, why, page.latency_s, good, page.address, page.kept)

    async def _get(self, request: Request, book: Book) -> Page:
        """The answer, to one who is logged in where the definition wants that."""
        if self._login is None or not self._scope.trusts(request.url):
            return await self._ask(request, book)
        await self._login.ensure(book)
        page = await self._ask(request, book)
        if await self._login.again(request.url, page, book):
            page = await self._ask(request, book)
        return page

    async def _ask(self, request: Request, book: Book) -> Page:
        method, body = request.method, request.body
        most, before = self._most_bytes(request), self._before(request)
        unless = None if before is None else before.imprint
        fetch = self._fetch if self._fetch_for is None else self._fetch_for(request)
        if not self._keeps_cookies:
            return await fetch.get(
                request.url, method=method, body=body, max_bytes=most, unless=unless
            )
        hops = CookieWall(request, self.rules, book, self._clock)
        return await follow(
            fetch,
            request.url,
            method=method,
            body=body,
            gate=hops,
            max_bytes=most,
            unless=unless,
        )

    def _most_bytes(self, request: Request) -> int | None:
        """Sitemaps are larger than pages."""
        if not is_sitemap(request.rule):
            return None
        return max(sitemaps.MAX_BYTES, self._manners.download_maxsize)

    def _read(self, request: Request, page: Page) -> Visit:
        if page.status in REDIRECTS or page.location is not None or page.url != request.url:
            return self._redirected(request, page)
        before = self._before(request)
        if before is not None:
            unchanged = recrawl.answered(request, before, page, self._manners.recrawl)
            if unchanged is not None:
                return unchanged
        failure = refusal(page.status, page.retry_after_s, self._manners.retry_http_codes)
        if failure is not None:
            raise failure
        return self._reader.read(request, page)

    def _redirected(self, request: Request, page: Page) -> Visit:
        """A redirect is a link to its target, which is a page of its own, known or not."""
        target = page.location if page.status in REDIRECTS or page.location else page.url
        if target is None:
            raise FetchFailed("redirect to nowhere", retry=False, status=page.status)
        method, body = next_request(page.status, request.method, request.body)
        again = (method, target, body) == (request.method, request.url, request.body)
        if again or leads_back(request, fingerprint(method, target, body)):
            cookies = page.sets_cookie and not self._keeps_cookies
            reason = f"redirect loop{_WANTS_COOKIES if cookies else ''}"
            raise FetchFailed(reason, retry=False, status=page.status)
        if hops(request) >= MAX_HOPS:
            raise FetchFailed("too many redirects", retry=False, status=page.status)
        if not self._scope.allows(target) and from_start(request):
            self._adopt(host_of(target))
        visit = Visit(
            request,
            PageState.DONE,
            reason="redirect",
            status=page.status,
            final_url=target,
            content_type=page.content_type,
            size_bytes=page.size_bytes,
            elapsed_s=page.elapsed_s,
        )
        if not self._scope.allows(target):
            return replace(visit, reason="redirect out of scope", items=unfinished(request))
        link = self._links.redirect(request, target, method, body)
        if link is None:
            return replace(visit, items=unfinished(request))
        return replace(visit, links=(link,))

    def _failed(self, request: Request, failure: FetchFailed) -> Outcome:
        decision = decide(failure, request.attempts, self._manners.retry_times, self._chance)
        if isinstance(decision, Again):
            visit = Visit(
                request,
                PageState.PENDING,
                decision.reason,
                failure.status,
                retry_after_s=decision.delay_s,
            )
            return Outcome(visit, decision.host_s, decision.host_reason)
        lost = _lost(request, decision.reason, failure.status)
        return Outcome(lost, decision.host_s, RETRY_AFTER)


def _lost(request: Request, reason: str, status: int = 0) -> Visit:
    """The end of a request that came to no page. An item that was to go on there is written."""
    return Visit(request, PageState.FAILED, reason, status, items=unfinished(request))


_NO_RULES = Rules(until=float("inf"))
