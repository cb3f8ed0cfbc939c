"""HTTP by aiohttp, with everything bounded: time, size, inflation, addresses, credentials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from http.cookies import CookieError, SimpleCookie
from types import TracebackType
from typing import Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from crawler.address import Guard
from crawler.clock import Clock
from crawler.engine.bodies import content_type_of
from crawler.engine.fetch.charset import declared
from crawler.engine.fetch.coding import OFFERED, decoder
from crawler.engine.fetch.page import REDIRECTS, Page
from crawler.engine.retry import retry_after_s
from crawler.engine.settings import Manners
from crawler.engine.urls import Scope, canonical
from crawler.errors import FetchFailed, InvalidInput, Misconfigured

_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
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


class HttpFetch:
    """Fetches for one crawl. An asynchronous context manager; implements `Fetch`.

    Credentials of the definition (cookies and secret headers) go only where `Scope.trusts`, so
    that no redirect or link carries them elsewhere. Cookies of servers are kept only for crawls
    that set cookies themselves.
    """

    def __init__(self, manners: Manners, scope: Scope, guard: Guard, clock: Clock) -> None:
        self._manners = manners
        self._scope = scope
        self._guard = guard
        self._clock = clock
        self._public = self._headers(without=_SECRET_HEADERS)
        self._full = self._headers(without=frozenset())

    def _headers(self, without: AbstractSet[str]) -> CIMultiDict[str]:
        headers = CIMultiDict({"User-Agent": self._manners.user_agent, "Accept": _ACCEPT})
        headers.update({k: v for k, v in self._manners.headers.items() if k.lower() not in without})
        headers["Accept-Encoding"] = OFFERED
        return headers

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=0,  # the dispatcher bounds requests
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
        if not self._manners.cookies:
            return aiohttp.DummyCookieJar()
        jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)  # unsafe: also for bare addresses
        for url in map(canonical, self._manners.start_urls):
            jar.update_cookies(
                _cookies(self._manners.cookies, url), URL(url, encoded=True).origin()
            )
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
        headers = self._full if self._scope.trusts(url) else self._public
        if body is not None and "Content-Type" not in headers:
            headers = CIMultiDict(headers)
            headers["Content-Type"] = content_type_of(body)
        with translated():
            async with self._session.request(
                method,
                URL(url, encoded=True),
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=total),
                middlewares=(_once(),),
            ) as answer:
                if answer.status in REDIRECTS or answer.status >= 400:
                    decoded, size = b"", await _drain(answer)
                else:
                    decoded, size = await self._read(answer, limit, truncate)
        return self._page(url, answer, decoded, size, started)

    def _page(
        self, url: str, answer: aiohttp.ClientResponse, body: bytes, size: int, started: float
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
            location=_target(location, url) if redirected and location is not None else None,
            retry_after_s=retry_after_s(
                answer.headers.get("Retry-After", ""), answer.headers.get("Date", "")
            ),
            sets_cookie="Set-Cookie" in answer.headers,
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


def _cookies(values: Mapping[str, str], url: str) -> SimpleCookie:
    """Cookies for the host of ``url`` only, and for TLS only where the URL is."""
    jar = SimpleCookie()
    for name, value in values.items():
        try:
            jar[name] = value
        except CookieError as error:
            raise Misconfigured(f"cookies: not a cookie name: {name!r}") from error
        jar[name]["path"] = "/"
        if url.startswith("https:"):
            jar[name]["secure"] = True
    return jar
