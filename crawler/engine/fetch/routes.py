"""The ways to the web: directly, or through a pool of proxies that the worker's operator set up.

Directly, the guard opens the sockets. A proxy opens them elsewhere, so the guard judges the target
before it is named to the proxy: literal addresses as they are, names by all the addresses that they
have for us. What it cannot see is a name that has another address for the proxy: a proxy must
refuse its own network by itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import structlog

from crawler.address import Guard
from crawler.clock import Clock
from crawler.engine.fetch.interim import Response
from crawler.engine.fetch.pool import Pool
from crawler.engine.settings import ProxyPool
from crawler.engine.urls import host_of, name_of
from crawler.errors import FetchFailed, Refused

log = structlog.get_logger(__name__)

ATTEMPTS = 3  # proxies that are tried for one request, as long as none of them has sent it
_JUDGED_S = 60.0
_MAX_HEADER_BYTES = 1 << 16  # of one header; policies and preload lists of real sites pass 8 KB
_MOST_JUDGED = 10_000


@dataclass(frozen=True, slots=True)
class Route:
    """A session, and the proxy that it is to be asked for (None: it needs not be told).
    ``which``: its number in the pool."""

    session: aiohttp.ClientSession
    proxy: str | None = None
    which: int = 0


def blame(error: Exception) -> FetchFailed | None:
    """What a failure through a proxy is, where the target is to blame; None: the proxy is, and the
    target has seen nothing of the request."""
    unreachable = FetchFailed("connection failed", retry=True)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return unreachable if error.status in (502, 504) else None
    # RFC 1928, 6: network or host unreachable, connection refused, TTL expired
    code = getattr(error, "error_code", None)
    return unreachable if code in (3, 4, 5, 6) else None


def suspect(error: Exception, route: Route, url: str) -> bool:
    """Whether the proxy may be to blame, although the target may have seen the request. In a tunnel
    only for silence: what else is said there comes from the target."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return True
    return route.proxy is not None and url.startswith("http:")


class Routes:
    """The proxies of one pool for one crawl."""

    def __init__(self, name: str, pool: ProxyPool, guard: Guard, clock: Clock) -> None:
        self._name = name
        self._urls = pool.urls
        self._pool = Pool(len(pool.urls), sticky=pool.rotation == "sticky")
        self._guard = guard
        self._clock = clock
        self._routes: list[Route] = []
        self.errors: tuple[type[Exception], ...] = (
            aiohttp.ClientProxyConnectionError,
            aiohttp.ClientHttpProxyError,
        )
        self._judged: OrderedDict[str, tuple[float, bool]] = OrderedDict()

    async def open(
        self, stack: AsyncExitStack, jar: aiohttp.abc.AbstractCookieJar, keepalive_s: float
    ) -> None:
        """Sessions for all of them, closed with the stack: one for all proxies of HTTP."""
        http = aiohttp.TCPConnector(limit=0, keepalive_timeout=keepalive_s)
        shared = await stack.enter_async_context(open_session(http, jar))
        for which, url in enumerate(self._urls):
            if url.startswith("http:"):
                self._routes.append(Route(shared, url, which))
                continue
            import aiohttp_socks  # only who uses it pays for it

            self.errors += (
                aiohttp_socks.ProxyConnectionError,
                aiohttp_socks.ProxyTimeoutError,
                aiohttp_socks.ProxyError,
            )
            socks = aiohttp_socks.ProxyConnector.from_url(
                url, rdns=False, limit=0, keepalive_timeout=keepalive_s
            )
            session = await stack.enter_async_context(open_session(socks, jar))
            self._routes.append(Route(session, None, which))

    @property
    def free_at(self) -> float:
        """When some proxy is not banned."""
        return self._pool.free_at()

    @property
    def reason(self) -> str:
        """Why nothing can be sent while all are banned."""
        return f"every proxy of the pool {self._name} is banned for its failures"

    def pick(self, url: str) -> Route:
        """The way for one request. Raises `FetchFailed` where all are banned."""
        now = self._clock.elapsed()
        which = self._pool.pick(host_of(url), now)
        if which is None:
            raise FetchFailed(self.reason, retry=True, retry_after_s=self.free_at - now)
        return self._routes[which]

    def succeeded(self, route: Route) -> None:
        """The proxy has brought an answer, whatever it says."""
        self._pool.succeeded(route.which)

    def failed(self, route: Route) -> None:
        """The proxy did not take the request, or not in time."""
        if self._pool.failed(route.which, self._clock.elapsed()):
            log.warning("proxy banned", pool=self._name, proxy=_shown(self._urls[route.which]))

    async def judge(self, url: str) -> None:
        """Refuse targets that the guard would refuse. Raises `FetchFailed`."""
        name, now = name_of(url), self._clock.elapsed()
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        key = f"{name}:{port}"
        until, allowed = self._judged.get(key, (0.0, False))
        if until <= now:
            allowed = self._allows(await _addresses(name, port), port)
            self._judged[key] = (now + _JUDGED_S, allowed)
            self._judged.move_to_end(key)
            if len(self._judged) > _MOST_JUDGED:
                self._judged.popitem(last=False)
        if not allowed:
            raise FetchFailed("address refused", retry=False)

    def _allows(self, addresses: Sequence[str], port: int) -> bool:
        """All of them, for nobody knows which of them the proxy takes."""
        try:
            for address in addresses:
                self._guard.check(address, port)
        except Refused:
            return False
        return True


def open_session(
    connector: aiohttp.BaseConnector, jar: aiohttp.abc.AbstractCookieJar
) -> aiohttp.ClientSession:
    """A session that decodes nothing by itself and asks no environment for proxies."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=jar,
        auto_decompress=False,
        trust_env=False,
        response_class=Response,
        max_field_size=_MAX_HEADER_BYTES,
    )


async def _addresses(name: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(name.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchFailed("name not resolved", retry=True) from error
    return [str(address[0]).partition("%")[0] for *_, address in found]


def _shown(url: str) -> str:
    """Without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
