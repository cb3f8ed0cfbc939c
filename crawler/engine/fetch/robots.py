"""robots.txt by RFC 9309: fetched once a day per origin, and obeyed."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from crawler.clock import Clock
from crawler.engine.fetch.page import Fetch, Page
from crawler.engine.fetch.redirects import follow
from crawler.engine.fetch.robotstxt import RobotsTxt
from crawler.errors import FetchFailed

log = structlog.get_logger(__name__)

MAX_BYTES = 500 * 1024  # what RFC 9309 2.5 asks parsers to take at least
MAX_DELAY_S = 60.0
_MAX_AGE_S = 24 * 3600.0  # RFC 9309 2.4
_RETRY_S = 5.0  # until a robots.txt that could not be had is asked for again; doubled each time
_MAX_RETRY_S = 3600.0
_TIMEOUT_S = 30.0
_HOPS = 5  # RFC 9309 2.3.1.2
_MAX_ENTRIES = 2_000
_MAX_CACHED_BYTES = 4 << 20  # of text: its rules take up to ten times as much

_PRODUCT = re.compile(r"[A-Za-z_-]+")
_COMPATIBLE = re.compile(r"compatible;\s*([A-Za-z_-]+)")


def product_token(user_agent: str) -> str:
    """The name that robots.txt knows a crawler by (RFC 9309 2.2.1): letters, ``_`` and ``-``."""
    found = _COMPATIBLE.search(user_agent)
    if found is not None:
        return found[1]
    first = _PRODUCT.search(user_agent)
    return first[0] if first is not None else user_agent


def origin_of(url: str) -> str:
    """Scheme, host and port of a canonical URL: what one robots.txt speaks for."""
    return url[: url.index("/", 8)]


@dataclass(frozen=True, slots=True)
class Rules:
    """What one origin permits, until ``until`` (`Clock.elapsed`).

    ``delay_s``: seconds between requests that it asks for, at most `MAX_DELAY_S`. ``failure``:
    its robots.txt could not be had, so that nothing may be fetched now; ``final`` says that it was
    tried often enough. ``address``: where it came from, as `Page` has it.
    """

    until: float
    parsed: RobotsTxt | None = None
    delay_s: float = 0.0
    size_bytes: int = 0
    failure: FetchFailed | None = None
    final: bool = False
    address: str = ""

    def allows(self, url: str) -> bool:
        """Whether the canonical URL may be fetched."""
        if self.failure is not None:
            return False
        return self.parsed is None or self.parsed.allows(url)


class Robots:
    """The rules of many origins, bounded in number and size."""

    def __init__(self, fetch: Fetch, user_agent: str, retry_times: int, clock: Clock) -> None:
        self._fetch = fetch
        self._token = product_token(user_agent)
        self._retry_times = retry_times
        self._clock = clock
        self._failures: dict[str, int] = {}  # in a row, per origin
        self._cache: OrderedDict[str, Rules] = OrderedDict()
        self._cached_bytes = 0

    def known(self, url: str) -> Rules | None:
        """The rules for this URL; None when they must be `load`-ed first."""
        origin = origin_of(url)
        rules = self._cache.get(origin)
        if rules is None or rules.until <= self._clock.elapsed():
            return None
        self._cache.move_to_end(origin)
        return rules

    async def load(self, url: str, book: Callable[[str], float]) -> Rules:
        """Fetch and remember the rules for the origin of ``url``. A failure is an answer too.

        Redirects are requests to a host as well: each waits for as long as ``book`` says, which is
        given the URL that it leads to.
        """
        origin = origin_of(url)

        async def gate(page: Page) -> bool:
            """Any host will do (RFC 9309 2.3.1.2); the guard holds in any case."""
            await self._clock.sleep(book(page.location or page.url))
            return True

        try:
            page = await follow(
                self._fetch,
                f"{origin}/robots.txt",
                gate=gate,
                hops=_HOPS,
                max_bytes=MAX_BYTES,
                timeout_s=_TIMEOUT_S,
                truncate=True,
            )
        except FetchFailed as failure:
            rules = self._unreachable(origin, failure)
        else:
            rules = self._judge(origin, page)
        if rules.failure is None:
            self._failures.pop(origin, None)
        self._remember(origin, rules)
        log.info(
            "robots.txt read",
            origin=origin,
            delay_s=rules.delay_s,
            failure=rules.failure.reason if rules.failure else None,
        )
        return rules

    def _judge(self, origin: str, page: Page) -> Rules:
        if page.status >= 500 or page.status == 429:
            return self._unavailable(origin, "robots.txt unavailable", page.retry_after_s or 0.0)
        until = self._clock.elapsed() + _MAX_AGE_S
        address = page.address if origin_of(page.url) == origin else ""
        if not 200 <= page.status < 300:
            # RFC 9309 2.3.1.3: unavailable means everything is allowed
            return Rules(until, address=address)
        body = page.body
        if len(body) >= MAX_BYTES:  # a rule cut in two may say the opposite
            body = body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1]
        parsed = RobotsTxt(body, self._token)
        return Rules(until, parsed, min(parsed.delay_s, MAX_DELAY_S), len(body), address=address)

    def _unreachable(self, origin: str, failure: FetchFailed) -> Rules:
        if failure.reason in ("too many redirects", "redirect loop", "redirect to nowhere"):
            return Rules(self._clock.elapsed() + _MAX_AGE_S)  # RFC 9309 2.3.1.2: as unavailable
        if not failure.retry:
            until = self._clock.elapsed() + _MAX_RETRY_S
            return Rules(until, failure=failure, final=True)
        return self._unavailable(origin, f"robots.txt: {failure.reason}", 0.0)

    def _unavailable(self, origin: str, reason: str, wait_s: float) -> Rules:
        """RFC 9309 2.3.1.4: nothing may be fetched; ask again later."""
        failures = self._failures[origin] = self._failures.get(origin, 0) + 1
        pause_s = min(max(_RETRY_S * 2.0 ** min(failures - 1, 20), wait_s), _MAX_RETRY_S)
        return Rules(
            self._clock.elapsed() + pause_s,
            failure=FetchFailed(reason, retry=False),
            final=failures > self._retry_times,
        )

    def _remember(self, origin: str, rules: Rules) -> None:
        old = self._cache.pop(origin, None)
        self._cached_bytes += rules.size_bytes - (old.size_bytes if old else 0)
        self._cache[origin] = rules
        while len(self._cache) > 1 and (
            len(self._cache) > _MAX_ENTRIES or self._cached_bytes > _MAX_CACHED_BYTES
        ):
            dropped_origin, dropped = self._cache.popitem(last=False)
            self._cached_bytes -= dropped.size_bytes
            self._failures.pop(dropped_origin, None)
