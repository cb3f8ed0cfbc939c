"""The caches of other workers as a crawl uses them: what the owner of a URL keeps, and what it is
given to keep. None of that asks an origin, and what an owner does not do in time is done without
it."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp
import structlog
from multidict import CIMultiDict

from crawler.cache.answers import Stored, pick
from crawler.cache.fields import Fields
from crawler.clock import Clock
from crawler.engine.fetch.failures import translated
from crawler.engine.fetch.routes import open_session
from crawler.errors import FetchFailed, InvalidInput
from crawler.proxy.hops import PEER, written
from crawler.proxy.marks import Sealing, mark, proven
from crawler.proxy.origin import OWN_HEADERS
from crawler.proxy.parcels import ANSWER, FIND, KEEP, MOST_BYTES, PAGE, pack, unpack
from crawler.proxy.peers import Peer, Peers, severity

log = structlog.get_logger(__name__)

_PATIENCE_S = 2.0  # without a byte
_WHOLE_S = 10.0
_AT_ONCE = 2  # connections to each owner, which has some hundred for all
_KEEPALIVE_S = 5.0
_UNKNOWN = 407


class Owners:
    """Those of the cluster as last told. An asynchronous context manager."""

    def __init__(
        self, own_id: str, seal: Sealing, clock: Clock, tls: ssl.SSLContext | None = None
    ) -> None:
        self._peers = Peers(own_id, clock)
        self._seal = seal
        self._clock = clock
        self._tls = tls

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=0, limit_per_host=_AT_ONCE, keepalive_timeout=_KEEPALIVE_S
        )
        self._session = open_session(connector, aiohttp.DummyCookieJar())
        await self._session.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    def tell(self, others: Iterable[Peer], seal: Sealing) -> None:
        """These are registered now, and these are the secrets now."""
        self._peers.tell(others)
        self._seal = seal

    def owner(self, url: str) -> Peer | None:
        """Another worker that is to keep this URL; None: this one is."""
        return self._peers.owner(url)

    async def find(
        self, peer: Peer, url: str, request: Fields, most_bytes: int
    ) -> tuple[Stored, bytes] | None:
        """What the owner keeps for this request, fresh or not; None: nothing, or it is not to be
        believed, or it did not say in time."""
        try:
            async with asyncio.timeout(_WHOLE_S):
                return await self._find(peer, url, request, most_bytes)
        except (FetchFailed, InvalidInput, TimeoutError) as error:
            self._failed(peer, error)
            return None

    async def _find(
        self, peer: Peer, url: str, request: Fields, most_bytes: int
    ) -> tuple[Stored, bytes] | None:
        given = self._mark(peer, FIND, url)
        async with self._asked(peer, FIND, _headers(request, url, given)) as answer:
            if answer.status != 200:
                return None
            text = answer.headers.get(ANSWER, "")
            if not proven(self._seal, given, url, text, answer.headers.get(PEER, "")):
                raise InvalidInput("its answer is not marked with a secret of ours")
            stored = unpack(url, text)
            if pick([stored], request) is None:
                raise InvalidInput("its answer is to another request")
            if stored.size > most_bytes:
                return None
            return stored, await _content(answer, stored)

    async def give(self, peer: Peer, request: Fields, stored: Stored, content: bytes) -> bool:
        """Hand the owner an answer that the origin gave, or a 304 about one; whether it took it."""
        text = pack(stored)
        if len(text) > MOST_BYTES or self._seal.secret is None:
            return False  # nobody takes pages for others from a stranger
        headers = _headers(request, stored.url, self._mark(peer, KEEP, stored.url, text))
        headers[ANSWER] = text
        try:
            async with (
                asyncio.timeout(_WHOLE_S),
                self._asked(peer, KEEP, headers, content) as answer,
            ):
                return answer.status == 204
        except (FetchFailed, InvalidInput, TimeoutError) as error:
            self._failed(peer, error)
            return False

    @asynccontextmanager
    async def _asked(
        self, peer: Peer, method: str, headers: CIMultiDict[str], content: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Raises `FetchFailed`, and `InvalidInput` where it does not know us."""
        with translated():
            async with self._session.request(
                method,
                f"{'http' if self._tls is None else 'https'}://{peer.address}/",
                headers=headers,
                skip_auto_headers=OWN_HEADERS,
                data=content,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(sock_connect=_PATIENCE_S, sock_read=_PATIENCE_S),
                ssl=self._tls or True,
            ) as answer:
                if answer.status == _UNKNOWN:
                    raise InvalidInput("it does not know us")
                yield answer

    def _mark(self, peer: Peer, method: str, url: str, text: str = "") -> str:
        return mark(self._seal, peer.id, method, url, self._clock.wall(), text)

    def _failed(self, peer: Peer, error: Exception) -> None:
        self._peers.failed(peer)
        reason = str(error) or "timeout"
        log.log(severity(error), "cache of a peer avoided", peer=peer.id, reason=reason)


async def _content(answer: aiohttp.ClientResponse, stored: Stored) -> bytes:
    """Raises `InvalidInput` for one that is not what the answer tells of."""
    parts, size = [], 0
    while chunk := await answer.content.readany():
        size += len(chunk)
        if size > stored.size:
            break
        parts.append(chunk)
    content = b"".join(parts)
    if size != stored.size or hashlib.sha256(content).hexdigest() != stored.body:
        raise InvalidInput("its body is not the one that it tells of")
    return content


def _headers(request: Fields, url: str, given: str) -> CIMultiDict[str]:
    pairs = [(name, written(value)) for name, value in request.pairs]
    return CIMultiDict([*pairs, (PAGE, url), (PEER, given)])
