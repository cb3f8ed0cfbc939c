"""A TCP proxy that cuts a connection at a given word: before it arrives, or before its answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self


class Cutter:
    """Stands before a server on loopback."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._word: bytes | None = None
        self._arrives = False
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def through(self, url: str) -> str:
        """The URL with this proxy in the place of the server."""
        assert self._server is not None
        own = self._server.sockets[0].getsockname()[1]
        return url.replace(f":{self._port}/", f":{own}/")

    def cut_at(self, word: bytes, *, arrives: bool) -> None:
        """Cut once, when a client sends this; ``arrives``: the server gets it still, and its
        answer is what is lost."""
        self._word, self._arrives = word, arrives

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        replies, there = await asyncio.open_connection("127.0.0.1", self._port)
        up = asyncio.create_task(self._up(reader, there))
        down = asyncio.create_task(_down(replies, writer))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if up.done() and up.result():
                down.cancel()
                await asyncio.gather(down, return_exceptions=True)
                await replies.read()  # until the server has done what it was told
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            for end in (writer, there):
                end.transport.abort()
                with suppress(ConnectionError):
                    await end.wait_closed()

    async def _up(self, reader: asyncio.StreamReader, there: asyncio.StreamWriter) -> bool:
        """Pass on until the word comes; whether the server still got it."""
        while data := await reader.read(65536):
            if self._word is not None and self._word in data:
                self._word = None
                if self._arrives:
                    there.write(data)
                    there.write_eof()
                return self._arrives
            there.write(data)
            await there.drain()
        return False


async def _down(there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await there.read(65536):
        writer.write(data)
        await writer.drain()
