"""Pages fetched one after the other for their own sake: what rules and selectors yield is tried
out on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from crawler.address import Guard
from crawler.clock import Clock
from crawler.definition import Definition
from crawler.engine.browser.pool import Browser
from crawler.engine.fetch import Fetch, HttpFetch, Page, Robots, follow
from crawler.engine.login import Login
from crawler.engine.rendering import Fetchers, open_fetchers
from crawler.engine.settings import EngineSettings, Manners, own_name
from crawler.engine.urls import Scope, canonical, host_of
from crawler.errors import FetchFailed


class Single:
    """Fetches what it is told to, as a crawl would: robots.txt obeyed, and the hosts left alone
    for as long between two pages. ``fetchers``: of what rules want shown in a browser, if any;
    ``login``: of hosts in ``scope``, if any."""

    def __init__(
        self,
        fetch: Fetch,
        fetchers: Fetchers | None,
        robots: Robots,
        login: Login | None,
        scope: Scope,
        manners: Manners,
        clock: Clock,
    ) -> None:
        self._fetch = fetch
        self._login = login
        self._scope = scope
        self._fetchers = fetchers
        self._robots = robots
        self._manners = manners
        self._clock = clock
        self._free_at: dict[str, float] = {}  # by host, of those that were asked

    async def get(self, url: str, rule: str | None = None) -> Page:
        """Fetch ``url``, and follow where it redirects to, in scope or not. ``rule`` is the one
        that a link sends it to.

        Raises `InvalidInput` for what is no URL, and `FetchFailed`, also where robots.txt forbids
        it.
        """
        start = canonical(url)
        host = host_of(start)
        await self._clock.sleep(max(self._free_at.get(host, 0.0) - self._clock.elapsed(), 0.0))
        delay_s = await self._permit(start)
        if self._login is not None and self._scope.trusts(start):
            await self._login.ensure(self._delay)
        fetch = self._fetch if self._fetchers is None else self._fetchers.sent_to(rule)
        try:
            return await follow(fetch, start, gate=self._gate)
        finally:
            self._free_at[host] = self._clock.elapsed() + delay_s

    async def _gate(self, page: Page) -> bool:
        await self._permit(page.location or page.url)
        return True

    async def _permit(self, url: str) -> float:
        """Seconds that its host is to be left alone for afterwards."""
        if not self._manners.robotstxt_obey:
            return self._manners.download_delay
        rules = self._robots.known(url) or await self._robots.load(url, self._between)
        if rules.failure is not None:
            raise rules.failure
        if not rules.allows(url):
            raise FetchFailed("robots.txt forbids it", retry=False)
        return self._delay(rules.delay_s)

    def _between(self, _: str) -> float:
        return self._delay(0.0)

    def _delay(self, at_least_s: float) -> float:
        return max(at_least_s, self._manners.download_delay)


@asynccontextmanager
async def open_single(
    definition: Definition, settings: EngineSettings, clock: Clock
) -> AsyncIterator[Single]:
    """With the connections and cookies of a crawl, until the end of the block. Raises
    `Misconfigured` where the definition needs what is not there."""
    scope = Scope(definition)
    opening = HttpFetch(
        definition,
        scope,
        Guard(settings.allow_private, settings.typed_hosts),
        clock,
        secrets=settings.secrets,
        pools=settings.proxy_pools,
    )
    async with Browser(settings) as browser, opening as fetch:
        robots = Robots(fetch, own_name(definition), 0, clock)
        wanted = definition.login
        login = None
        if wanted is not None:
            login = Login(wanted, fetch, scope, settings.secrets, clock)
        showing = open_fetchers(definition, scope, fetch, browser, robots.known, clock)
        async with showing as fetchers:
            yield Single(fetch, fetchers, robots, login, scope, definition, clock)
