"""Interim answers of a server: aiohttp reads over them, and a proxy is to pass them on (RFC 9110,
15.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
from aiohttp.connector import Connection

from crawler.cache.fields import Fields
from crawler.errors import FetchFailed

Inform = Callable[[int, Fields], Awaitable[None]]

MOST = 32  # before one answer; whoever says more will never come to it
_SWITCHING = 101  # the end of HTTP on this connection, and no interim answer
# It has no body, and says nothing of the one that comes (RFC 9110, 8.6, and RFC 9112, 6.1).
_FRAMING = frozenset({"content-length", "transfer-encoding"})


def informing(inform: Inform) -> aiohttp.ClientMiddlewareType:
    """Tells ``inform`` of interim answers to one request, in their order, as they come."""

    async def send(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.response_class = partial(_Response, inform)  # type: ignore[assignment]
        return await handler(request)

    return send


class _Response(aiohttp.ClientResponse):
    """Raises `FetchFailed` where there is no end to interim answers."""

    def __init__(self, inform: Inform, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._inform = inform

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol, left = connection.protocol, MOST
        assert protocol is not None
        read = protocol.read

        async def telling() -> Any:
            nonlocal left
            message, payload = await read()
            if 100 <= message.code < 200 and message.code != _SWITCHING:
                left -= 1
                if left < 0:
                    raise FetchFailed("malformed answer", retry=True)
                pairs = ((n.decode("latin-1"), v.decode("latin-1")) for n, v in message.raw_headers)
                await self._inform(message.code, Fields(tuple(pairs)).without(_FRAMING))
            return message, payload

        protocol.read = telling  # type: ignore[method-assign]
        try:
            return await super().start(connection)
        finally:
            del protocol.read
