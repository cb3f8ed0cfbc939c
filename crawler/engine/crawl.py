"""One crawl of one resource, from its claim to its end, its limit, or its loss."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TypeVar

import structlog

from crawler.address import Guard
from crawler.clock import Backoff, Clock, SystemClock
from crawler.definition import Definition
from crawler.definition.patterns import Routes
from crawler.engine.browser.pool import Browser
from crawler.engine.commits import Commits
from crawler.engine.dispatch import Dispatcher
from crawler.engine.extract import Extractor, Link
from crawler.engine.fetch import MAX_HOPS, Fetch, HttpFetch, Robots
from crawler.engine.fetch.kept import PageCache
from crawler.engine.files import keeper
from crawler.engine.frontier import Frontier, Turns
from crawler.engine.links import LinkFilter
from crawler.engine.live import Live
from crawler.engine.login import Login
from crawler.engine.pages import Pages
from crawler.engine.reading import Extracts, Reader, Spider
from crawler.engine.rendering import Fetchers, open_fetchers, wants_browser
from crawler.engine.settings import EngineSettings, own_name
from crawler.engine.sitemaps import SITEMAP, Sitemaps
from crawler.engine.urls import Scope, Tidy, Traps, canonical, fingerprint, host_of, tidier
from crawler.engine.urls.memory import Memory
from crawler.errors import Fenced, OutcomeUnknown, StoreUnavailable
from crawler.model import Progress, Request
from crawler.tasks import TaskGroup, bounded, start_loop

__all__ = ["Crawl", "EngineSettings", "Live", "OpenFetch", "seeds"]

log = structlog.get_logger(__name__)

T = TypeVar("T")
OpenFetch = Callable[[], AbstractAsyncContextManager[Fetch]]


def seeds(definition: Definition, starts: Sequence[Link] | None = None) -> tuple[Request, ...]:
    """The start URLs and sitemaps as requests, each once. ``starts`` are instead of start URLs.

    Raises `InvalidInput` for one that is no http or https URL.
    """
    found: dict[bytes, Request] = {}
    tidy = _tidy(definition)
    starts = [Link(url) for url in definition.start_urls] if starts is None else starts
    for link in starts:
        url = canonical(link.url)
        url = url if tidy is None else tidy(url)
        mark = fingerprint(link.method, url, link.body)
        request = Request(
            fingerprint=mark,
            url=url,
            host=host_of(url),
            priority=link.priority,
            method=link.method,
            body=link.body,
            rule=link.to,
            carry=link.carry,
        )
        found.setdefault(mark, request)
    listed = [canonical(url) for url in definition.sitemaps]
    if definition.sitemaps_from_robots:
        listed += [canonical("/robots.txt", canonical(url)) for url in definition.start_urls]
    for url in listed:
        mark = fingerprint("GET", url)
        found.setdefault(mark, Request(fingerprint=mark, url=url, host=host_of(url), rule=SITEMAP))
    return tuple(found.values())


def _tidy(definition: Definition) -> Tidy | None:
    return tidier(
        sort_query=definition.sort_query,
        drop_query=definition.drop_query,
        session_ids=definition.traps.session_ids,
    )


class Crawl:
    """Crawls under one claim. ``run`` once.

    ``parsing`` is told the fingerprint of a page before it is parsed, and None after. ``report``
    is called about once a second. ``open_fetch`` and ``extractor`` stand in for HTTP and for the
    definition's rules, a ``spider`` for these and for the start URLs. A ``browser`` shows the pages
    of rules that want one. ``memory`` is what the crawls of a process share. ``cache``: where pages
    are kept for others, too; None: nowhere.
    """

    def __init__(
        self,
        definition: Definition,
        frontier: Frontier,
        turns: Turns,
        *,
        settings: EngineSettings,
        parsing: Callable[[bytes | None], None],
        report: Callable[[Live], None],
        clock: Clock | None = None,
        chance: random.Random | None = None,
        open_fetch: OpenFetch | None = None,
        extractor: Extracts | None = None,
        spider: Spider | None = None,
        memory: Memory | None = None,
        browser: Browser | None = None,
        cache: PageCache | None = None,
    ) -> None:
        self._definition = definition
        self._frontier = frontier
        self._turns = turns
        self._settings = settings
        self._parsing = parsing
        self._report = report
        self._clock = clock or SystemClock()
        self._chance = chance or random.Random()
        self._scope = Scope(definition)
        self._open_fetch = open_fetch or self._open_http
        self._extractor = extractor or Extractor(
            definition, keeper(settings.files) if settings.files is not None else None
        )
        self._spider = spider
        self._memory = memory
        self._browser = browser
        self._cache = cache
        self._seeds = seeds(definition, None if spider is None else spider.starts)

    def _open_http(self) -> HttpFetch:
        guard = Guard(self._settings.allow_private, self._settings.typed_hosts)
        return HttpFetch(
            self._definition,
            self._scope,
            guard,
            self._clock,
            secrets=self._settings.secrets,
            pools=self._settings.proxy_pools,
            cache=self._cache,
        )

    async def run(self) -> str:
        """Crawl until finished or a limit is reached; the reason.

        Raises `Fenced` at once when a newer claim stands, and `Misconfigured` where the definition
        needs what this worker is not given. When cancelled, what is complete is
        committed, as far as that takes less than ``stop_s``; the rest simply stays pending.
        """
        opening = self._open_fetch()  # which refuses what this worker has no secrets for
        if self._browser is not None and wants_browser(self._definition.rules):
            self._browser.check()
        progress = await self._seed()
        if progress.finished:
            return progress.finished
        async with opening as fetch, self._open_pages(fetch) as pages:
            await self._relearn(pages)
            dispatcher = self._dispatcher(pages, progress)
            try:
                return await self._drive(dispatcher)
            except BaseExceptionGroup as group:
                raise _cause(group) from group

    async def _seed(self) -> Progress:
        """Seed the run, which has no effect where it is seeded already."""
        return await self._persist(lambda: self._frontier.seed(self._seeds))

    async def _relearn(self, pages: Pages) -> None:
        """Take the hosts into scope again that redirects of start URLs led to before the crawl was
        resumed, so that links are judged as if it had never stopped."""
        marks = [request.fingerprint for request in self._seeds]
        for _ in range(MAX_HOPS):
            urls = await self._persist(partial(self._frontier.targets, tuple(marks)))
            marks = [fingerprint("GET", url) for url in urls]
            for url in urls:
                pages.led_to(url)
            if not marks:
                return

    async def _persist(self, step: Callable[[], Awaitable[T]]) -> T:
        """Repeat a step of the beginning until the store has taken it."""
        delays = Backoff().delays(self._chance)
        while True:
            try:
                return await step()
            except (StoreUnavailable, OutcomeUnknown) as error:
                log.warning("the store is away; trying again", error=str(error))
                await self._clock.sleep(next(delays))

    @asynccontextmanager
    async def _open_pages(self, fetch: Fetch) -> AsyncIterator[Pages]:
        definition, clock = self._definition, self._clock
        robots = Robots(fetch, own_name(definition), definition.retry_times, clock)
        opening = open_fetchers(definition, self._scope, fetch, self._browser, robots.known, clock)
        async with opening as fetchers:
            yield self._pages(fetch, robots, fetchers)

    def _pages(self, fetch: Fetch, robots: Robots, fetchers: Fetchers | None) -> Pages:
        links = self._links()
        reader = Reader(
            self._definition,
            self._scope,
            self._extractor,
            self._sitemaps(),
            links,
            self._parsing,
            self._spider,
        )
        pages = Pages(
            self._definition,
            self._scope,
            fetch,
            robots,
            reader,
            links,
            self._clock,
            self._chance,
            self._login(fetch),
            None if fetchers is None else fetchers.of_request,
        )
        for request in self._seeds:
            pages.meet(request)
        return pages

    def _login(self, fetch: Fetch) -> Login | None:
        wanted = self._definition.login
        if wanted is None:
            return None
        return Login(wanted, fetch, self._scope, self._settings.secrets, self._clock)

    def _links(self) -> LinkFilter:
        bounds = self._definition.traps
        year = time.gmtime(self._clock.wall()).tm_year
        return LinkFilter(
            self._scope,
            self._definition.depth_limit,
            tidy=_tidy(self._definition),
            judge=Traps(bounds, year).judge if bounds.any() else None,
            memory=self._memory,
        )

    def _sitemaps(self) -> Sitemaps:
        rules, tidy = self._definition.rules, _tidy(self._definition)
        if not rules:
            return Sitemaps(lambda _: True)
        take = Routes(rules).take
        return Sitemaps(lambda url: take(url if tidy is None else tidy(url), None) is not None)

    def _dispatcher(self, pages: Pages, progress: Progress) -> Dispatcher:
        return Dispatcher(
            self._definition,
            self._settings,
            self._frontier,
            self._turns,
            pages,
            self._clock,
            progress,
            self._chance,
        )

    async def _drive(self, dispatcher: Dispatcher) -> str:
        commits, keeper = dispatcher.commits, dispatcher.keeper
        try:
            async with TaskGroup() as group:
                services = (
                    start_loop(group, "commits", commits.run()),
                    start_loop(group, "turns", keeper.run()),
                    start_loop(group, "live report", dispatcher.tell(self._report)),
                )
                reason = await dispatcher.run(group)
                for service in services:
                    service.cancel()
        except asyncio.CancelledError:
            await bounded(_last_commit(commits), self._settings.stop_s, "commit of complete pages")
            raise
        finally:
            await bounded(keeper.release_all(), self._settings.stop_s, "release of hosts")
            self._report(dispatcher.live())
        return reason


async def _last_commit(commits: Commits) -> None:
    """Commit what is complete. That somebody else owns the crawl by now is no failure: a pause, a
    delete or a move takes the claim first, and then stops us."""
    try:
        await commits.flush()
    except Fenced as error:
        log.info("complete pages are not ours to commit", pages=len(commits), reason=str(error))


def _cause(group: BaseExceptionGroup) -> BaseException:
    """The one error that matters: being fenced above all, otherwise the first."""
    fenced = group.subgroup(Fenced)
    error: BaseException = fenced if fenced is not None else group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
