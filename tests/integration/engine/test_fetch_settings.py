"""What a definition may ask of fetching: credentials, cookies, timeouts, user agents."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from crawler.address import Guard
from crawler.clock import SystemClock
from crawler.definition import from_data
from crawler.definition.secrets import Secret
from crawler.engine.crawl import Crawl, EngineSettings
from crawler.engine.fetch import HttpFetch
from crawler.engine.urls import Scope
from crawler.errors import FetchFailed, Misconfigured
from tests.fakes.frontier import MemoryRun
from tests.fakes.turns import HostBook
from tests.integration.engine.servers import serving, speaking

HERE = ("127.0.0.1", "localhost")
CANARY = "canary-0815"
SECRETS = {
    "here": Secret(CANARY, HERE),
    "shop": Secret(CANARY, ("shop.example",)),
    "colon": Secret("a:b", HERE),
    "blank": Secret("a b", HERE),
}


@asynccontextmanager
async def fetching(
    start: str, secrets: Mapping[str, Secret] = SECRETS, **settings: Any
) -> AsyncIterator[HttpFetch]:
    definition = from_data({"start_urls": [f"{start}/"], **settings})
    guard = Guard(("127.0.0.0/8", "::1"))
    opening = HttpFetch(definition, Scope(definition), guard, SystemClock(), secrets=secrets)
    async with opening as fetch:
        yield fetch


@pytest_asyncio.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name below localhost leads here, as RFC 6761 wants it and few resolvers have it."""
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def lead_here(host: str, port: int, **more: Any) -> Any:
        return await real("127.0.0.1" if host.endswith(".localhost") else host, port, **more)

    monkeypatch.setattr(loop, "getaddrinfo", lead_here)


class Seen:
    """A server that keeps the headers it was sent, and sets a cookie."""

    def __init__(self) -> None:
        self.headers: list[Mapping[str, str]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.headers.append(request.headers)
        response = web.Response(text="<p>hi", content_type="text/html")
        response.set_cookie("session", "9")
        return response

    def all_of(self, name: str) -> list[str | None]:
        return [headers.get(name) for headers in self.headers]


BASIC = "Basic " + base64.b64encode(f"me:{CANARY}".encode()).decode()


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({"bearer": "${secret:here}"}, f"Bearer {CANARY}"),
        ({"bearer": "in-clear"}, "Bearer in-clear"),
        ({"basic": {"user": "me", "password": "${secret:here}"}}, BASIC),
    ],
)
async def test_credentials_go_to_their_domain_and_nowhere_else(
    auth: dict[str, Any], expected: str
) -> None:
    seen = Seen()
    async with serving(seen.handle) as origin:
        other = origin.replace("127.0.0.1", "localhost")
        where = [{"domain": "127.0.0.1", **auth}]
        async with fetching(origin, allowed_domains=list(HERE), auth=where) as fetch:
            await fetch.get(f"{origin}/")
            await fetch.get(f"{other}/")
    assert seen.all_of("Authorization") == [expected, None]


@pytest.mark.usefixtures("names")
async def test_the_closest_domain_counts_and_auth_stands_above_headers() -> None:
    seen = Seen()
    async with serving(seen.handle) as origin:
        port = origin.rpartition(":")[2]
        auth = [
            {"domain": "localhost", "bearer": "far"},
            {"domain": "sub.localhost", "bearer": "near"},
        ]
        start = f"http://localhost:{port}"
        headers = {"Authorization": "Bearer general", "X-Own": "1"}
        async with fetching(start, auth=auth, headers=headers) as fetch:
            for name in ("localhost", "sub.localhost", "other.localhost"):
                await fetch.get(f"http://{name}:{port}/")
        async with fetching(start, headers=headers) as fetch:
            await fetch.get(f"{start}/")
    told = seen.all_of("Authorization")
    assert told == ["Bearer far", "Bearer near", "Bearer far", "Bearer general"]
    assert seen.all_of("X-Own") == ["1"] * 4


async def test_credentials_for_a_crawl_over_tls_are_not_sent_in_the_clear() -> None:
    seen = Seen()
    async with serving(seen.handle) as origin:
        auth = [{"domain": "127.0.0.1", "bearer": "${secret:here}"}]
        headers = {"X-Shop": "${secret:here}", "X-Plain": "1"}
        start = f"https://127.0.0.1:{origin.rpartition(':')[2]}"
        async with fetching(start, auth=auth, headers=headers) as fetch:
            await fetch.get(f"{origin}/")
    assert seen.all_of("Authorization") == [None]
    assert seen.all_of("X-Shop") == [None]
    assert seen.all_of("X-Plain") == ["1"]


async def test_secrets_stand_in_headers_and_cookies_for_trusted_hosts_only() -> None:
    seen = Seen()
    async with serving(seen.handle) as origin:
        headers = {"X-Shop": "key ${secret:here}"}
        async with fetching(origin, headers=headers, cookies={"own": "${secret:here}"}) as fetch:
            await fetch.get(f"{origin}/")
            await fetch.get(f"{origin.replace('127.0.0.1', 'localhost')}/")
    assert seen.all_of("X-Shop") == [f"key {CANARY}", None]
    assert seen.all_of("Cookie") == [f"own={CANARY}", None]


async def test_what_a_body_is_stands_beside_secrets_and_with_no_other_request() -> None:
    seen = Seen()
    async with serving(seen.handle) as origin:
        headers = {"X-Shop": "key ${secret:here}"}
        auth = [{"domain": "127.0.0.1", "bearer": "${secret:here}"}]
        async with fetching(origin, headers=headers, auth=auth) as fetch:
            await fetch.get(f"{origin}/", method="POST", body=b"a=1")
            other = origin.replace("127.0.0.1", "localhost")
            await fetch.get(f"{other}/", method="POST", body=b"[1]")
            await fetch.get(f"{origin}/")
        own = {"Content-Type": "application/x-own"}
        async with fetching(origin, headers=own) as fetch:
            await fetch.get(f"{origin}/", method="POST", body=b"[1]")
    form, json = "application/x-www-form-urlencoded", "application/json"
    assert seen.all_of("Content-Type") == [form, json, None, "application/x-own"]
    assert seen.all_of("X-Shop") == [f"key {CANARY}", None, f"key {CANARY}", None]
    assert seen.all_of("Authorization") == [f"Bearer {CANARY}", None, f"Bearer {CANARY}", None]


@pytest.mark.parametrize(
    ("settings", "field", "said"),
    [
        ({"headers": {"X-A": "${secret:nothing}"}}, "headers.X-A", "no secret nothing"),
        ({"cookies": {"a": "${secret:nothing}"}}, "cookies.a", "no secret nothing"),
        ({"headers": {"X-A": "${secret:shop}"}}, "headers.X-A", "only to shop.example"),
        (
            {"headers": {"X-A": "${secret:here}"}, "allowed_domains": ["127.0.0.1", "b.example"]},
            "headers.X-A",
            "may not be sent to b.example",
        ),
        (
            {"auth": [{"domain": "127.0.0.1", "bearer": "${secret:shop}"}]},
            "auth[0].bearer",
            "may not be sent to 127.0.0.1",
        ),
        (
            {"auth": [{"domain": "127.0.0.1",
                       "basic": {"user": "${secret:colon}", "password": "x"}}]},
            "auth[0].basic.user",
            "colon",
        ),
        ({"cookies": {"a": "${secret:blank}"}}, "cookies.a", "blank"),
    ],
)  # fmt: skip
async def test_a_crawl_whose_secret_is_not_for_it_is_refused_before_it_begins(
    settings: dict[str, Any], field: str, said: str
) -> None:
    run = MemoryRun(SystemClock())
    crawl = Crawl(
        from_data({"start_urls": ["http://127.0.0.1/"], **settings}),
        run.claim(),
        HostBook(SystemClock()).budgets("test"),
        settings=EngineSettings(secrets=SECRETS),
        parsing=lambda _: None,
        report=lambda _: None,
    )
    with pytest.raises(Misconfigured) as caught:
        await crawl.run()
    assert str(caught.value).startswith(f"{field}: ")
    assert said in str(caught.value)
    assert not run.rows
    for told in (str(caught.value), repr(caught.value), repr(SECRETS)):
        assert CANARY not in told


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [None, None]),
        ({"cookies_enabled": True}, [None, "session=9"]),
        ({"cookies": {"own": "1"}}, ["own=1", "own=1; session=9"]),
        ({"cookies": {"own": "1"}, "cookies_enabled": False}, ["own=1", "own=1"]),
        ({"cookies_enabled": False}, [None, None]),
    ],
)
async def test_cookies_of_servers_are_kept_where_the_definition_says_so(
    settings: dict[str, Any], expected: list[str | None]
) -> None:
    seen = Seen()
    async with serving(seen.handle) as origin, fetching(origin, **settings) as fetch:
        await fetch.get(f"{origin}/")
        await fetch.get(f"{origin}/")
    told = [value and "; ".join(sorted(value.split("; "))) for value in seen.all_of("Cookie")]
    assert told == expected


async def test_each_phase_of_a_request_has_its_own_limit_and_reason() -> None:
    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def slow_body(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx")
        await writer.drain()
        await asyncio.sleep(60)

    limits: dict[str, Any] = {"first_byte_timeout": 0.3, "download_timeout": 1.0}
    for speak, reason in ((silent, "no answer within 0.3 s"), (slow_body, "timeout")):
        async with speaking(speak) as origin, fetching(origin, **limits) as fetch:
            with pytest.raises(FetchFailed) as caught:
                await fetch.get(f"{origin}/")
            assert (caught.value.reason, caught.value.retry) == (reason, True)
    # A full queue of connections that nobody accepts takes no more, and says nothing.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        try:
            start = f"http://127.0.0.1:{full.getsockname()[1]}"
            async with fetching(start, connect_timeout=0.3, download_timeout=5.0) as fetch:
                with pytest.raises(FetchFailed) as caught:
                    await fetch.get(f"{start}/")
        finally:
            for each in waiting:
                each.close()
    assert (caught.value.reason, caught.value.retry) == ("connect timeout", True)


@pytest.mark.usefixtures("names")
async def test_user_agents_take_turns_by_host_or_by_request() -> None:
    seen = Seen()
    names = [f"h{n}.localhost" for n in range(12)]
    agents = ["one/1", "two/2", "three/3"]
    async with serving(seen.handle) as origin:
        port = origin.rpartition(":")[2]
        start = f"http://localhost:{port}"
        async with fetching(start, user_agents=agents) as fetch:
            for name in (*names, *names):
                await fetch.get(f"http://{name}:{port}/")
        by_host = seen.all_of("User-Agent")
        seen.headers.clear()
        rotating: dict[str, Any] = {"user_agents": agents, "user_agent_rotation": "request"}
        async with fetching(start, **rotating) as fetch:
            for path in ("/robots.txt", "/1", "/2", "/3", "/robots.txt", "/4"):
                await fetch.get(start + path)
    assert by_host[:12] == by_host[12:]
    assert set(by_host) == set(agents)
    assert seen.all_of("User-Agent") == ["one/1", "one/1", "two/2", "three/3", "one/1", "one/1"]


async def test_robots_txt_is_obeyed_as_the_first_user_agent() -> None:
    hits: Counter[str] = Counter()

    async def handle(request: web.Request) -> web.Response:
        hits[request.path] += 1
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: one\nDisallow: /a\n\nUser-agent: *\nDisallow: /b")
        return web.Response(text="<a href=/a></a><a href=/b></a>", content_type="text/html")

    async with serving(handle) as origin:
        clock = SystemClock()
        settings = {"user_agents": ["one/1", "two/2"], "download_delay": 0.0}
        crawl = Crawl(
            from_data({"start_urls": [f"{origin}/"], **settings}),
            MemoryRun(clock).claim(),
            HostBook(clock).budgets("test"),
            settings=EngineSettings(typed_hosts=(origin.removeprefix("http://"),)),
            parsing=lambda _: None,
            report=lambda _: None,
        )
        await crawl.run()
    assert hits == {"/robots.txt": 1, "/": 1, "/b": 1}


@pytest.mark.usefixtures("names")
async def test_names_at_one_address_are_known_to_be_neighbours() -> None:
    seen = Seen()
    async with serving(seen.handle) as origin:
        port = origin.rpartition(":")[2]
        start = f"http://localhost:{port}"
        async with fetching(f"http://a.localhost:{port}", concurrent_requests_per_ip=1) as fetch:
            named = [(await fetch.get(f"http://{n}.localhost:{port}/")).address for n in "abc"]
            literal = (await fetch.get(f"{origin}/")).address
        async with fetching(start) as fetch:
            unasked = (await fetch.get(f"{start}/")).address
    assert set(named) == {"127.0.0.1"}
    assert literal == "127.0.0.1"
    assert unasked == ""
