"""Pages fetched one after the other for their own sake: what rules and selectors yield is tried
out on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from crawler.address import Guard
from crawler.clock import Clock
from crawler.engine.fetch import Fetch, HttpFetch, Page, Robots, follow
from crawler.engine.settings import EngineSettings, Manners, own_name
from crawler.engine.urls import Scope, canonical, host_of
from crawler.errors import FetchFailed


class Single:
    """Fetches what it is told to, as a crawl would: robots.txt obeyed, and the hosts left alone
    for as long between two pages."""

    def __init__(self, fetch: Fetch, manners: Manners, clock: Clock) -> None:
        self._fetch = fetch
        self._manners = manners
        self._clock = clock
        self._robots = Robots(fetch, own_name(manners), 0, clock)
        self._free_at: dict[str, float] = {}  # by host, of those that were asked

    async def get(self, url: str) -> Page:
        """Fetch ``url``, and follow where it redirects to, in scope or not.

        Raises `InvalidInput` for what is no URL, and `FetchFailed`, also where robots.txt forbids
        it.
        """
        start = canonical(url)
        host = host_of(start)
        await self._clock.sleep(max(self._free_at.get(host, 0.0) - self._clock.elapsed(), 0.0))
        delay_s = await self._permit(start)
        try:
            return await follow(self._fetch, start, gate=self._gate)
        finally:
            self._free_at[host] = self._clock.elapsed() + delay_s

    async def _gate(self, page: Page) -> bool:
        await self._permit(page.location or page.url)
        return True

    async def _permit(self, url: str) -> float:
        """Seconds that its host is to be left alone for afterwards."""
        if not self._manners.robotstxt_obey:
            return self._manners.download_delay
        rules = self._robots.known(url) or await self._robots.load(url, self._delay)
        if rules.failure is not None:
            raise rules.failure
        if not rules.allows(url):
            raise FetchFailed("robots.txt forbids it", retry=False)
        return self._delay(rules.delay_s)

    def _delay(self, at_least_s: float) -> float:
        return max(at_least_s, self._manners.download_delay)


@asynccontextmanager
async def open_single(
    manners: Manners, settings: EngineSettings, clock: Clock
) -> AsyncIterator[Single]:
    """With the connections and cookies of a crawl, until the end of the block."""
    opening = HttpFetch(
        manners,
        Scope(manners),
        Guard(settings.allow_private, settings.typed_hosts),
        clock,
        secrets=settings.secrets,
        pools=settings.proxy_pools,
    )
    async with opening as fetch:
        yield Single(fetch, manners, clock)
