"""HTTP by aiohttp, with everything bounded: time, size, inflation, addresses, credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import lru_cache
from types import MappingProxyType, TracebackType
from typing import Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from crawler.address import Guard
from crawler.clock import Clock
from crawler.definition.secrets import Secret
from crawler.engine.charset import declared
from crawler.engine.fetch import refresh
from crawler.engine.fetch.coding import decoder
from crawler.engine.fetch.failures import once, translated, watch_end
from crawler.engine.fetch.headers import (
    Headers,
    conditional,
    cookie_values,
    cookies_for,
    validator,
)
from crawler.engine.fetch.kept import Answer, PageCache
from crawler.engine.fetch.page import REDIRECTS, Page
from crawler.engine.fetch.resolver import Resolver
from crawler.engine.fetch.routes import ATTEMPTS, Route, Routes, blame, open_session, suspect
from crawler.engine.retry import retry_after_s
from crawler.engine.settings import Manners, ProxyPool, keeps_cookies
from crawler.engine.urls import Scope, canonical
from crawler.errors import FetchFailed, InvalidInput, Misconfigured
from crawler.model import Imprint

_WITHOUT_PAGE = REDIRECTS | {304}
_DRAIN_BYTES = 1 << 16  # of an answer nobody reads; beyond that the connection is given up
_DRAIN_S = 3.0  # likewise
_SLOW_AFTER_S = 10.0
_SLOWEST_BYTES_PER_S = 1000.0
_DNS_TTL_S = 60
_KEEPALIVE_S = 30.0
_PROXY_AUTHENTICATION = 407


def _clean(header: str) -> str:
    """A header as text that every store takes: aiohttp keeps bytes it cannot read as surrogates."""
    return header.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", "")


@lru_cache(maxsize=64)
def _within(total_s: float, connect_s: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total_s, connect=connect_s)


def _target(location: str, base: str) -> str | None:
    try:
        return canonical(_clean(location), base)
    except InvalidInput:
        return None


class _OwnCookies(aiohttp.CookieJar):
    """Sends the cookies it is given, and takes none from servers."""

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        del headers, response_url


class HttpFetch:
    """Fetches for one crawl. An asynchronous context manager; implements `Fetch`.

    Credentials of the definition go only where `Headers` lets them. Cookies of servers are kept
    only where `keeps_cookies`; ``jar`` has all of them while it is open. Raises `Misconfigured`
    where the definition needs a secret or a pool of proxies that this worker does not have.
    """

    def __init__(
        self,
        manners: Manners,
        scope: Scope,
        guard: Guard,
        clock: Clock,
        *,
        secrets: Mapping[str, Secret] = MappingProxyType({}),
        pools: Mapping[str, ProxyPool] = MappingProxyType({}),
        cache: PageCache | None = None,
    ) -> None:
        self._manners = manners
        self._guard = guard
        self._clock = clock
        self._routes = self._open_routes(manners.proxy_pool, pools)
        self._headers = Headers(manners, scope, secrets)
        self._cookies = cookie_values(manners, scope, secrets)
        self._connect_s = manners.connect_timeout or None
        self._cache = cache
        counts = manners.concurrent_requests_per_ip and self._routes is None
        self._resolver = Resolver() if counts else None
        self._stack = AsyncExitStack()

    def _open_routes(self, name: str | None, pools: Mapping[str, ProxyPool]) -> Routes | None:
        if name is None:
            return None
        if name not in pools:
            raise Misconfigured(
                f"proxy_pool: this worker has no pool {name}; add it to [proxy_pools] in its "
                "settings"
            )
        return Routes(name, pools[name], self._guard, self._clock)

    async def __aenter__(self) -> Self:
        jar = self.jar = self._jar()
        if self._routes is not None:
            await self._routes.open(self._stack, jar, _KEEPALIVE_S)
            return self
        connector = aiohttp.TCPConnector(
            limit=0,  # the dispatcher bounds requests
            resolver=self._resolver,
            socket_factory=self._guard.open_socket,
            ttl_dns_cache=_DNS_TTL_S,
            keepalive_timeout=_KEEPALIVE_S,
        )
        session = open_session(connector, jar)
        self._direct = Route(await self._stack.enter_async_context(session))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def _jar(self) -> aiohttp.abc.AbstractCookieJar:
        keeps = keeps_cookies(self._manners)
        if not keeps and not self._cookies:
            return aiohttp.DummyCookieJar()
        kind = aiohttp.CookieJar if keeps else _OwnCookies
        jar = kind(unsafe=True, quote_cookie=False)  # unsafe: also for bare addresses
        begins = (*self._manners.start_urls, *self._manners.sitemaps) if self._cookies else ()
        for url in map(canonical, begins):
            jar.update_cookies(cookies_for(self._cookies, url), URL(url, encoded=True).origin())
        return jar

    async def get(
        self,
        url: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        max_bytes: int | None = None,
        timeout_s: float | None = None,
        truncate: bool = False,
        unless: Imprint | None = None,
    ) -> Page:
        """See `Fetch`. The wall-clock budget covers name, connection, headers and body."""
        started = self._clock.elapsed()
        total = self._manners.download_timeout if timeout_s is None else timeout_s
        limit = self._manners.download_maxsize if max_bytes is None else max_bytes
        cache = self._cache
        if cache is not None and not (method == "GET" and body is None and self._shares(url)):
            cache = None
        if cache is not None and unless is not None:
            kept = await cache.fresh(url, self._headers.for_request(url), limit)
            decoded = None if kept is None else _decoded(kept, limit, truncate=truncate)
            if kept is not None and decoded is not None:
                latency_s = self._clock.elapsed() - started
                return self._page(url, kept, decoded, len(kept.body), started, latency_s)
        asked_at, parts = self._clock.wall(), list[bytes]()
        with translated():
            async with await self._send(method, url, body, total, unless) as answer:
                latency_s, came_at = self._clock.elapsed() - started, self._clock.wall()
                if answer.status in _WITHOUT_PAGE or answer.status >= 400:
                    decoded, size = b"", await _drain(answer)
                else:
                    raw = parts if cache is not None else None
                    decoded, size = await self._read(answer, limit, truncate, raw)
        if cache is not None and answer.status in (200, 304) and size == sum(map(len, parts)):
            news = Answer(answer.status, answer.headers, b"".join(parts), asked_at, came_at)
            await cache.keep(url, self._headers.for_request(url), news)
        return self._page(url, answer, decoded, size, started, latency_s)

    def _shares(self, url: str) -> bool:
        """Whether the answer is that to anybody: nothing tells the server who asks, and the same
        headers go with each request."""
        known = keeps_cookies(self._manners) or self._cookies or self._headers.tells_secrets(url)
        return not known and self._routes is None and not self._headers.rotating

    @property
    def blocked(self) -> tuple[float, str]:
        """See `Fetch`."""
        if self._routes is None:
            return 0.0, ""
        return self._routes.free_at, self._routes.reason

    def agent_for(self, url: str) -> str:
        """The user agent that a request to this URL is sent with."""
        return self._headers.for_request(url)["User-Agent"]

    async def _send(
        self, method: str, url: str, body: bytes | None, total_s: float, unless: Imprint | None
    ) -> aiohttp.ClientResponse:
        """The answer as far as its headers, by another proxy where one does not take it."""
        headers = self._headers.for_request(url, body)
        if unless is not None and method == "GET":
            headers = conditional(headers, unless)
        if self._routes is None:
            return await self._begin(self._direct, method, url, body, headers, total_s)
        over = self._clock.elapsed() + total_s
        await self._routes.judge(url)
        for _ in range(ATTEMPTS):
            route = self._routes.pick(url)
            left_s = max(0.001, over - self._clock.elapsed())
            try:
                answer = await self._begin(route, method, url, body, headers, left_s)
            except self._routes.errors as error:
                if (failure := blame(error)) is not None:
                    self._routes.succeeded(route)
                    raise failure from error
                self._routes.failed(route)
                continue
            except aiohttp.ClientError as error:
                if suspect(error, route, url):
                    self._routes.failed(route)
                raise
            if answer.status == _PROXY_AUTHENTICATION and route.proxy and url[:5] == "http:":
                answer.close()  # not asked again at once: it may be the target that says so
                self._routes.failed(route)
                raise FetchFailed("proxy wants other credentials", retry=True)
            self._routes.succeeded(route)
            return answer
        raise FetchFailed("proxies failed", retry=True)

    async def _begin(
        self,
        route: Route,
        method: str,
        url: str,
        body: bytes | None,
        headers: CIMultiDict[str],
        total_s: float,
    ) -> aiohttp.ClientResponse:
        """The answer as far as its headers."""
        asking = route.session.request(
            method,
            URL(url, encoded=True),
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=_within(total_s, self._connect_s),
            middlewares=(once(),),
            proxy=route.proxy,
        )
        limit_s = self._manners.first_byte_timeout
        if not limit_s:
            return await asking
        deadline = asyncio.timeout(limit_s)
        try:
            async with deadline:
                return await asking
        except TimeoutError as error:
            if deadline.expired():
                raise FetchFailed(f"no answer within {limit_s:g} s", retry=True) from error
            raise

    def _page(
        self,
        url: str,
        answer: aiohttp.ClientResponse | Answer,
        body: bytes,
        size: int,
        started: float,
        latency_s: float,
    ) -> Page:
        content_type = _clean(answer.headers.get("Content-Type", ""))
        kind = content_type.partition(";")[0].strip().lower()[:255]
        charset = declared(body, content_type)
        location = answer.headers.get("Location")
        if answer.status in REDIRECTS:
            target = _target(location, url) if location is not None else None
        else:
            target = refresh.leads_to(body, url, kind, charset)
        return Page(
            url=url,
            status=answer.status,
            body=body,
            content_type=kind,
            charset=charset,
            size_bytes=size,
            elapsed_s=self._clock.elapsed() - started,
            latency_s=latency_s,
            location=target,
            retry_after_s=retry_after_s(
                answer.headers.get("Retry-After", ""), answer.headers.get("Date", "")
            ),
            sets_cookie="Set-Cookie" in answer.headers,
            address=self._resolver.address_of(url) if self._resolver is not None else "",
            robots_tag=_clean("\n".join(answer.headers.getall("X-Robots-Tag", ()))),
            etag=validator(answer.headers.get("ETag", "")),
            last_modified=validator(answer.headers.get("Last-Modified", "")),
            headers=answer.headers,
            kept=isinstance(answer, Answer),
        )

    async def _read(
        self,
        answer: aiohttp.ClientResponse,
        limit: int,
        truncate: bool,
        raw: list[bytes] | None,
    ) -> tuple[bytes, int]:
        """The decoded body and its transferred size. ``raw`` is given what was transferred."""
        if (answer.content_length or 0) > limit and not truncate:
            raise FetchFailed("too large", retry=False)
        codings = answer.headers.getall("Content-Encoding", ())
        decode = decoder(",".join(codings), limit, truncate=truncate)
        started, size, parts = self._clock.elapsed(), 0, []
        check_end = watch_end(answer)
        while chunk := await answer.content.readany():
            size += len(chunk)
            parts.append(decode.feed(chunk))
            if decode.full:
                if raw is not None:
                    raw.clear()  # it is not whole
                return b"".join(parts), size
            if raw is not None:
                raw.append(chunk)
            spent = self._clock.elapsed() - started
            if spent > _SLOW_AFTER_S and size < spent * _SLOWEST_BYTES_PER_S:
                raise FetchFailed("too slow", retry=True)
        check_end()
        decode.close()
        return b"".join(parts), size


def _decoded(kept: Answer, limit: int, *, truncate: bool) -> bytes | None:
    """None: it is nothing for us, though it may be for others, for whom it is kept, too."""
    codings = kept.headers.getall("Content-Encoding", ())
    try:
        decode = decoder(",".join(codings), limit, truncate=truncate)
        body = decode.feed(kept.body)
        if not decode.full:
            decode.close()
    except FetchFailed:
        return None
    return body


async def _drain(answer: aiohttp.ClientResponse) -> int:
    """Read on over a body that nobody wants, so that a short one keeps its connection."""
    size = 0
    if (answer.content_length or 0) <= _DRAIN_BYTES:
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while size <= _DRAIN_BYTES and (chunk := await answer.content.readany()):
                    size += len(chunk)
    return size
