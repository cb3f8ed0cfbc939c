"""One page fetched for its own sake: what a rule yields is tried out on it."""

from __future__ import annotations

from crawler.address import Guard
from crawler.clock import Clock
from crawler.definition import Definition
from crawler.engine.fetch import HttpFetch, Page, Robots, follow
from crawler.engine.fetch.browser import Browser
from crawler.engine.rendering import open_fetchers
from crawler.engine.settings import EngineSettings, own_name
from crawler.engine.urls import Scope, canonical
from crawler.errors import FetchFailed


async def fetch_page(
    manners: Definition,
    url: str,
    settings: EngineSettings,
    clock: Clock,
    *,
    rule: str | None = None,
    browser: Browser | None = None,
) -> Page:
    """Fetch ``url`` as a crawl would, and follow where it redirects to, in scope or not. ``rule``
    is the one that a link sends it to.

    Raises `InvalidInput` for what is no URL, `Misconfigured` where the definition needs what is not
    there, and `FetchFailed`, also where robots.txt forbids it.
    """
    guard = Guard(settings.allow_private, settings.typed_hosts)
    scope = Scope(manners)
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
        async with open_fetchers(manners, scope, fetch, browser, robots.known, clock) as fetchers:
            await permit(start)
            chosen = fetch if fetchers is None else fetchers.sent_to(rule)
            return await follow(chosen, start, gate=gate)
