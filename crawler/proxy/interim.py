"""Interim answers of a server: aiohttp reads over them, and a proxy is to pass them on (RFC 9110,
15.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
from aiohttp.http import RawResponseMessage

from crawler.cache.fields import Fields
from crawler.engine.fetch.interim import Response

Inform = Callable[[int, Fields], Awaitable[None]]

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


class _Response(Response):
    def __init__(self, inform: Inform, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._inform = inform

    async def heard(self, message: RawResponseMessage) -> None:
        pairs = ((n.decode("latin-1"), v.decode("latin-1")) for n, v in message.raw_headers)
        await self._inform(message.code, Fields(tuple(pairs)).without(_FRAMING))
