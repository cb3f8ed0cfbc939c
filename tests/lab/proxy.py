"""A TCP proxy that a test runs in its own loop and breaks as it likes."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum

_CHUNK_BYTES = 65_536


class Way(Enum):
    """A direction through the proxy."""

    UP = "up"  # from the client to the server
    DOWN = "down"  # from the server to the client


class Needle:
    """Finds ``wanted`` in a stream that comes in pieces."""

    def __init__(self, wanted: bytes) -> None:
        self.wanted = wanted
        self._kept = b""

    def is_in(self, piece: bytes) -> bool:
        """Whether a match ends in ``piece``."""
        seen = self._kept + piece
        self._kept = seen[max(0, len(seen) - len(self.wanted) + 1) :]
        return self.wanted in seen


class Pair:
    """One client's connection and the one to the server."""

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.readers = {Way.UP: client[0], Way.DOWN: server[0]}
        self.writers = {Way.UP: server[1], Way.DOWN: client[1]}

    def reset(self) -> None:
        """RST to both."""
        for way in Way:
            _abort(self.writers[way])


class Proxy:
    """Forwards from ``port`` of loopback to a server. Set ``latency_s`` at any time; ``tap`` takes
    what clients send, where it is given a place.

    Use `open_proxy`.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open = {way: asyncio.Event() for way in Way}
        self._pairs: dict[Pair, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self._refusing = False
        self._lost: bytes | None = None
        self.port = 0
        self.latency_s = 0.0
        self.tap: bytearray | None = None
        self.cuts = 0
        self.heal()

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._pairs)

    def swallow(self, *ways: Way) -> None:
        """Hold back what comes these ways (none: both), without a word, until `heal`."""
        for way in ways or Way:
            self._open[way].clear()

    def heal(self) -> None:
        """Forward again, what was held back first."""
        for opened in self._open.values():
            opened.set()

    def reset(self) -> None:
        """RST to everybody who is connected."""
        for pair in list(self._pairs):
            pair.reset()

    async def refuse(self) -> None:
        """Take no new connections: they are refused until `accept`."""
        self._refusing = True
        if self._server is not None:
            self._server.close()
            self._server = None

    async def accept(self) -> None:
        """Take connections, on the same port as before."""
        self._refusing = False
        if self._server is None:
            self._server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def lose(self, answer: bytes | None) -> None:
        """Reset a client instead of giving it ``answer``; None: no longer."""
        self._lost = answer

    async def close(self) -> None:
        """Take no more, and end all connections."""
        await self.refuse()
        tasks = list(self._pairs.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one client's connection until both sides have ended."""
        try:
            server = await asyncio.open_connection(*self._target)
        except OSError:
            _abort(writer)
            return
        if self._refusing:  # since it came: `reset` has not seen it
            _abort(writer)
            server[1].close()
            return
        pair = Pair((reader, writer), server)
        task = asyncio.current_task()
        assert task is not None
        self._pairs[pair] = task
        try:
            async with asyncio.TaskGroup() as group:
                for way in Way:
                    group.create_task(self._forward(pair, way), name=f"proxy {way.value}")
        finally:
            del self._pairs[pair]
            for each in pair.writers.values():
                each.close()

    def _look_for(self, needle: Needle | None) -> Needle | None:
        """What the server's answers are searched for now."""
        if needle is not None and needle.wanted == self._lost:
            return needle
        return Needle(self._lost) if self._lost else None

    async def _forward(self, pair: Pair, way: Way) -> None:
        """Until that side has ended; the other side is told so: an end by RST with one."""
        reader, writer = pair.readers[way], pair.writers[way]
        needle: Needle | None = None
        try:
            while piece := await reader.read(_CHUNK_BYTES):
                if self.tap is not None and way is Way.UP:
                    self.tap += piece
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                await self._open[way].wait()
                needle = self._look_for(needle) if way is Way.DOWN else None
                if needle is not None and needle.is_in(piece):
                    self.cuts += 1
                    pair.reset()
                    return
                writer.write(piece)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            pair.reset()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN (SO_LINGER with no time, socket(7))."""
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def open_proxy(host: str, port: int) -> AsyncIterator[Proxy]:
    """A proxy to that server while the context lasts."""
    proxy = Proxy(host, port)
    await proxy.accept()
    try:
        yield proxy
    finally:
        await proxy.close()
