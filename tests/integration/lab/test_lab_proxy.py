"""The breakable proxy does what it is told, and only that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.lab.proxy import Needle, Proxy, Way, open_proxy

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    """Answers every piece with itself in capitals, and remembers what it got."""

    def __init__(self) -> None:
        self.got = b""
        self.ended = asyncio.Event()
        self.mute = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(1000):
                self.got += piece
                if not self.mute:
                    writer.write(piece.upper())
        finally:
            self.ended.set()
            writer.close()


@asynccontextmanager
async def scene() -> AsyncIterator[tuple[Server, Proxy]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with open_proxy("127.0.0.1", listening.sockets[0].getsockname()[1]) as proxy:
        yield server, proxy
    listening.close()


async def connect(proxy: Proxy) -> Connection:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def say(connection: Connection, words: bytes, limit_s: float = 2.0) -> bytes:
    connection[1].write(words)
    async with asyncio.timeout(limit_s):
        return await connection[0].read(1000)


async def test_it_forwards_with_the_latency_asked_for() -> None:
    async with scene() as (_, proxy):
        line = await connect(proxy)
        assert await say(line, b"one") == b"ONE"
        proxy.latency_s = 0.1
        began = time.monotonic()
        assert await say(line, b"two") == b"TWO"
        assert 0.2 <= time.monotonic() - began < 1.0
        proxy.latency_s = 0.0
        line[1].write_eof()
        assert await line[0].read() == b""
        line[1].close()


@pytest.mark.parametrize("ways", [(Way.UP,), (Way.DOWN,), ()])
async def test_what_is_swallowed_comes_after_the_healing(ways: tuple[Way, ...]) -> None:
    async with scene() as (server, proxy):
        line = await connect(proxy)
        assert await say(line, b"one") == b"ONE"
        proxy.swallow(*ways)
        with pytest.raises(TimeoutError):
            await say(line, b"two", limit_s=0.2)
        assert server.got == (b"onetwo" if ways == (Way.DOWN,) else b"one")
        proxy.heal()
        assert await say(line, b"") == b"TWO"
        line[1].close()


async def test_resetting_and_refusing() -> None:
    async with scene() as (server, proxy):
        line = await connect(proxy)
        assert await say(line, b"one") == b"ONE"
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await connect(proxy)
        assert await say(line, b"two") == b"TWO"  # whoever is in stays in
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await line[0].read(10)
        await asyncio.wait_for(server.ended.wait(), 2)
        await proxy.accept()
        again = await connect(proxy)
        assert await say(again, b"three") == b"THREE"
        assert proxy.connections == 1
        again[1].close()
        line[1].close()


async def test_an_answer_is_lost_though_the_server_gave_it() -> None:
    async with scene() as (server, proxy):
        line = await connect(proxy)
        proxy.lose(b"COMMIT")
        assert await say(line, b"begin") == b"BEGIN"
        line[1].write(b"commit")
        with pytest.raises(ConnectionResetError):
            await line[0].read(10)
        await asyncio.wait_for(server.ended.wait(), 2)
        assert server.got == b"begincommit"
        assert proxy.cuts == 1
        proxy.lose(None)
        again = await connect(proxy)
        assert await say(again, b"commit") == b"COMMIT"
        again[1].close()
        line[1].close()


def test_a_needle_is_found_across_pieces() -> None:
    needle = Needle(b"abc")
    found = [needle.is_in(piece) for piece in (b"ab", b"", b"a", b"b", b"cd", b"ab", b"c")]
    assert found == [False, False, False, False, True, False, True]
    assert Needle(b"abc").is_in(b"xxabcabc")
