"""Opens connections on somebody's behalf: the guard judges the very address that is connected to,
so that a name which changes its address gains nothing."""

from __future__ import annotations

import asyncio
import socket

import structlog

from crawler.address import AddressRefused, Guard
from crawler.errors import FetchFailed

log = structlog.get_logger(__name__)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def dial(guard: Guard, host: str, port: int, connect_s: float) -> Streams:
    """A connection to one of the addresses of the host that the guard allows. Raises `FetchFailed`
    with the reasons that fetching has, too."""
    try:
        async with asyncio.timeout(connect_s):
            return await _dial(guard, host, port)
    except TimeoutError as error:
        raise FetchFailed("connect timeout", retry=True) from error


async def _dial(guard: Guard, host: str, port: int) -> Streams:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise FetchFailed("name not resolved", retry=True) from error
    refusal = FetchFailed("connection failed", retry=True)
    for info in found:
        try:
            opened = guard.open_socket(info)
        except AddressRefused as refused:
            log.info("kept from an address", host=host, reason=str(refused))
            refusal = FetchFailed("address refused", retry=False)
            continue
        try:
            opened.setblocking(False)
            await loop.sock_connect(opened, info[4])
            return await asyncio.open_connection(sock=opened)
        except OSError:
            opened.close()
        except BaseException:
            opened.close()
            raise
    raise refusal
