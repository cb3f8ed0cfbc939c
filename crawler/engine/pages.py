"""What one request comes to: robots, fetch, redirect, status, extraction, links; one `Visit`."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from crawler.clock import Clock
from crawler.engine.baggage import carried
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
from crawler.engine.harvest import Extraction, gather
from crawler.engine.hops import from_start, hops
from crawler.engine.links import LinkFilter
from crawler.engine.parts import LAST_STRIKES, Part, chain_of, unfinished
from crawler.engine.retry import Again, decide, refusal
from crawler.engine.settings import Manners
from crawler.engine.urls import Scope, host_of
from crawler.errors import FetchFailed
from crawler.failpoint import hit, hit_sync
from crawler.model import PageState, Request, Visit

log = structlog.get_logger(__name__)

ROBOTS = "robots.txt"
_MAX_REASON = 300


class Extracts(Protocol):
    """Reads pages by the rules of a definition."""

    def extract(
        self,
        body: bytes,
        url: str,
        *,
        content_type: str,
        charset: str | None,
        rule: str | None,
        carry: Mapping[str, Any],
        part: Part | None,
    ) -> Extraction:
        """Items and links of one page. Never awaits: a page is parsed in one go.

        ``part`` is the item that the page before left unfinished: it is among the items of this
        one, or goes on in its ``part``.
        """


@dataclass(frozen=True, slots=True)
class Outcome:
    """A visit, and for how long its host wants to be left alone."""

    visit: Visit
    pause_s: float = 0.0


class _Hops:
    """Which redirects are followed at once: those on the host that set a cookie, as sites do to
    find out whether cookies are kept. The rest are links, so that no page is read twice.

    ``pause_s``: how long the host is to be left alone after the last of them.
    """

    def __init__(
        self,
        request: Request,
        rules: Callable[[str], Rules | None],
        delay_s: float,
        clock: Clock,
    ) -> None:
        self._host = request.host
        self._rules = rules
        self._delay_s = delay_s
        self._clock = clock
        self._followed = False
        self.pause_s = 0.0

    async def __call__(self, page: Page) -> bool:
        """Wait as politeness wants, and say whether to follow."""
        target = page.location or ""
        if host_of(target) != self._host or not (page.sets_cookie or self._followed):
            return False
        rules = self._rules(target)
        if rules is None or not rules.allows(target):
            return False
        self._followed = True
        self.pause_s = max(self._delay_s, rules.delay_s)
        await self._clock.sleep(self.pause_s)
        return True


class Pages:
    """Turns requests into visits.

    ``parsing`` is told the fingerprint of a page before it is parsed, and None after: whoever
    watches the process can name the page that killed it.
    """

    def __init__(
        self,
        manners: Manners,
        scope: Scope,
        fetch: Fetch,
        extractor: Extracts,
        links: LinkFilter,
        clock: Clock,
        parsing: Callable[[bytes | None], None],
        chance: random.Random,
    ) -> None:
        self._manners = manners
        self._scope = scope
        self._fetch = fetch
        self._extractor = extractor
        self._links = links
        self._clock = clock
        self._parsing = parsing
        self._chance = chance
        self._robots = Robots(
            fetch, manners.user_agent, manners.retry_times, clock, manners.download_delay
        )

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

    async def load_rules(self, request: Request) -> Rules:
        """Fetch the robots.txt that speaks for this request. One request to its host."""
        return await self._robots.load(request.url)

    def refuse(self, request: Request, rules: Rules) -> Visit | None:
        """The end of a request that must not be sent; None if it may be."""
        if rules.failure is not None and rules.final:
            return _lost(request, rules.failure.reason, rules.failure.status)
        if not rules.allows(request.url):
            return replace(_lost(request, ROBOTS), state=PageState.EXCLUDED)
        if request.strikes >= LAST_STRIKES and chain_of(request) is not None:
            return _lost(request, "killed its process")
        return None

    async def visit(self, request: Request) -> Outcome:
        """Fetch and read one page. Whatever goes wrong with the page is in the visit."""
        hops = _Hops(request, self.rules, self._manners.download_delay, self._clock)
        try:
            page = await self._get(request, hops)
            await hit("engine.after_fetch")
            outcome = Outcome(self._read(request, page))
        except FetchFailed as failure:
            outcome = self._failed(request, failure)
        if hops.pause_s > outcome.pause_s:
            return replace(outcome, pause_s=hops.pause_s)
        return outcome

    async def _get(self, request: Request, hops: _Hops) -> Page:
        if not self._manners.cookies:
            return await self._fetch.get(request.url, method=request.method, body=request.body)
        return await follow(
            self._fetch, request.url, method=request.method, body=request.body, gate=hops
        )

    def _read(self, request: Request, page: Page) -> Visit:
        if page.status in REDIRECTS or page.url != request.url:
            return self._redirected(request, page)
        failure = refusal(page.status, page.retry_after_s, self._manners.retry_http_codes)
        if failure is not None:
            raise failure
        return self._extracted(request, page)

    def _redirected(self, request: Request, page: Page) -> Visit:
        """A redirect is a link to its target, which is a page of its own, known or not."""
        target = page.location if page.status in REDIRECTS else page.url
        if target is None:
            raise FetchFailed("redirect to nowhere", retry=False, status=page.status)
        if target == request.url and request.method == "GET":
            raise FetchFailed("redirect loop", retry=False, status=page.status)
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
        method, body = next_request(page.status, request.method, request.body)
        link = self._links.redirect(request, target, method, body)
        if link is None:
            return replace(visit, items=unfinished(request))
        return replace(visit, links=(link,))

    def _extracted(self, request: Request, page: Page) -> Visit:
        extraction = self._extract(request, page)
        items, found = gather(request, extraction, self._links)
        if extraction.errors:
            log.info("page read with errors", url=page.url, errors=list(extraction.errors)[:5])
        return Visit(
            request,
            PageState.DONE,
            reason=extraction.errors[0][:_MAX_REASON] if extraction.errors else "",
            status=page.status,
            final_url=page.url,
            content_type=page.content_type,
            size_bytes=page.size_bytes,
            elapsed_s=page.elapsed_s,
            rule=extraction.rule or "",
            items=items,
            links=tuple(found.links),
            excluded=tuple(found.excluded),
        )

    def _extract(self, request: Request, page: Page) -> Extraction:
        chain = chain_of(request)
        self._parsing(request.fingerprint)
        try:
            hit_sync("engine.in_parse")
            return self._extractor.extract(
                page.body,
                page.url,
                content_type=page.content_type,
                charset=page.charset,
                rule=request.rule,
                carry=carried(request),
                part=None if chain is None else chain.part,
            )
        except Exception as error:  # whatever a hostile page brings about, it ends that page only
            log.exception("page not readable", url=page.url)
            reason = f"not readable: {type(error).__name__}"
            raise FetchFailed(reason, retry=False, status=page.status) from error
        finally:
            self._parsing(None)

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
            return Outcome(visit, decision.host_s)
        return Outcome(_lost(request, decision.reason, failure.status))


def _lost(request: Request, reason: str, status: int = 0) -> Visit:
    """The end of a request that came to no page. An item that was to go on there is written."""
    return Visit(request, PageState.FAILED, reason, status, items=unfinished(request))


_NO_RULES = Rules(until=float("inf"))
