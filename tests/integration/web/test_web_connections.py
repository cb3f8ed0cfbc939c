"""Connections that only cost: those that say nothing, or too little, and too many of them."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, suppress

import pytest
from aiohttp import web

from crawler.telemetry.health import Health
from crawler.web.app import build_worker_app
from crawler.web.server import serve
from tests.acceptance.cluster import eventually

pytestmark = pytest.mark.threat(26)

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
QUIET_S = 0.1


async def outcome(port: int, said: bytes = b"", *, drip: bytes = b"") -> bytes:
    """All that is answered until the other side closes, to what is ``said`` at once and then to
    ``drip``, again and again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = bytearray()
    try:
        async with asyncio.timeout(20):
            writer.write(said)
            while not reader.at_eof():
                writer.write(drip)
                with suppress(TimeoutError):
                    async with asyncio.timeout(QUIET_S / 4):
                        answer += await reader.read(1000)
    except ConnectionError:
        pass
    finally:
        writer.close()
    return bytes(answer)


async def test_silence_and_headers_that_trickle_are_cut() -> None:
    app = build_worker_app(Health(), loopback=True)
    async with serve(app, "127.0.0.1", 0, grace_s=0.1, quiet_s=QUIET_S) as port:
        silent, slow, second, idle = await asyncio.gather(
            outcome(port),
            outcome(port, GET, drip=b"X: a\r\n"),
            outcome(port, GET + b"\r\n" + GET, drip=b"X: a\r\n"),
            outcome(port, GET + b"\r\n"),
        )
    assert silent == slow == b""
    for answered in (second, idle):
        assert answered.startswith(b"HTTP/1.1 200")
        assert answered.count(b"HTTP/1.1") == 1


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    held: list[asyncio.Transport] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        held.append(request.transport)
        return web.Response(body=bytes(50_000_000))

    app = web.Application()
    app.router.add_get("/", answer)
    async with serve(app, "127.0.0.1", 0, grace_s=0.1, unread_s=1.0) as port:
        with socket.create_connection(("127.0.0.1", port)) as lazy:
            lazy.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

            async def given_up() -> bool | None:
                return bool(held and held[0].is_closing()) or None

            await eventually(given_up, "the end of the connection", 20)


async def test_there_is_room_for_so_many_and_again_once_some_have_gone() -> None:
    app = build_worker_app(Health(), loopback=True)
    async with (
        serve(app, "127.0.0.1", 0, grace_s=0.1, most=3) as port,
        AsyncExitStack() as held,
    ):
        writers = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            held.callback(writer.close)
            writers.append(writer)
            writer.write(GET + b"\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        assert await outcome(port, GET + b"\r\n") == b""
        writers[0].close()
        await writers[0].wait_closed()
        last = GET + b"Connection: close\r\n\r\n"
        async with asyncio.timeout(5):
            while not (await outcome(port, last)).startswith(b"HTTP/1.1 200"):
                pass
