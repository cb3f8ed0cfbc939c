"""Interim answers of a server (1xx, RFC 9110, 15.2): aiohttp reads over them, however many they
are."""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage

from crawler.errors import FetchFailed

MOST = 32  # before one answer; whoever says more will never come to it
_SWITCHING = 101  # the end of HTTP on this connection, and no interim answer


class Response(aiohttp.ClientResponse):
    """Raises `FetchFailed` where there is no end to interim answers: to read them as fast as they
    come leaves no time for anything else."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol, left = connection.protocol, MOST
        assert protocol is not None
        read = protocol.read

        async def bounded() -> Any:
            nonlocal left
            message, payload = await read()
            if 100 <= message.code < 200 and message.code != _SWITCHING:
                left -= 1
                if left < 0:
                    raise FetchFailed("malformed answer", retry=True)
                await self.heard(message)
            return message, payload

        protocol.read = bounded  # type: ignore[method-assign]
        try:
            return await super().start(connection)
        finally:
            del protocol.read

    async def heard(self, message: RawResponseMessage) -> None:
        """An interim answer has come."""
