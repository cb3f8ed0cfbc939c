"""The browser's proxy: whom it serves, where it goes, and how much it lets through."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from crawler.address import Guard
from crawler.engine.browser.proxy import OWN_URL, BrowserProxy, Pass
from tests.integration.engine.servers import serving, speaking

LOOPBACK = ("127.0.0.1/32",)


@asynccontextmanager
async def proxying(
    *private: str, max_bytes: int = 1_000_000
) -> AsyncIterator[tuple[BrowserProxy, Pass]]:
    async with BrowserProxy(Guard(private)) as proxy:
        holder = proxy.admit()
        holder.renew(max_bytes)
        yield proxy, holder


async def opened(proxy: BrowserProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(proxy.url.rpartition(":")[2]))


async def asked(
    proxy: BrowserProxy, first: str, *fields: str, holder: Pass | None = None, body: bytes = b""
) -> bytes:
    """All that comes back."""
    reader, writer = await opened(proxy)
    lines = [f"{first} HTTP/1.1", "Host: x", *fields]
    if holder is not None:
        lines.append(f"Proxy-Authorization: {holder.credentials.decode()}")
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def echo(request: web.Request) -> web.Response:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return web.json_response({"path": request.path_qs, "body": await request.text(), **headers})


async def test_a_plain_request_is_forwarded_without_what_is_between_us() -> None:
    async with serving(echo) as origin, proxying(*LOOPBACK) as (proxy, holder):
        fields = ("Content-Length: 5", "Proxy-Connection: keep-alive", "X-Own: 1")
        answer = await asked(proxy, f"POST {origin}/a?b=c", *fields, holder=holder, body=b"hello")
    assert status(answer) == 200
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    told = json.loads(body)
    assert (told["path"], told["body"]) == ("/a?b=c", "hello")
    assert told["host"] == origin.removeprefix("http://")
    assert told["x-own"] == "1"
    assert not {"proxy-authorization", "proxy-connection"} & told.keys()


async def test_a_tunnel_carries_bytes_both_ways() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readexactly(5)).upper())
        await writer.drain()

    async with speaking(shout) as origin, proxying(*LOOPBACK) as (proxy, holder):
        reader, writer = await opened(proxy)
        target = origin.removeprefix("http://")
        credentials = holder.credentials.decode()
        writer.write(
            f"CONNECT {target} HTTP/1.1\r\nProxy-Authorization: {credentials}\r\n\r\n".encode()
        )
        assert status(await reader.readuntil(b"\r\n\r\n")) == 200
        writer.write(b"GET / HTTP/1.1\r\n\r\nhello")
        assert await reader.read() == b"HELLO"
        writer.close()
    assert holder.received_bytes == 5


async def test_nobody_without_a_pass_is_served() -> None:
    async with serving(echo) as origin, proxying(*LOOPBACK) as (proxy, holder):
        wrong = Pass(holder.name)
        gone = proxy.admit()
        proxy.dismiss(gone)
        for stranger in (None, wrong, gone):
            for first in (f"GET {origin}/", "CONNECT 127.0.0.1:80", f"GET {OWN_URL}"):
                answer = await asked(proxy, first, holder=stranger)
                assert status(answer) == 407
                assert b"Proxy-Authenticate: Basic" in answer
        assert status(await asked(proxy, f"GET {OWN_URL}", holder=holder)) == 200


async def test_its_own_name_is_looked_up_by_nobody() -> None:
    async with proxying() as (proxy, holder):
        answer = await asked(proxy, f"GET {OWN_URL}favicon.ico", holder=holder)
    assert status(answer) == 200


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
        "[::ffff:a9fe:a9fe]",
        "10.0.0.1",
    ],
)
async def test_no_spelling_of_an_address_that_is_not_public_is_connected_to(host: str) -> None:
    async with serving(echo) as origin, proxying() as (proxy, holder):
        port = origin.rpartition(":")[2]
        for first in (f"CONNECT {host}:{port}", f"GET http://{host}:{port}/"):
            answer = await asked(proxy, first, holder=holder)
            assert answer.endswith(b"address refused")


async def test_ports_of_other_protocols_are_refused() -> None:
    async with proxying() as (proxy, holder):
        answer = await asked(proxy, "CONNECT 93.184.215.14:25", holder=holder)
    assert answer.endswith(b"address refused")


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("GET /path", 400),
        ("GET https://shop.example/", 400),
        ("GET http://me@shop.example/", 400),
        ("GET http://shop.example:99999/", 400),
        ("GET http:///", 400),
        ("CONNECT shop.example", 400),
        ("CONNECT nowhere.invalid:443", 502),
        ("nonsense", 400),
    ],
)
async def test_what_makes_no_sense_is_told(first: str, expected: int) -> None:
    async with proxying() as (proxy, holder):
        assert status(await asked(proxy, first, holder=holder)) == expected


async def test_bodies_whose_end_nobody_knows_are_refused() -> None:
    async with serving(echo) as origin, proxying(*LOOPBACK) as (proxy, holder):
        chunked = "Transfer-Encoding: chunked"
        assert status(await asked(proxy, f"POST {origin}/", chunked, holder=holder)) == 501
        lengths = ("Content-Length: 1", "Content-Length: 2")
        assert status(await asked(proxy, f"POST {origin}/", *lengths, holder=holder)) == 400


async def test_a_server_that_keeps_its_connection_gets_no_other_request() -> None:
    """Browsers send requests for several hosts over one connection to their proxy."""
    heard = bytearray()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi")
        heard.extend(await reader.read())

    async with speaking(keep) as origin, proxying(*LOOPBACK) as (proxy, holder):
        reader, writer = await opened(proxy)
        credentials = holder.credentials.decode()
        request = f"GET {origin}/ HTTP/1.1\r\nProxy-Authorization: {credentials}\r\n\r\n"
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"connection: close" in head
        assert b"keep-alive" not in head
        assert await reader.readexactly(2) == b"hi"
        writer.write(b"GET http://other.example/ HTTP/1.1\r\nCookie: secret=1\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
    assert heard == b""


async def test_a_page_transfers_no_more_than_it_may() -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    async with speaking(pour) as origin, proxying(*LOOPBACK, max_bytes=50_000) as (proxy, holder):
        answer = await asked(proxy, f"GET {origin}/", holder=holder)
        assert len(answer) < 50_000
        assert holder.spent
        assert status(await asked(proxy, f"GET {origin}/", holder=holder)) == 403
        holder.renew(50_000)
        assert status(await asked(proxy, f"GET {origin}/", holder=holder)) == 200


async def test_its_connections_end_with_it() -> None:
    closed = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        assert await reader.read() == b""
        closed.set()

    async with speaking(wait) as origin:
        async with proxying(*LOOPBACK) as (proxy, holder):
            reader, writer = await opened(proxy)
            target = origin.removeprefix("http://")
            credentials = holder.credentials.decode()
            writer.write(
                f"CONNECT {target} HTTP/1.1\r\nProxy-Authorization: {credentials}\r\n\r\n".encode()
            )
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.readexactly(4) == b"here"
        async with asyncio.timeout(5):
            assert await reader.read() == b""
            await closed.wait()
        writer.close()
