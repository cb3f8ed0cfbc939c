"""Which redirects are followed at once, because a site tries out whether cookies are kept."""

from __future__ import annotations

from collections.abc import Callable

from crawler.clock import Clock
from crawler.engine.fetch import Page, Rules
from crawler.engine.urls import host_of
from crawler.model import Request

# Takes the next start on the host, at least so many seconds after the last; seconds to wait for it.
Book = Callable[[float], float]


class CookieWall:
    """The gate of `follow` for one request: redirects on its host that set a cookie pass. The rest
    are links, so that no page is read twice."""

    def __init__(
        self,
        request: Request,
        rules: Callable[[str], Rules | None],
        book: Book,
        clock: Clock,
    ) -> None:
        self._host = request.host
        self._rules = rules
        self._book = book
        self._clock = clock
        self._followed = False

    async def __call__(self, page: Page) -> bool:
        """Wait as politeness wants, and say whether to follow."""
        target = page.location or ""
        if host_of(target) != self._host or not (page.sets_cookie or self._followed):
            return False
        rules = self._rules(target)
        if rules is None or not rules.allows(target):
            return False
        self._followed = True
        await self._clock.sleep(self._book(rules.delay_s))
        return True
