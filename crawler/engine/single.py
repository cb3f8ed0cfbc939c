"""One page fetched for its own sake: what a rule yields is tried out on it."""

from __future__ import annotations

from crawler.address import Guard
from crawler.clock import Clock
from crawler.engine.fetch import HttpFetch, Page, Robots, follow
from crawler.engine.login import Login
from crawler.engine.settings import EngineSettings, Manners, own_name
from crawler.engine.urls import Scope, canonical
from crawler.errors import FetchFailed


async def fetch_page(manners: Manners, url: str, settings: EngineSettings, clock: Clock) -> Page:
    """Fetch ``url`` as a crawl would, and follow where it redirects to, in scope or not.

    Raises `InvalidInput` for what is no URL, and `FetchFailed`, also where robots.txt forbids it.
    """
    guard, scope = Guard(settings.allow_private, settings.typed_hosts), Scope(manners)
    opening = HttpFetch(
        manners,
        scope,
        guard,
        clock,
        secrets=settings.secrets,
        pools=settings.proxy_pools,
    )
    async with opening as fetch:
        robots = Robots(fetch, own_name(manners), 0, clock)

        def book(delay_s: float) -> float:
            return max(delay_s, manners.download_delay)

        async def permit(target: str) -> None:
            if not manners.robotstxt_obey:
                return
            rules = robots.known(target) or await robots.load(target, book)
            if rules.failure is not None:
                raise rules.failure
            if not rules.allows(target):
                raise FetchFailed("robots.txt forbids it", retry=False)

        async def gate(page: Page) -> bool:
            await permit(page.location or page.url)
            return True

        start = canonical(url)
        await permit(start)
        if manners.login is not None and scope.trusts(start):
            await Login(manners.login, fetch, scope, settings.secrets, clock).ensure(book)
        return await follow(fetch, start, gate=gate)
