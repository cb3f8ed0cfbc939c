"""What the proxy must refuse, and how it says so."""

from __future__ import annotations

import asyncio
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from crawler.access import Access, Role, line_of, new_token
from crawler.proxy.service import Proxy
from tests.integration.engine.servers import serving, speaking
from tests.integration.proxy.stage import answers_in, ask, proxying, read_answer, say, until


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    async with proxying(tmp_path) as opened:
        yield opened


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Proxy]:
    """One that may reach public addresses only."""
    async with proxying(tmp_path, allow=(), openings=("*:*",), node="strict") as opened:
        yield opened


async def test_no_request_hides_in_another(proxy: Proxy) -> None:
    """What two readers could end in two places is refused, and the rest of it is not read."""
    asked = []

    async def handle(request: web.Request) -> web.Response:
        asked.append((request.method, request.path, await request.read()))
        return web.Response(text="page")

    async with serving(handle) as url:
        hidden = f"GET {url}/hidden HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        start = f"POST {url}/open HTTP/1.1\r\nHost: a\r\n".encode()
        for head in (
            b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
            b"Content-Length: 0\r\nContent-Length: 50\r\n\r\n",
            b"Content-Length: +4\r\n\r\n",
            b"Content-Length: 4, 5\r\n\r\n",
            b"Transfer-Encoding: xchunked\r\n\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n\r\n",
            b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            b"X: a\x00b\r\n\r\n",
            b"X: a\rb\r\n\r\n",
            b"Host: b\r\n\r\n",
        ):
            data = await say(proxy.port, start + head + hidden)
            assert read_answer(data).status in (400, 501), head
            assert answers_in(data) == 1, head
        assert asked == []
        for body in (
            b"x\r\n\r\n",
            b"-1\r\n\r\n",
            b"5\r\nabcdeX\r\n0\r\n\r\n",
            b"ffffffffffffffffffff1\r\n",
        ):
            head = b"Transfer-Encoding: chunked\r\n\r\n"
            data = await say(proxy.port, start + head + body + hidden)
            assert read_answer(data).status == 400, body
            assert answers_in(data) == 1, body
        assert "/hidden" not in {path for _, path, _ in asked}


async def test_a_length_is_read_and_written_alike(proxy: Proxy) -> None:
    """However it is spelt: what the proxy took for no body must not be one to the origin."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async with serving(handle) as url:
        for spelling in ("5", "00005", "0" * 19 + "5"):
            head = f"GET {url}/ HTTP/1.1\r\nHost: a\r\nContent-Length: {spelling}\r\n\r\n"
            answer = read_answer(await say(proxy.port, f"{head}HELLO".encode()))
            assert (answer.status, answer.body) == (200, b"HELLO")


async def test_a_folded_line_comes_out_as_one(proxy: Proxy) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=request.headers["X"])

    async with serving(handle) as url:
        head = f"GET {url}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: a\r\n b\r\n\r\n"
        answer = read_answer(await say(proxy.port, head.encode()))
    assert (answer.status, answer.body) == (200, b"a b")


async def test_heads_and_bodies_have_an_end(proxy: Proxy) -> None:
    long = f"GET http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\nX: {'x' * 100_000}\r\n\r\n"
    assert read_answer(await say(proxy.port, long.encode())).status == 431
    large = b"POST http://127.0.0.1:9/ HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n"
    answer = read_answer(await say(proxy.port, large))
    assert answer.status == 413
    assert b"64 MiB" in answer.body


async def test_requests_in_a_row_are_answered_in_their_order(proxy: Proxy) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=request.path)

    async with serving(handle) as url:
        rows = "".join(
            f"GET {url}/{number} HTTP/1.1\r\nHost: a\r\n{end}\r\n"
            for number, end in ((1, ""), (2, ""), (3, "Connection: close\r\n"))
        )
        data = await say(proxy.port, rows.encode())
    assert [part[-2:] for part in data.split(b"HTTP/1.1 200 OK")[1:]] == [b"/1", b"/2", b"/3"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "169.254.169.254",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "0.0.0.0",
        "0x7f.1",
    ],
)
@pytest.mark.threat(11)
async def test_nothing_but_the_public_web_is_reached(strict: Proxy, host: str) -> None:
    plain = await ask(strict.port, f"http://{host}/latest/meta-data/")
    assert plain.status == 403
    assert b"allow_private" in plain.body
    head = f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"
    tunnel = read_answer(await say(strict.port, head.encode()))
    assert tunnel.status == 403


async def test_a_name_that_comes_to_mean_something_else(
    strict: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: what counts is where a socket is about to be connected to."""
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def changed(host: str, port: int, **named: int) -> object:
        return await real("127.0.0.1" if host == "rebind.example" else host, port, **named)

    monkeypatch.setattr(loop, "getaddrinfo", changed)
    assert (await ask(strict.port, "http://rebind.example/")).status == 403
    head = b"CONNECT rebind.example:443 HTTP/1.1\r\nHost: a\r\n\r\n"
    assert read_answer(await say(strict.port, head)).status == 403


async def test_tunnels_go_to_allowed_ports_only(tmp_path: Path) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"through")
        await writer.drain()

    async with speaking(speak) as url:
        port = url.rpartition(":")[2]
        head = (
            f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n".encode()
        )
        async with proxying(tmp_path) as proxy:
            refused = read_answer(await say(proxy.port, head))
            assert refused.status == 403
            assert b"proxy_connect" in refused.body
        async with proxying(tmp_path, openings=(f"*:{port}",)) as proxy:
            opened = await say(proxy.port, head)
            assert read_answer(opened).status == 200
            assert opened.endswith(b"\r\n\r\nthrough")
            assert proxy.figures.results["tunnel"] == 1


async def test_what_is_no_request_to_a_proxy_is_told(proxy: Proxy) -> None:
    site = await ask(proxy.port, "/")
    assert site.status == 400
    assert b"curl -x" in site.body
    assert (await ask(proxy.port, "http://127.0.0.1/", "TRACE")).status == 405
    assert (await ask(proxy.port, "http://u:p@127.0.0.1/")).status == 400


async def test_a_way_that_leads_back_is_cut(proxy: Proxy) -> None:
    answer = await ask(proxy.port, f"http://127.0.0.1:{proxy.port}/")
    assert answer.status == 400  # asked as a site, it says that it is none
    name = answer.fields["proxy-status"].partition(";")[0]
    looped = await ask(proxy.port, "http://127.0.0.1/", Via=f"1.1 {name}")
    assert looped.status == 508


@pytest.mark.threat(11)
async def test_strangers_are_asked_who_they_are(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=str("Proxy-Authorization" in request.headers))

    file, token = tmp_path / "tokens", new_token()
    file.write_text(f"{line_of(token, 'ann', Role.OPERATE)}\n")
    async with serving(handle) as url, proxying(tmp_path, access=Access(file)) as proxy:
        assert (await ask(proxy.port, f"{url}/")).status == 407
        marked = await ask(proxy.port, "/", Crawler_Peer="0 -", Crawler_Target=f"{url}/")
        assert marked.status == 407
        tunnel = await say(proxy.port, b"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_answer(tunnel).status == 407
        known = f"Basic {b64encode(f'any:{token}'.encode()).decode()}"
        answer = await ask(proxy.port, f"{url}/", Proxy_Authorization=known)
        assert (answer.status, answer.body) == (200, b"False")


async def test_a_page_in_a_browser_is_no_peer(proxy: Proxy) -> None:
    url = "http://127.0.0.1/"
    marked = await ask(proxy.port, "/", Crawler_Peer="0 -", Crawler_Target=url)
    assert marked.status == 403  # its Host is a name


async def test_clients_that_go_away_leave_nothing_behind(proxy: Proxy) -> None:
    gate = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x" * 1000)
        await gate.wait()
        return response

    async with serving(handle) as url:
        for _ in range(5):
            sock = socket.create_connection(("127.0.0.1", proxy.port))
            sock.sendall(f"GET {url}/ HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            sock.close()
        gate.set()
        await until(lambda: proxy.figures.connections == 0)
        assert (await ask(proxy.port, f"{url}/")).status == 200
