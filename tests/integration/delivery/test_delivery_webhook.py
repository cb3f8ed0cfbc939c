"""Posting to a real receiver: what it gets, what it may answer, and where nothing is sent."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from crawler.definition import Sink
from crawler.definition.secrets import Secret
from crawler.delivery.post import open_post
from crawler.delivery.records import Parcel
from crawler.errors import DeliveryFailed
from tests.integration.engine.servers import serving

PARCEL = Parcel("alone-бук-1-hook-1-2", "shop", (b'{"a":1}\n', b'{"a":2}\n'))


def sink(url: str, **headers: str) -> Sink:
    return Sink(name="hook", kind="webhook", url=url, headers=headers)


async def test_a_receiver_gets_lines_under_a_key_that_names_them() -> None:
    got = []

    async def receive(request: web.Request) -> web.Response:
        got.append((request.method, request.headers.copy(), await request.read()))
        return web.Response(status=204)

    async with serving(receive) as url, open_post(["127.0.0.0/8"], None) as post:
        await post.send(sink(f"{url}/in?x=1", Authorization="Bearer abc"), PARCEL)
    [(method, headers, body)] = got
    assert (method, body) == ("POST", PARCEL.body)
    assert headers["Content-Type"] == "application/x-ndjson"
    assert headers["Idempotency-Key"] == '"alone-%D0%B1%D1%83%D0%BA-1-hook-1-2"'
    assert headers["Authorization"] == "Bearer abc"


@pytest.mark.threat(20)
async def test_secrets_stand_in_headers_and_go_to_their_domains_only() -> None:
    got = []

    async def receive(request: web.Request) -> web.Response:
        got.append(request.headers["Authorization"])
        return web.Response()

    secrets = {"here": Secret("s3cret", ("127.0.0.1",)), "there": Secret("t0p", ("in.example",))}
    async with (
        serving(receive) as url,
        open_post(["127.0.0.0/8"], None, secrets=secrets) as post,
    ):
        await post.send(sink(url, Authorization="Bearer ${secret:here}"), PARCEL)
        with pytest.raises(DeliveryFailed, match=r"may not be sent to 127\.0\.0\.1") as failed:
            await post.send(sink(url, Authorization="Bearer ${secret:there}"), PARCEL)
    assert failed.value.refused
    assert "t0p" not in str(failed.value)
    assert got == ["Bearer s3cret"]


@pytest.mark.threat(8)
async def test_redirects_are_not_followed() -> None:
    seen = []

    async def receive(request: web.Request) -> web.Response:
        seen.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with serving(receive) as url, open_post(["127.0.0.0/8"], None) as post:
        with pytest.raises(DeliveryFailed, match="HTTP 307") as failed:
            await post.send(sink(f"{url}/in"), PARCEL)
    assert failed.value.refused
    assert seen == ["/in"]


@pytest.mark.threat(6)
async def test_addresses_that_are_not_public_are_refused_unless_allowed() -> None:
    async def receive(request: web.Request) -> web.Response:
        raise AssertionError("reached")

    async with serving(receive) as url, open_post([], None) as post:
        port = url.rpartition(":")[2]
        for address in (url, f"http://localhost:{port}", f"http://[::ffff:127.0.0.1]:{port}"):
            with pytest.raises(DeliveryFailed, match="address refused") as failed:
                await post.send(sink(address), PARCEL)
            assert failed.value.refused


@pytest.mark.threat(10)
async def test_no_proxy_of_the_environment_gets_items(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive(request: web.Request) -> web.Response:
        return web.Response()

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serving(receive) as url, open_post(["127.0.0.0/8"], None) as post:
        await post.send(sink(url), PARCEL)


async def test_a_receiver_that_is_away_may_come_back() -> None:
    async def receive(request: web.Request) -> web.Response:
        raise AssertionError("never asked")

    async with serving(receive) as url:
        pass
    async with open_post(["127.0.0.0/8"], None) as post:
        with pytest.raises(DeliveryFailed, match="connection failed") as failed:
            await post.send(sink(url), PARCEL)
    assert not failed.value.refused


async def test_an_answer_without_an_end_holds_nobody_up() -> None:
    """The status is enough; the body may never come."""
    ended = asyncio.Event()

    async def receive(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await ended.wait()
        return answer

    async with serving(receive) as url, open_post(["127.0.0.0/8"], None) as post:
        async with asyncio.timeout(20):
            await post.send(sink(url), PARCEL)
        ended.set()


async def test_a_worker_without_a_directory_says_so() -> None:
    async with open_post([], None) as post:
        with pytest.raises(DeliveryFailed, match="--sinks"):
            await post.send(Sink(name="disk", kind="file", path="items.jsonl"), PARCEL)
