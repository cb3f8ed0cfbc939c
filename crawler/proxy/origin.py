"""Asks origins, as far as the address guard lets it, and the proxies of other workers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from crawler.address import Guard
from crawler.cache.fields import Fields
from crawler.engine.fetch.failures import once, translated, watch_end
from crawler.engine.fetch.routes import open_session
from crawler.errors import FetchFailed
from crawler.proxy.hops import PEER, TARGET, end_to_end, written
from crawler.proxy.interim import Inform, informing
from crawler.proxy.messages import Request
from crawler.proxy.peers import Peer

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_ANSWER_BYTES = 1 << 30
_CONNECT_S = 20.0
_PEER_CONNECT_S = 2.0
_PROBE_S = 2.0
_SILENT_S = 60.0  # without a byte
_DNS_TTL_S = 60
_KEEPALIVE_S = 30.0
# What aiohttp adds by itself to requests that do without.
OWN_HEADERS = frozenset({"User-Agent", "Accept", "Accept-Encoding", "Content-Type"})


@dataclass(frozen=True, slots=True)
class Reply:
    """The head of an answer, without what was meant for its connection, and its body as it is
    sent. ``body`` raises `FetchFailed`. ``surely_whole``: a body that breaks off is seen to."""

    status: int
    fields: Fields
    body: AsyncGenerator[bytes, None]
    surely_whole: bool = True


class Origin:
    """An asynchronous context manager. ``tls``: by which workers know each other's proxies; None:
    these speak in clear."""

    def __init__(self, guard: Guard, tls: ssl.SSLContext | None = None) -> None:
        self._guard = guard
        self._tls = tls
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        outwards = aiohttp.TCPConnector(
            limit=0,  # `Hosts` bounds requests
            socket_factory=self._guard.open_socket,
            ttl_dns_cache=_DNS_TTL_S,
            keepalive_timeout=_KEEPALIVE_S,
        )
        self._outwards = await self._open(outwards)
        once_only = aiohttp.TCPConnector(
            limit=0,
            socket_factory=self._guard.open_socket,
            ttl_dns_cache=_DNS_TTL_S,
            force_close=True,
        )
        self._unsafe = await self._open(once_only)
        self._inwards = await self._open(
            aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S)
        )
        return self

    async def _open(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        session = open_session(connector, aiohttp.DummyCookieJar())
        return await self._stack.enter_async_context(session)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def ask(
        self, request: Request, fields: Fields, inform: Inform
    ) -> AsyncGenerator[Reply, None]:
        """The answer of the origin, while the block lasts; ``inform`` is told of interim ones.
        Raises `FetchFailed`."""
        session = self._outwards if repeatable(request) else self._unsafe
        async with _sent(session, request, request.url, fields, inform, _CONNECT_S) as reply:
            yield reply

    @asynccontextmanager
    async def ask_peer(
        self, peer: Peer, request: Request, fields: Fields, mark: str, inform: Inform
    ) -> AsyncGenerator[Reply, None]:
        """The answer of another worker's proxy, which asks the origin at most. One that is paused
        or cut off fails within seconds, however long an origin may take."""
        scheme = "http" if self._tls is None else "https"
        marked = fields.plus((TARGET, request.url), (PEER, mark))
        url = f"{scheme}://{peer.address}/"
        with translated():
            async with asyncio.timeout(None) as limit:
                watching = asyncio.create_task(self._watch(url, limit), name="proxy: watch a peer")
                try:
                    asked = (self._inwards, request, url, marked, inform, _PEER_CONNECT_S)
                    async with _sent(*asked, tls=self._tls) as reply:
                        yield reply
                finally:
                    watching.cancel()

    async def _watch(self, url: str, limit: asyncio.Timeout) -> None:
        """Ask the peer for a sign of life now and then, and end the wait where there is none."""
        while True:
            await asyncio.sleep(_PROBE_S)
            patience = aiohttp.ClientTimeout(total=_PROBE_S)
            try:
                async with self._inwards.get(
                    url, timeout=patience, allow_redirects=False, ssl=self._tls or True
                ):
                    pass  # whatever it says
            except (aiohttp.ClientError, OSError, TimeoutError):
                limit.reschedule(asyncio.get_running_loop().time())
                return


def repeatable(request: Request) -> bool:
    """Whether it may be sent again where a connection that was kept turns out to be closed. Others
    get a fresh connection (RFC 9112, 9.3.1)."""
    return request.method in _REPEATABLE and request.body is None


@asynccontextmanager
async def _sent(
    session: aiohttp.ClientSession,
    request: Request,
    url: str,
    fields: Fields,
    inform: Inform,
    connect_s: float,
    *,
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[Reply, None]:
    headers = CIMultiDict((name, written(value)) for name, value in fields.pairs)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_s, sock_read=_SILENT_S)
    with translated():
        async with session.request(
            request.method,
            URL(url, encoded=True),
            data=request.body,
            headers=headers,
            skip_auto_headers=OWN_HEADERS,
            allow_redirects=False,
            timeout=timeout,
            middlewares=(informing(inform), *(() if repeatable(request) else (once(),))),
            ssl=tls or True,
        ) as answer:
            pairs = tuple(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in answer.raw_headers
            )
            came = Fields(pairs)
            if came.get("transfer-encoding").lower() not in ("", "chunked"):
                raise FetchFailed("malformed answer", retry=True)
            body = _body(answer, watch_end(answer))
            yield Reply(answer.status, end_to_end(came), body, _surely_whole(came, url))


def _surely_whole(came: Fields, url: str) -> bool:
    """Where a body lasts as long as its connection, TLS must have said that it ends (RFC 9112, 8),
    and asyncio does not tell whether it did."""
    delimited = "content-length" in came or "transfer-encoding" in came
    return delimited or not url.startswith("https:")


async def _body(
    answer: aiohttp.ClientResponse, check_end: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    left = MAX_ANSWER_BYTES
    with translated():
        while chunk := await answer.content.readany():
            left -= len(chunk)
            if left < 0:
                raise FetchFailed("too large", retry=False)
            yield chunk
        check_end()
