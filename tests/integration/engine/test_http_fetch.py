"""HttpFetch against real servers on loopback, most of them hostile."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import brotli
import pytest
from aiohttp import web
from multidict import CIMultiDict

from crawler.address import Guard
from crawler.clock import SystemClock
from crawler.definition import from_data
from crawler.engine.fetch import HttpFetch, Page, follow
from crawler.engine.fetch.kept import Answer, joined
from crawler.engine.urls import Scope, canonical
from crawler.errors import FetchFailed
from crawler.model import Imprint
from tests.integration.engine.servers import Handler, serving, speaking


@asynccontextmanager
async def fetching(
    origin: str, *, private: tuple[str, ...] = ("127.0.0.0/8", "::1"), **settings: Any
) -> AsyncIterator[HttpFetch]:
    """A fetcher for a crawl that starts at ``origin``."""
    definition = from_data({"start_urls": [f"{origin}/"], **settings})
    async with HttpFetch(definition, Scope(definition), Guard(private), SystemClock()) as fetch:
        yield fetch


async def fetched(handler: Handler, path: str = "/", **settings: Any) -> Page:
    async with serving(handler) as origin, fetching(origin, **settings) as fetch:
        return await fetch.get(origin + path)


async def failure(handler: Handler, **settings: Any) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        await fetched(handler, **settings)
    return caught.value


def answering(body: bytes, **headers: str) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return handle


async def test_a_page_that_leads_elsewhere_by_itself_is_a_redirect() -> None:
    async def handle(asked: web.Request) -> web.Response:
        leads = "<meta http-equiv=refresh content='0;url=/en/'>" if asked.path == "/" else "<h1>Hi"
        return web.Response(text=leads, content_type="text/html")

    async def gate(page: Page) -> bool:
        return page.status == 200

    async with serving(handle) as origin, fetching(origin) as fetch:
        page = await follow(fetch, f"{origin}/", gate=gate)
    assert (page.url, page.body) == (f"{origin}/en/", b"<h1>Hi")


async def test_no_request_is_sent_again_behind_our_back() -> None:
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.path)
        if request.path == "/lost":
            assert request.transport is not None
            request.transport.abort()
        return web.Response(body=b"<p>hi")

    async with serving(handle) as origin, fetching(origin) as fetch:
        await fetch.get(f"{origin}/")
        with pytest.raises(FetchFailed, match="connection lost"):
            await fetch.get(f"{origin}/lost")
        await fetch.get(f"{origin}/")
    assert seen == ["/", "/lost", "/"]


async def test_a_page_and_what_was_sent_for_it() -> None:
    seen: dict[str, str] = {}

    async def handle(request: web.Request) -> web.Response:
        seen.update(request.headers, path=request.raw_path)
        return web.Response(body=b"<p>hi", headers={"Content-Type": "Text/HTML; charset=latin1"})

    page = await fetched(handle, "/a%2fb?q=%c3%bc&r=[]|", headers={"X-Own": "1"}, user_agent="Us/1")
    assert (page.status, page.body, page.size_bytes) == (200, b"<p>hi", 5)
    assert (page.content_type, page.charset) == ("text/html", "windows-1252")
    assert seen["path"] == "/a%2fb?q=%c3%bc&r=[]|"  # as it was, not encoded anew
    assert (seen["User-Agent"], seen["X-Own"]) == ("Us/1", "1")
    assert seen["Accept-Encoding"] == "gzip, deflate, br, zstd"
    assert "Cookie" not in seen
    assert page.elapsed_s > 0


async def test_the_byte_order_mark_wins() -> None:
    page = await fetched(answering(b"\xef\xbb\xbfx", Content_Type="text/html; charset=koi8-r"))
    assert page.charset == "utf-8"


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", lambda body: gzip.compress(body[:99]) + gzip.compress(body[99:])),
        ("gzip", lambda body: gzip.compress(body) + b"rubbish"),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("br", brotli.compress),
    ],
)
async def test_codings_are_undone(coding: str, encode: Callable[[bytes], bytes]) -> None:
    body = b"0123456789" * 1000
    page = await fetched(answering(encode(body), Content_Encoding=coding))
    assert page.body == body
    assert page.size_bytes < 1000


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ({"Content_Encoding": "br"}, b"\xff no brotli", "broken content coding"),
        ({"Content_Encoding": "zstd"}, b"no zstd", "broken content coding"),
        ({"Content_Encoding": "compress"}, b"x", "content coding not offered"),
        ({"Content_Encoding": "gzip, br"}, b"x", "content coding not offered"),
        ({"Content_Encoding": "gzip, gzip"}, b"x", "content coding not offered"),
        ({"Content_Encoding": "gzip"}, b"not gzip", "broken content coding"),
        ({"Content_Encoding": "gzip"}, gzip.compress(b"x" * 999, mtime=0)[:-9], "incomplete body"),
        ({}, b"x" * 5000, "too large"),
        ({"Content_Encoding": "gzip"}, gzip.compress(b"x" * 5000, mtime=0), "too large"),
    ],
)
async def test_bodies_that_are_refused(headers: dict[str, str], body: bytes, reason: str) -> None:
    error = await failure(answering(body, **headers), download_maxsize=4096)
    assert error.reason == reason


@pytest.mark.threat(12)
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_bomb_is_not_inflated(coding: str) -> None:
    zeros = bytes(50_000_000)
    bomb = gzip.compress(zeros) if coding == "gzip" else zlib.compress(zeros)
    started = time.monotonic()
    assert (await failure(answering(bomb, Content_Encoding=coding))).reason == "decompression bomb"
    assert time.monotonic() - started < 1


@pytest.mark.threat(12)
async def test_a_bomb_in_many_members_or_within_a_bomb_is_none_either() -> None:
    member = gzip.compress(bytes(500_000))
    assert (await failure(answering(member * 100, Content_Encoding="gzip"))).reason == (
        "decompression bomb"
    )
    nested = gzip.compress(gzip.compress(bytes(50_000_000)))
    page = await fetched(answering(nested, Content_Encoding="gzip"))
    assert len(page.body) < 100_000  # one coding is undone, never a second


async def test_a_small_page_of_one_letter_is_no_bomb() -> None:
    page = await fetched(answering(gzip.compress(b" " * 1_000_000), Content_Encoding="gzip"))
    assert len(page.body) == 1_000_000


async def test_an_endless_error_is_given_up() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(bytes(65536))
        return response

    page = await fetched(handle)
    assert (page.status, page.body) == (500, b"")
    assert page.size_bytes < 1_000_000


@pytest.mark.parametrize("status", [302, 404])
async def test_an_answer_whose_body_nobody_wants_does_not_wait_for_its_end(status: int) -> None:
    async def stall(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %d X\r\nLocation: /there\r\n\r\nmoved" % status)
        await writer.drain()
        await asyncio.Event().wait()

    async with speaking(stall) as origin, fetching(origin, download_timeout=10) as fetch:
        page = await fetch.get(f"{origin}/")
    assert (page.status, page.body, page.size_bytes) == (status, b"", 5)
    assert page.elapsed_s < 6


class Leaping(SystemClock):
    """Five seconds pass between any two looks at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def elapsed(self) -> float:
        self.now += 5.0
        return self.now


@pytest.mark.threat(13)
async def test_a_body_that_trickles_is_given_up_before_the_budget_ends() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        await _drip(writer, b"x")

    async with speaking(drip) as origin:
        definition = from_data({"start_urls": [f"{origin}/"], "download_timeout": 20})
        guard = Guard(["127.0.0.0/8"])
        async with HttpFetch(definition, Scope(definition), guard, Leaping()) as fetch:
            started = time.monotonic()
            with pytest.raises(FetchFailed, match="too slow"):
                await fetch.get(f"{origin}/")
            assert time.monotonic() - started < 3


@pytest.mark.threat(13)
async def test_an_endless_body_is_cut_by_size() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(bytes(65536))
        return response

    assert (await failure(handle)).reason == "too large"


@pytest.mark.threat(13)
async def test_one_budget_of_time_covers_slow_headers_and_slow_bodies() -> None:
    async def drip_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await _drip(writer, b"X-A: 1\r\n")

    async def drip_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        await _drip(writer, b"x")

    for speak in (drip_headers, drip_body):
        async with speaking(speak) as origin, fetching(origin, download_timeout=0.4) as fetch:
            started = time.monotonic()
            with pytest.raises(FetchFailed, match="timeout"):
                await fetch.get(f"{origin}/")
            assert time.monotonic() - started < 2


async def _drip(writer: asyncio.StreamWriter, piece: bytes) -> None:
    for _ in range(100):
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.05)


async def _flood(writer: asyncio.StreamWriter, beginning: bytes) -> None:
    """Headers until the other side has enough of them."""
    writer.write(beginning)
    while True:
        writer.write(b"X-A: 1\r\n" * 2_000)
        await writer.drain()


@pytest.mark.threat(14)
async def test_broken_answers_are_named() -> None:
    async def nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"what?\r\n\r\n")

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def short(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")

    async def huge(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 100_000 + b"\r\n\r\n")

    async def endless_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _flood(writer, b"HTTP/1.1 200 OK\r\n")

    async def endless_trailers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _flood(writer, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")

    async def endless_hints(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1_000)
            await writer.drain()

    expected = {
        endless_headers: "malformed answer",
        endless_hints: "malformed answer",
        endless_trailers: "malformed answer",
        nonsense: "malformed answer",
        hang_up: "connection lost",
        short: "incomplete body",
        huge: "malformed answer",
    }
    for speak, reason in expected.items():
        async with speaking(speak) as origin, fetching(origin) as fetch:
            with pytest.raises(FetchFailed) as caught:
                await fetch.get(f"{origin}/")
            assert (caught.value.reason, caught.value.retry) == (reason, True)


async def test_hints_before_an_answer_are_read_over() -> None:
    async def hint(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for code in (b"100 Continue", b"102 Processing", b"103 Early Hints"):
            writer.write(b"HTTP/1.1 " + code + b"\r\nLink: </a.css>\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    async with speaking(hint) as origin, fetching(origin) as fetch:
        page = await fetch.get(f"{origin}/")
    assert (page.status, page.body) == (200, b"hi")


async def test_long_headers_of_ordinary_sites_are_read() -> None:
    page = await fetched(answering(b"hi", Content_Security_Policy="img-src " + "x" * 40_000))
    assert page.body == b"hi"


async def test_nobody_listens() -> None:
    async with serving(answering(b"")) as origin:
        pass
    async with fetching(origin) as fetch:
        with pytest.raises(FetchFailed, match="connection failed"):
            await fetch.get(f"{origin}/")


async def test_names_that_do_not_resolve() -> None:
    async with fetching("http://nothing.invalid") as fetch:
        with pytest.raises(FetchFailed, match="name not resolved"):
            await fetch.get("http://nothing.invalid/")
        with pytest.raises(FetchFailed) as caught:
            await fetch.get(f"http://{'x' * 70}.example/")
        assert caught.value.reason in ("request impossible", "name not resolved")


@pytest.mark.threat(6)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:7f00:1]", "[::ffff:0:7f00:1]"])
async def test_private_addresses_are_refused_by_literal_and_by_name(host: str) -> None:
    hits = []

    async def handle(request: web.Request) -> web.Response:
        hits.append(request.path)
        return web.Response()

    async with serving(handle) as origin, fetching(origin, private=()) as fetch:
        port = origin.rpartition(":")[2]
        with pytest.raises(FetchFailed, match="address refused") as caught:
            await fetch.get(f"http://{host}:{port}/")
        assert not caught.value.retry
    assert not hits


@pytest.mark.threat(7)
@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "①②⑦.⓪.⓪.①", "127。0。0。1"]
)
async def test_odd_spellings_lead_nowhere_else(host: str) -> None:
    """As they are written, and as they are written after canonicalisation."""
    hits = []

    async def handle(request: web.Request) -> web.Response:
        hits.append(request.path)
        return web.Response()

    async with serving(handle) as origin, fetching(origin, private=()) as fetch:
        port = origin.rpartition(":")[2]
        written = f"http://{host}:{port}/"
        for url in (written, canonical(written)):
            with pytest.raises(FetchFailed) as caught:
                await fetch.get(url)
            refused = {"address refused"} | ({"request impossible"} if url == written else set())
            assert caught.value.reason in refused
            assert not caught.value.retry
    assert not hits


@asynccontextmanager
async def counting(host: str, port: int) -> AsyncIterator[list[str]]:
    """A server that only notes who connects."""
    seen: list[str] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(host)
        writer.close()

    server = await asyncio.start_server(serve, host, port)
    try:
        yield seen
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.threat(9)
async def test_a_name_that_resolves_to_something_else_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: what counts is where a socket is about to be connected to."""
    good, bad = "127.0.0.1", "127.0.0.2"
    turns = [[good], [bad], [bad, good]]
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def changing(host: str, port: int, **more: Any) -> Any:
        if host != "rebind.example":
            return await real(host, port, **more)
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, port)) for address in turns.pop(0)]

    monkeypatch.setattr(loop, "getaddrinfo", changing)
    async with serving(answering(b"hi")) as origin:
        port = int(origin.rpartition(":")[2])
        url = f"http://rebind.example:{port}/"
        async with counting(bad, port) as seen:
            async with fetching(origin, private=(good,)) as fetch:
                assert (await fetch.get(url)).body == b"hi"
                assert (await fetch.get(url)).body == b"hi"  # by the first answer, kept a while
            async with fetching(origin, private=(good,)) as fetch:
                with pytest.raises(FetchFailed, match="address refused"):
                    await fetch.get(url)
            async with fetching(origin, private=(good,)) as fetch:
                assert (await fetch.get(url)).body == b"hi"
    assert turns == []
    assert seen == []


@pytest.mark.threat(8)
async def test_a_redirect_to_a_private_address_is_refused_at_its_hop() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": request.query["to"]})

    async def anywhere(_: Page) -> bool:
        return True

    async with serving(handle) as origin, fetching(origin, private=("127.0.0.1",)) as fetch:
        port = int(origin.rpartition(":")[2])
        async with counting("127.0.0.2", port) as seen:
            for host in ("127.0.0.2", "2130706434", "[::ffff:127.0.0.2]", "169.254.169.254", "0"):
                url = canonical(f"{origin}/?to=http://{host}:{port}/")
                with pytest.raises(FetchFailed, match="address refused"):
                    await follow(fetch, url, gate=anywhere)
            with pytest.raises(FetchFailed, match="redirect to nowhere"):
                await follow(fetch, f"{origin}/?to=file:///etc/passwd", gate=anywhere)
    assert seen == []


@pytest.mark.threat(10)
@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"])
async def test_a_proxy_in_the_environment_is_ignored(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert (await fetched(answering(b"direct"))).body == b"direct"


async def test_errors_keep_their_connection_and_their_bodies_to_themselves() -> None:
    ports = set()

    async def handle(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return web.Response(status=503, body=b"x" * 2000, headers={"Retry-After": "7"})

    async with serving(handle) as origin, fetching(origin) as fetch:
        await fetch.get(f"{origin}/")
        await fetch.get(f"{origin}/")
        page = await fetch.get(f"{origin}/")
    assert (page.status, page.body, page.retry_after_s) == (503, b"", 7.0)
    assert len(ports) == 1


async def test_redirects_are_told_not_followed() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": "/neu/\u00fc?x#y"})

    page = await fetched(handle, "/a/b")
    assert page.location is not None
    assert page.location.endswith("/neu/%C3%BC?x")
    for target in ("file:///etc/passwd", "javascript:1", "http://"):
        response = web.Response(status=302, headers={"Location": target})

        async def elsewhere(_: web.Request, response: web.Response = response) -> web.Response:
            return response

        assert (await fetched(elsewhere)).location is None


@pytest.mark.threat(8)
async def test_followed_redirects_end_in_a_page_or_with_a_reason() -> None:
    async def handle(request: web.Request) -> web.Response:
        step = int(request.path.strip("/"))
        if step == 0:
            return web.Response(text=request.method)
        target = {77: "/78", 78: "/77"}.get(step, f"/{step - 1}")
        return web.Response(status=303, headers={"Location": target})

    async def anywhere(_: Page) -> bool:
        return True

    async def nowhere(_: Page) -> bool:
        return False

    async with serving(handle) as origin, fetching(origin) as fetch:
        page = await follow(fetch, f"{origin}/10", gate=anywhere, method="POST", body=b"x")
        assert (page.url, page.body) == (f"{origin}/0", b"GET")
        assert (await follow(fetch, f"{origin}/10", gate=nowhere)).status == 303
        with pytest.raises(FetchFailed, match="too many redirects"):
            await follow(fetch, f"{origin}/11", gate=anywhere)
        with pytest.raises(FetchFailed, match="redirect loop"):
            await follow(fetch, f"{origin}/77", gate=anywhere)


@pytest.mark.threat(8)
async def test_credentials_stay_with_the_hosts_of_the_user() -> None:
    seen: list[tuple[str, str | None, str | None]] = []

    async def handle(request: web.Request) -> web.Response:
        headers = request.headers
        seen.append((request.host, headers.get("Authorization"), headers.get("Cookie")))
        response = web.Response()
        response.set_cookie("session", "9")
        return response

    settings: dict[str, Any] = {"headers": {"Authorization": "Bearer x"}, "cookies": {"own": "1"}}
    async with serving(handle) as origin, fetching(origin, **settings) as fetch:
        other = origin.replace("127.0.0.1", "localhost")
        await fetch.get(f"{origin}/")
        await fetch.get(f"{origin}/")
        await fetch.get(f"{other}/")
    (first, second, third) = seen
    assert first[1:] == ("Bearer x", "own=1")
    assert second[1] == "Bearer x"
    assert set((second[2] or "").split("; ")) == {"own=1", "session=9"}
    assert third[1:] == (None, None)


async def test_cookies_of_servers_are_forgotten_by_crawls_without_cookies() -> None:
    seen = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        response = web.Response()
        response.set_cookie("session", "9")
        return response

    async with serving(handle) as origin, fetching(origin) as fetch:
        await fetch.get(f"{origin}/")
        page = await fetch.get(f"{origin}/")
    assert seen == [None, None]
    assert page.sets_cookie


async def test_a_body_may_be_cut_off_instead_of_failing() -> None:
    async def handle(request: web.Request) -> web.Response:
        body = b"line\n" * 1000
        if request.path == "/gz":
            return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
        return web.Response(body=body)

    async with serving(handle) as origin, fetching(origin) as fetch:
        for path in ("/", "/gz"):
            page = await fetch.get(origin + path, max_bytes=1003, truncate=True)
            assert page.body == (b"line\n" * 1000)[:1003]


async def test_posts_send_their_body() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=request.method.encode() + await request.read())

    async with serving(handle) as origin, fetching(origin) as fetch:
        assert (await fetch.get(f"{origin}/", method="POST", body=b"a=1")).body == b"POSTa=1"


async def test_a_page_is_asked_for_unless_it_is_still_the_same() -> None:
    asked: list[tuple[str | None, str | None]] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(
            (request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since"))
        )
        headers = {"ETag": 'W/"1"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(text="hi", headers=headers)

    async with serving(handle) as origin, fetching(origin) as fetch:
        page = await fetch.get(f"{origin}/")
        assert (page.status, page.body) == (200, b"hi")
        imprint = Imprint(b"", page.etag, page.last_modified)
        again = await fetch.get(f"{origin}/", unless=imprint)
        assert (again.status, again.body, again.etag) == (304, b"", 'W/"1"')
        await fetch.get(f"{origin}/", unless=Imprint(b"", "", page.last_modified))
        assert (await fetch.get(f"{origin}/", method="POST", unless=imprint)).status == 200
    date = "Mon, 01 Jan 2024 00:00:00 GMT"
    assert asked == [(None, None), ('W/"1"', date), (None, date), (None, None)]


@pytest.mark.parametrize("etag", ['"\u00e9"', f'"{"x" * 600}"'])
async def test_validators_that_cannot_be_sent_back_are_not_kept(etag: str) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(text="hi", headers={"ETag": etag})

    assert (await fetched(handle)).etag == ""


async def test_a_reset_is_no_end_of_a_page() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf a page")
        await writer.drain()
        await asyncio.sleep(0.05)  # in which it is read
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with speaking(speak) as origin, fetching(origin) as fetch:
        with pytest.raises(FetchFailed, match=r"incomplete body|connection lost"):
            await fetch.get(f"{origin}/")


class Garbled:
    """A cache with a page that only others can read."""

    async def fresh(self, url: str, sent: CIMultiDict[str], most_bytes: int) -> Answer:
        return Answer(200, joined([("Content-Encoding", "gzip")]), b"no gzip", 0.0, 0.0)

    async def keep(self, url: str, sent: CIMultiDict[str], answer: Answer) -> None:
        return None


async def test_what_cannot_be_read_of_a_cache_is_asked_for() -> None:
    async with serving(answering(b"page")) as origin:
        definition = from_data({"start_urls": [f"{origin}/"]})
        scope, guard, clock = Scope(definition), Guard(["127.0.0.0/8"]), SystemClock()
        async with HttpFetch(definition, scope, guard, clock, cache=Garbled()) as fetch:
            page = await fetch.get(f"{origin}/", unless=Imprint(bytes(16)))
    assert page.body == b"page"
