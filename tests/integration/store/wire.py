"""A TCP proxy before a server that cuts a connection at the words of a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from urllib.parse import urlsplit, urlunsplit


class Cut(Enum):
    """Where the connection ends: before the words reach the server, when they were sent to it, or
    when it has answered and the client has not heard it."""

    BEFORE = "before"
    SENT = "sent"
    ANSWERED = "answered"


class Wire:
    """``cut``: what to do at the next ``words``, once; None: everything passes."""

    def __init__(self, url: str, words: bytes) -> None:
        self._url = urlsplit(url)
        self._words = words
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.cut: Cut | None = None
        self.cuts = 0

    @property
    def url(self) -> str:
        """The server's, by way of this proxy."""
        place = f"{self._url.username}@127.0.0.1:{self.port}"
        return urlunsplit(self._url._replace(netloc=place))

    async def connected(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        """Serve one client to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far, to_far = await asyncio.open_connection(self._url.hostname, self._url.port)
        back = asyncio.create_task(_pass_on(far, to_near))
        try:
            while data := await near.read(65536):
                if self.cut is not None and self._words in data:
                    await self._end(data, far, to_far, back)
                    return
                to_far.write(data)
        finally:
            back.cancel()
            await asyncio.wait({back})
            for each in (to_near, to_far):
                each.close()
            self._tasks.discard(task)

    async def _end(
        self,
        data: bytes,
        far: asyncio.StreamReader,
        to_far: asyncio.StreamWriter,
        back: asyncio.Task[None],
    ) -> None:
        cut, self.cut = self.cut, None
        self.cuts += 1
        if cut is Cut.BEFORE:
            return
        back.cancel()
        await asyncio.wait({back})
        to_far.write(data)
        await to_far.drain()
        if cut is Cut.ANSWERED:
            await far.read(65536)

    async def close(self) -> None:
        """End every connection."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


@asynccontextmanager
async def wired(url: str, words: bytes) -> AsyncIterator[Wire]:
    """A proxy on loopback."""
    wire = Wire(url, words)
    server = await asyncio.start_server(wire.connected, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        await wire.close()
