"""Proxies on loopback that say what they were asked for."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Proxy:
    """``asked``: the targets, as they were named to it; ``heads``: what stood with them."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def _listening(proxy: Proxy, serve: Serve) -> AsyncIterator[Proxy]:
    tasks: set[asyncio.Task[None]] = set()
    writers = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        writers.append(writer)
        proxy.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                await serve(reader, writer)
            finally:
                writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for writer in writers:
            writer.close()  # which ends what is pumped
        await asyncio.gather(*tasks)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


async def _join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, first: bytes
) -> None:
    """What one side says, the other hears, until both have hung up."""
    there_reader, there_writer = await asyncio.open_connection(host, port)
    there_writer.write(first)
    await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))


@asynccontextmanager
async def http_proxy(answer: bytes = b"") -> AsyncIterator[Proxy]:
    """Forwards requests and tunnels; with ``answer`` it says that instead."""
    proxy = Proxy()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        proxy.asked.append(target)
        proxy.heads.append(head.decode())
        if answer:
            writer.write(answer)
            return
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        once = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        first = b"" if method == "CONNECT" else once.replace(target.encode(), parts.path.encode())
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        assert parts.hostname is not None
        await _join(reader, writer, parts.hostname, parts.port or 80, first)

    async with _listening(proxy, serve):
        yield proxy


@asynccontextmanager
async def socks_proxy(reply: int = 0) -> AsyncIterator[Proxy]:
    """SOCKS 5 (RFC 1928) with user and password (RFC 1929); ``reply`` other than 0 refuses."""
    proxy = Proxy()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        writer.write(b"\x05\x02" if 2 in methods else b"\x05\x00")
        if 2 in methods:
            user = await reader.readexactly((await reader.readexactly(2))[1])
            password = await reader.readexactly((await reader.readexactly(1))[0])
            proxy.heads.append(f"{user.decode()}:{password.decode()}")
            writer.write(b"\x01\x00")
        kind = (await reader.readexactly(4))[3]
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2))
        proxy.asked.append(f"{host}:{port}")
        writer.write(bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        if not reply:
            await _join(reader, writer, host, port, b"")

    async with _listening(proxy, serve):
        yield proxy
