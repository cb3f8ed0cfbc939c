"""Clients of the proxy are answered from what is kept, and the origin is spared."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from crawler.proxy.peers import Peer, owner_of
from crawler.proxy.service import Proxy
from tests.integration.engine.servers import serving, speaking
from tests.integration.proxy.stage import answers_in, ask, proxying, request_for, say, until
from tests.ports import free_port

Handler = Callable[[web.Request], web.StreamResponse]


class Origin:
    """Counts what it is asked, and answers as told."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.answer: Handler = lambda _: web.Response(text="page")
        self.gate = asyncio.Event()
        self.gate.set()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.asked.append(request)
        await self.gate.wait()
        return self.answer(request)

    def says(self, text: str = "page", status: int = 200, **named: str) -> None:
        headers = {name.replace("_", "-"): value for name, value in named.items()}
        self.answer = lambda _: web.Response(text=text, status=status, headers=headers)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    origin = Origin()
    async with serving(origin.handle) as url:
        origin.url = f"{url}/page"
        yield origin


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    async with proxying(tmp_path) as opened:
        yield opened


async def test_a_page_is_asked_for_once(origin: Origin, proxy: Proxy) -> None:
    origin.says("page" * 50_000, Cache_Control="max-age=60", ETag='"1"')
    first = await ask(proxy.port, origin.url)
    second = await ask(proxy.port, origin.url)
    assert first.body == second.body == b"page" * 50_000
    assert (first.cached, second.cached.partition("; ")[0]) == (
        "fwd=miss; fwd-status=200; stored",
        "hit",
    )
    assert second.fields["age"] in ("0", "1")
    assert second.fields["via"].startswith("1.1 crawler-")
    assert "age" not in first.fields
    head = await ask(proxy.port, origin.url, "HEAD")
    assert (head.status, head.body, head.fields["content-length"]) == (200, b"", "200000")
    part = await ask(proxy.port, origin.url, Range="bytes=199998-")
    assert (part.status, part.body) == (206, b"ge")
    assert (await ask(proxy.port, origin.url, If_None_Match='"1"')).status == 304
    assert len(origin.asked) == 1
    (request,) = origin.asked
    assert request.headers["Host"] in origin.url
    assert "1.1 crawler-" in request.headers["Via"]
    assert "Connection" not in request.headers or request.headers["Connection"] != "close"
    assert proxy.figures.results["hit"] == 4


async def test_what_is_stale_is_asked_about(origin: Origin, proxy: Proxy) -> None:
    origin.says(Cache_Control="max-age=0", ETag='"1"', X_A="old")
    await ask(proxy.port, origin.url)
    origin.says("", 304, ETag='"1"', X_A="new")
    again = await ask(proxy.port, origin.url)
    assert (again.status, again.body, again.fields["x-a"]) == (200, b"page", "new")
    assert origin.asked[1].headers["If-None-Match"] == '"1"'
    origin.says("other", Cache_Control="max-age=60", ETag='"2"')
    assert (await ask(proxy.port, origin.url)).body == b"other"
    assert (await ask(proxy.port, origin.url)).body == b"other"
    assert len(origin.asked) == 3
    assert proxy.figures.results["revalidated"] == 1


async def test_a_304_about_another_answer_is_not_believed(origin: Origin, proxy: Proxy) -> None:
    origin.says(Cache_Control="max-age=0", ETag='"1"')
    await ask(proxy.port, origin.url)

    def answer(request: web.Request) -> web.Response:
        if "If-None-Match" in request.headers:
            return web.Response(status=304, headers={"ETag": '"2"'})
        return web.Response(text="other", headers={"ETag": '"2"'})

    origin.answer = answer
    assert (await ask(proxy.port, origin.url)).body == b"other"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_cookie_for_one_goes_to_no_other(origin: Origin, proxy: Proxy, method: str) -> None:
    """Though it comes with news of what is kept for all."""
    origin.says(Cache_Control="max-age=0", ETag='"1"')
    await ask(proxy.port, origin.url)
    status = 304 if method == "GET" else 200
    origin.says("", status, ETag='"1"', Set_Cookie="for=ann", Content_Length="4")
    ann = await ask(proxy.port, origin.url, method, Cookie="for=ann")
    assert ann.fields["set-cookie"] == "for=ann"
    origin.says("", 304, ETag='"1"')
    assert "set-cookie" not in (await ask(proxy.port, origin.url)).fields


async def test_stale_pages_are_served_while_they_are_renewed(origin: Origin, proxy: Proxy) -> None:
    origin.says(Cache_Control="max-age=0, stale-while-revalidate=60", ETag='"1"')
    await ask(proxy.port, origin.url)
    origin.says("new", Cache_Control="max-age=60", ETag='"2"')
    assert (await ask(proxy.port, origin.url)).body == b"page"
    await until(lambda: len(origin.asked) == 2)
    async with asyncio.timeout(20):
        while (await ask(proxy.port, origin.url)).body != b"new":
            pass
    assert len(origin.asked) == 2
    assert proxy.figures.results["stale"] >= 1


@pytest.mark.parametrize("failure", ["status", "silence"])
async def test_stale_pages_are_served_where_the_origin_fails(
    origin: Origin, proxy: Proxy, failure: str
) -> None:
    url = origin.url
    origin.says(Cache_Control="max-age=0, stale-if-error=60", ETag='"1"')
    await ask(proxy.port, url)
    if failure == "status":
        origin.says("broken", 503)
    else:

        def hang_up(request: web.Request) -> web.Response:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        origin.answer = hang_up
    stale = await ask(proxy.port, url)
    assert (stale.status, stale.body) == (200, b"page")
    assert "ttl=-" in stale.cached or "ttl=0" in stale.cached
    refused = await ask(proxy.port, url, Cache_Control="no-cache")
    assert refused.status in (502, 503)


async def test_only_if_cached_asks_nobody(origin: Origin, proxy: Proxy) -> None:
    answer = await ask(proxy.port, origin.url, Cache_Control="only-if-cached")
    assert (answer.status, origin.asked) == (504, [])
    proxy.peers.tell([Peer("b", f"127.0.0.1:{free_port()}")])  # which is dead
    urls = [f"{origin.url}{number}" for number in range(9)]
    url = next(each for each in urls if owner_of(each, "ab") == "b")
    answer = await ask(proxy.port, url, Cache_Control="only-if-cached")
    assert (answer.status, origin.asked) == (504, [])
    assert (await ask(proxy.port, url)).status == 200


async def test_many_clients_are_one_request(origin: Origin, proxy: Proxy) -> None:
    origin.says(Cache_Control="max-age=60")
    origin.gate.clear()
    asking = [asyncio.create_task(ask(proxy.port, origin.url)) for _ in range(20)]
    await until(lambda: bool(origin.asked) and proxy.figures.connections == 20)
    origin.gate.set()
    answers = await asyncio.gather(*asking)
    assert {answer.body for answer in answers} == {b"page"}
    assert len(origin.asked) == 1
    assert sum("collapsed" in answer.cached for answer in answers) == 19


async def test_a_host_gets_few_requests_at_a_time(origin: Origin, proxy: Proxy) -> None:
    origin.says(Cache_Control="no-store")
    origin.gate.clear()
    urls = [f"{origin.url}{number}" for number in range(12)]
    asking = [asyncio.create_task(ask(proxy.port, url)) for url in urls]
    await until(lambda: len(origin.asked) >= 4 and proxy.figures.connections == 12)
    await asyncio.sleep(0.2)  # in which a fifth would come
    assert len(origin.asked) == 4
    origin.gate.set()
    assert {answer.status for answer in await asyncio.gather(*asking)} == {200}


async def test_a_host_that_asks_for_peace_gets_it(origin: Origin, proxy: Proxy) -> None:
    origin.says("busy", 429, Retry_After="60")
    assert (await ask(proxy.port, origin.url)).status == 429
    refused = await ask(proxy.port, f"{origin.url}/other")
    assert refused.status == 503
    assert b"left alone" in refused.body
    assert 50 <= int(refused.fields["retry-after"]) <= 60
    assert len(origin.asked) == 1


async def test_a_post_is_passed_on_and_makes_the_page_void(origin: Origin, proxy: Proxy) -> None:
    origin.says(Cache_Control="max-age=60")
    await ask(proxy.port, origin.url)
    sent = await ask(proxy.port, origin.url, "POST", b"x" * 100_000)
    assert sent.status == 200
    assert origin.asked[1].content_length == 100_000
    await ask(proxy.port, origin.url)
    assert [request.method for request in origin.asked] == ["GET", "POST", "GET"]


async def test_an_answer_that_breaks_off_is_not_kept(tmp_path: Path) -> None:
    asked = 0

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.write(
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfive."
        )
        await writer.drain()

    async with proxying(tmp_path) as proxy, speaking(speak) as url:
        first = await ask(proxy.port, f"{url}/")
        assert first.body in (b"", b"five.")
        await ask(proxy.port, f"{url}/")
        assert asked == 2
        assert await proxy.shelf.size() == (0, 0)


async def test_a_reset_is_no_end_of_a_body(tmp_path: Path) -> None:
    """Of one that lasts as long as its connection."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nfive.")
        await writer.drain()
        await asyncio.sleep(0.05)  # in which it is read
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with proxying(tmp_path) as proxy, speaking(speak) as url:
        assert not (await say(proxy.port, request_for(url))).endswith(b"0\r\n\r\n")
        assert await proxy.shelf.size() == (0, 0)


async def test_interim_answers_are_passed_on(tmp_path: Path) -> None:
    """In their order, before the one that is kept, and without what would be of its framing."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 102 Processing\r\nContent-Length: 19\r\n\r\n"
            b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-Own: 1\r\nConnection: X-Own\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\npage"
        )
        await writer.drain()

    async with proxying(tmp_path) as proxy, speaking(speak) as url:
        old = await say(proxy.port, request_for(url, version="1.0"))
        assert answers_in(old) == 1
        asked = request_for(url, "Cache-Control: no-cache\r\n")
        processing, hints, page = (await say(proxy.port, asked)).split(b"HTTP/1.1 ")[1:]
        assert processing.lower().startswith(b"102 processing\r\nvia: ")
        assert b"Link: </a.css>\r\nVia: " in hints
        assert b"length" not in processing.lower()
        assert b"X-Own" not in hints
        assert page.endswith(b"page")
        (kept,) = await proxy.shelf.all(f"{url}/")
        assert "link" not in kept.fields
        assert answers_in(await say(proxy.port, request_for(url))) == 1


async def test_interim_answers_without_end_are_none(tmp_path: Path) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 999)
        await writer.drain()
        await reader.read()

    async with proxying(tmp_path) as proxy, speaking(speak) as url:
        data = await say(proxy.port, request_for(url))
        assert b"HTTP/1.1 502 " in data
        assert answers_in(data) < 100


async def test_what_is_kept_outlives_the_proxy(origin: Origin, tmp_path: Path) -> None:
    origin.says(Cache_Control="max-age=60")
    async with proxying(tmp_path) as proxy:
        await ask(proxy.port, origin.url)
    async with proxying(tmp_path) as proxy:
        assert (await ask(proxy.port, origin.url)).cached.startswith("hit")
    assert len(origin.asked) == 1
