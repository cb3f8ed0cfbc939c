"""Crawling through proxies that the worker's operator set up, real ones on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from crawler.address import Guard
from crawler.clock import SystemClock
from crawler.definition import from_data
from crawler.engine.fetch import HttpFetch
from crawler.engine.settings import ProxyPool
from crawler.engine.urls import Scope, canonical
from crawler.errors import FetchFailed, Misconfigured
from tests.integration.engine.proxies import Proxy, http_proxy, socks_proxy
from tests.integration.engine.servers import serving

LOOPBACK = ("127.0.0.0/8", "::1")
PASSWORD = "canary-0815"
REFUSES = b"HTTP/1.1 407 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
UNREACHABLE = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def fetching(
    start: str, *urls: str, private: tuple[str, ...] = LOOPBACK, rotation: str = "round-robin"
) -> AsyncIterator[HttpFetch]:
    definition = from_data({"start_urls": [f"{start}/"], "proxy_pool": "p"})
    pools = {"p": ProxyPool(urls, rotation)}
    opening = HttpFetch(definition, Scope(definition), Guard(private), SystemClock(), pools=pools)
    async with opening as fetch:
        yield fetch


def url_of(proxy: Proxy, scheme: str = "http") -> str:
    return f"{scheme}://me:{PASSWORD}@127.0.0.1:{proxy.port}"


async def hello(_: web.Request) -> web.Response:
    return web.Response(body=b"hi", headers={"Set-Cookie": "a=1"})


async def test_requests_go_through_a_proxy_of_http_with_its_credentials() -> None:
    async with (
        serving(hello) as origin,
        http_proxy() as proxy,
        fetching(origin, url_of(proxy)) as fetch,
    ):
        page = await fetch.get(f"{origin}/x")
    assert page.body == b"hi"
    assert proxy.asked == [f"{origin}/x"]
    assert "Proxy-Authorization: Basic " in proxy.heads[0]


async def test_https_is_tunnelled_so_that_the_proxy_reads_nothing() -> None:
    async with serving(hello) as origin, http_proxy() as proxy:
        port = origin.rpartition(":")[2]
        async with fetching(f"https://127.0.0.1:{port}", url_of(proxy)) as fetch:
            with pytest.raises(FetchFailed) as caught:  # what listens there speaks no TLS
                await fetch.get(f"https://127.0.0.1:{port}/secret-path")
    assert caught.value.reason in ("TLS failed", "connection lost")
    assert set(proxy.asked) == {f"127.0.0.1:{port}"}
    assert not any("secret-path" in head for head in proxy.heads)


async def test_a_proxy_of_socks_is_given_the_address_that_was_judged() -> None:
    async with serving(hello) as origin, socks_proxy() as proxy:
        port = origin.rpartition(":")[2]
        start = f"http://localhost:{port}"
        async with fetching(start, url_of(proxy, "socks5")) as fetch:
            page = await fetch.get(f"{start}/")
            again = await fetch.get(f"{start}/")
    assert (page.body, again.body) == (b"hi", b"hi")
    assert proxy.heads == [f"me:{PASSWORD}"], "one connection, kept"
    assert set(proxy.asked) <= {f"127.0.0.1:{port}", f"::1:{port}"}


@pytest.mark.threat(10)
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_what_the_guard_refuses_is_never_named_to_a_proxy(scheme: str) -> None:
    opening = http_proxy if scheme == "http" else socks_proxy
    hosts = ("127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "0", "[::1]",
             "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1")  # fmt: skip
    async with (
        opening() as proxy,
        fetching("http://a.example", url_of(proxy, scheme), private=()) as fetch,
    ):
        for host in hosts:
            for url in (f"http://{host}/", canonical(f"http://{host}/")):
                with pytest.raises(FetchFailed) as caught:
                    await fetch.get(url)
                assert (caught.value.reason, caught.value.retry) == ("address refused", False)
    assert proxy.connections == 0


@pytest.mark.threat(10)
async def test_a_name_with_one_private_address_is_refused_and_the_proxy_itself_is_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo
    names = {"good.example": ["93.184.215.14"], "mixed.example": ["93.184.215.14", "10.0.0.1"]}

    async def known(host: str, port: int, **more: Any) -> Any:
        if host not in names:
            return await real(host, port, **more)
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, port)) for address in names[host]]

    monkeypatch.setattr(loop, "getaddrinfo", known)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    async with (
        http_proxy(answer) as proxy,
        fetching("http://good.example", url_of(proxy), private=()) as fetch,
    ):
        assert (await fetch.get("http://good.example/")).body == b"hi"
        for url in ("http://mixed.example/", "http://good.example:25/"):
            with pytest.raises(FetchFailed, match="address refused"):
                await fetch.get(url)
    assert proxy.asked == ["http://good.example/"]


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (b" ", r"malformed answer|connection lost"),
        (REFUSES, "proxy wants other credentials"),
    ],
)
async def test_a_proxy_that_does_not_do_its_work_is_banned_too(says: bytes, reason: str) -> None:
    async with (
        serving(hello) as origin,
        http_proxy(says) as bad,
        http_proxy() as good,
        fetching(origin, url_of(bad), url_of(good)) as fetch,
    ):
        for n in range(6):
            if n % 2:
                await fetch.get(f"{origin}/{n}")
            else:
                with pytest.raises(FetchFailed, match=reason):
                    await fetch.get(f"{origin}/{n}")
        for n in range(4):
            await fetch.get(f"{origin}/{n}")
    assert bad.connections == 3


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_cannot_be_reached_is_passed_over_and_then_banned(scheme: str) -> None:
    with capture_logs() as logs:
        async with serving(hello) as origin, http_proxy() as good:
            async with socks_proxy() as dead:
                pass
            failing = url_of(dead, scheme)
            async with fetching(origin, failing, url_of(good)) as fetch:
                for n in range(12):
                    assert (await fetch.get(f"{origin}/{n}")).body == b"hi"
                assert fetch.blocked[0] == 0.0
    assert len(good.asked) == 12
    bans = [line for line in logs if line["event"] == "proxy banned"]
    assert [line["proxy"] for line in bans] == [f"{scheme}://127.0.0.1:{dead.port}"]
    assert PASSWORD not in str(logs)


async def test_a_target_that_cannot_be_reached_is_not_the_proxys_fault() -> None:
    async with http_proxy(UNREACHABLE) as http, socks_proxy(reply=5) as socks:
        for proxy, scheme, target in ((http, "http", "https"), (socks, "socks5", "http")):
            start = f"{target}://127.0.0.1:9"
            # Port 9 is not the web's, but the test's own network is allowed as a whole.
            async with fetching(start, url_of(proxy, scheme)) as fetch:
                for _ in range(5):
                    with pytest.raises(FetchFailed) as caught:
                        await fetch.get(f"{start}/")
                    assert (caught.value.reason, caught.value.retry) == ("connection failed", True)
                assert fetch.blocked[0] == 0.0
        assert http.connections == socks.connections == 5


async def test_when_all_are_banned_there_is_a_reason_and_an_end_of_it() -> None:
    async with (
        serving(hello) as origin,
        http_proxy(REFUSES) as bad,
        fetching(origin, url_of(bad)) as fetch,
    ):
        for _ in range(3):
            with pytest.raises(FetchFailed, match="proxy wants other credentials") as caught:
                await fetch.get(f"{origin}/")
            assert caught.value.retry
        until, reason = fetch.blocked
        assert 25.0 < until - SystemClock().elapsed() <= 30.0
        assert reason == "every proxy of the pool p is banned for its failures"
        with pytest.raises(FetchFailed) as caught:
            await fetch.get(f"{origin}/")
        assert (caught.value.reason, bad.connections) == (reason, 3)
        assert PASSWORD not in str(caught.value)


async def test_a_pool_that_the_worker_does_not_have_is_named() -> None:
    definition = from_data({"start_urls": ["https://a.example/"], "proxy_pool": "fast"})
    with pytest.raises(Misconfigured, match="proxy_pool: this worker has no pool fast"):
        HttpFetch(definition, Scope(definition), Guard(), SystemClock())
    assert PASSWORD not in repr(ProxyPool((f"http://me:{PASSWORD}@x:1",)))
