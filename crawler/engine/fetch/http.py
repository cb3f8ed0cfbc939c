"""HTTP by aiohttp, with everything bounded: time, size, inflation, addresses, credentials."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType, TracebackType
from typing import Self

import aiohttp
from yarl import URL

from crawler.address import Guard
from crawler.clock import Clock
from crawler.definition.secrets import Secret
from crawler.engine.fetch.charset import declared
from crawler.engine.fetch.coding import decoder
from crawler.engine.fetch.headers import Headers, cookie_values, cookies_for
from crawler.engine.fetch.page import REDIRECTS, Page
from crawler.engine.fetch.resolver import Resolver
from crawler.engine.retry import retry_after_s
from crawler.engine.settings import Manners, keeps_cookies
from crawler.engine.urls import Scope, canonical
from crawler.errors import FetchFailed, InvalidInput

_DRAIN_BYTES = 1 << 16  # of an answer nobody reads; beyond that the connection is given up
_SLOW_AFTER_S = 10.0
_SLOWEST_BYTES_PER_S = 1000.0
_DNS_TTL_S = 60
_KEEPALIVE_S = 30.0


@contextmanager
def translated() -> Iterator[None]:
    """Foreign errors of one request as `FetchFailed` with a short stable reason."""
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        raise FetchFailed("certificate not valid", retry=False) from error
    except aiohttp.ClientSSLError as error:
        raise FetchFailed("TLS failed", retry=True) from error
    except aiohttp.ClientConnectorDNSError as error:
        raise FetchFailed("name not resolved", retry=True) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise FetchFailed("connect timeout", retry=True) from error
    except TimeoutError as error:
        raise FetchFailed("timeout", retry=True) from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, PermissionError):
            raise FetchFailed("address refused", retry=False) from error
        raise FetchFailed("connection failed", retry=True) from error
    except aiohttp.ClientPayloadError as error:
        raise FetchFailed("incomplete body", retry=True) from error
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise FetchFailed("connection lost", retry=True) from error
    except aiohttp.ClientResponseError as error:
        raise FetchFailed("malformed answer", retry=True) from error
    except (aiohttp.ClientError, ValueError) as error:  # a name that has no DNS form, for instance
        raise FetchFailed("request impossible", retry=False) from error


def _once() -> aiohttp.ClientMiddlewareType:
    """Keeps aiohttp from sending a request again by itself when a connection is lost: at once,
    that is, whatever the host's delay is."""
    sent = False

    async def send(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        nonlocal sent
        if sent:
            raise FetchFailed("connection lost", retry=True)
        sent = True
        return await handler(request)

    return send


def _clean(header: str) -> str:
    """A header as text that every store takes: aiohttp keeps bytes it cannot read as surrogates."""
    return header.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", "")


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
    only where `keeps_cookies`. Raises `Misconfigured` where the definition needs a secret that is
    not among ``secrets``.
    """

    def __init__(
        self,
        manners: Manners,
        scope: Scope,
        guard: Guard,
        clock: Clock,
        *,
        secrets: Mapping[str, Secret] = MappingProxyType({}),
    ) -> None:
        self._manners = manners
        self._guard = guard
        self._clock = clock
        self._headers = Headers(manners, scope, secrets)
        self._cookies = cookie_values(manners, scope, secrets)
        self._connect_s = manners.connect_timeout or None
        self._resolver = Resolver() if manners.concurrent_requests_per_ip else None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=0,  # the dispatcher bounds requests
            resolver=self._resolver,
            socket_factory=self._guard.open_socket,
            ttl_dns_cache=_DNS_TTL_S,
            keepalive_timeout=_KEEPALIVE_S,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=self._jar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=self._manners.download_timeout),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    def _jar(self) -> aiohttp.abc.AbstractCookieJar:
        keeps = keeps_cookies(self._manners)
        if not keeps and not self._cookies:
            return aiohttp.DummyCookieJar()
        kind = aiohttp.CookieJar if keeps else _OwnCookies
        jar = kind(unsafe=True, quote_cookie=False)  # unsafe: also for bare addresses
        for url in map(canonical, self._manners.start_urls if self._cookies else ()):
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
    ) -> Page:
        """See `Fetch`. The wall-clock budget covers name, connection, headers and body."""
        started = self._clock.elapsed()
        total = self._manners.download_timeout if timeout_s is None else timeout_s
        limit = self._manners.download_maxsize if max_bytes is None else max_bytes
        with translated():
            async with await self._begin(method, url, body, total) as answer:
                latency_s = self._clock.elapsed() - started
                if answer.status in REDIRECTS or answer.status >= 400:
                    decoded, size = b"", await _drain(answer)
                else:
                    decoded, size = await self._read(answer, limit, truncate)
        return self._page(url, answer, decoded, size, started, latency_s)

    async def _begin(
        self, method: str, url: str, body: bytes | None, total_s: float
    ) -> aiohttp.ClientResponse:
        """The answer as far as its headers."""
        asking = self._session.request(
            method,
            URL(url, encoded=True),
            data=body,
            headers=self._headers.for_url(url),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=total_s, connect=self._connect_s),
            middlewares=(_once(),),
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
        answer: aiohttp.ClientResponse,
        body: bytes,
        size: int,
        started: float,
        latency_s: float,
    ) -> Page:
        content_type = _clean(answer.headers.get("Content-Type", ""))
        location = answer.headers.get("Location")
        redirected = answer.status in REDIRECTS and location is not None
        return Page(
            url=url,
            status=answer.status,
            body=body,
            content_type=content_type.partition(";")[0].strip().lower()[:255],
            charset=declared(body, content_type),
            size_bytes=size,
            elapsed_s=self._clock.elapsed() - started,
            latency_s=latency_s,
            location=_target(location, url) if redirected and location is not None else None,
            retry_after_s=retry_after_s(
                answer.headers.get("Retry-After", ""), answer.headers.get("Date", "")
            ),
            sets_cookie="Set-Cookie" in answer.headers,
            address=self._resolver.address_of(url) if self._resolver is not None else "",
        )

    async def _read(
        self, answer: aiohttp.ClientResponse, limit: int, truncate: bool
    ) -> tuple[bytes, int]:
        """The decoded body and its transferred size."""
        if (answer.content_length or 0) > limit and not truncate:
            raise FetchFailed("too large", retry=False)
        codings = answer.headers.getall("Content-Encoding", ())
        decode = decoder(",".join(codings), limit, truncate=truncate)
        started, size, parts = self._clock.elapsed(), 0, []
        while chunk := await answer.content.readany():
            size += len(chunk)
            parts.append(decode.feed(chunk))
            if decode.full:
                return b"".join(parts), size
            spent = self._clock.elapsed() - started
            if spent > _SLOW_AFTER_S and size < spent * _SLOWEST_BYTES_PER_S:
                raise FetchFailed("too slow", retry=True)
        decode.close()
        return b"".join(parts), size


async def _drain(answer: aiohttp.ClientResponse) -> int:
    """Read on over a body that nobody wants, so that a short one keeps its connection."""
    size = 0
    if (answer.content_length or 0) <= _DRAIN_BYTES:
        while size <= _DRAIN_BYTES and (chunk := await answer.content.readany()):
            size += len(chunk)
    return size
