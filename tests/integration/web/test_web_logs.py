"""Log lines of a crawl come from the nodes that deal with it, and follow it where it goes."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from crawler.client import Client
from crawler.errors import InvalidInput, NotFound
from crawler.model import WORKER_SERVICE
from crawler.rpc.logs import Logs
from crawler.rpc.server import serve as serve_grpc
from crawler.rpc.services import crawler_logs
from crawler.telemetry.recent import Recent
from crawler.web.logs import read_since
from tests.fakes.api import FakeCluster, serve_api
from tests.ports import free_port

ONE, TWO = f"{WORKER_SERVICE}-1", f"{WORKER_SERVICE}-2"


class Worker:
    """One that has kept lines."""

    def __init__(self, address: str, recent: Recent) -> None:
        self.address = address
        self.recent = recent

    def say(self, msg: str, ago_s: float = 0.0, resource: str = "shop") -> None:
        self.recent.add(resource, json.dumps({"msg": msg}), time.time() - ago_s)


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with serve_api() as cluster:
        yield cluster


@pytest.fixture
async def http(cluster: FakeCluster) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cluster.url) as session:
        yield session


@pytest.fixture
async def workers() -> AsyncIterator[tuple[Worker, Worker]]:
    async with AsyncExitStack() as stack:
        started = []
        for _ in range(2):
            recent = Recent()
            services = (crawler_logs(Logs(recent), WORKER_SERVICE),)
            at = await stack.enter_async_context(serve_grpc("127.0.0.1:0", services, grace_s=0.1))
            started.append(Worker(at.address, recent))
        yield started[0], started[1]


def give(cluster: FakeCluster, node: str, address: str) -> None:
    """Let that worker have the crawl, and no master stand in the list."""
    cluster.master.nodes.clear()
    view = cluster.master.view("shop")
    view.assigned_node, view.address = node, address


async def page(http: aiohttp.ClientSession, since: str = "5m") -> dict[str, Any]:
    async with http.get("/crawler/resource/shop/logs", params={"since": since}) as answer:
        assert answer.status == 200
        found: dict[str, Any] = await answer.json()
        return found


async def test_a_page_of_what_was_kept(
    cluster: FakeCluster, http: aiohttp.ClientSession, workers: tuple[Worker, Worker]
) -> None:
    cluster.master.put("shop", "{}")
    give(cluster, ONE, workers[0].address)
    workers[0].say("long ago", ago_s=3600)
    workers[0].say("second", ago_s=1)
    workers[0].say("first", ago_s=2)
    workers[0].say("of another", resource="other")
    found = await page(http)
    assert [(each["node"], each["line"]["msg"]) for each in found["lines"]] == [
        (ONE, "first"),
        (ONE, "second"),
    ]
    assert found["trouble"] == []
    assert len((await page(http, "2h"))["lines"]) == 3
    give(cluster, ONE, f"127.0.0.1:{free_port()}")
    found = await page(http)
    assert found["lines"] == []
    assert found["trouble"][0].startswith(f"{ONE}: ")


async def test_what_cannot_be_meant(cluster: FakeCluster, http: aiohttp.ClientSession) -> None:
    async with http.get("/crawler/resource/none/logs/follow") as answer:
        assert answer.status == 404
    cluster.master.put("shop", "{}")
    for rest in ("logs?since=soon", "logs/follow?since=-5", "logs?follow=true"):
        async with http.get(f"/crawler/resource/shop/{rest}") as answer:
            assert answer.status == 400


async def test_a_follower_goes_where_the_crawl_goes(
    cluster: FakeCluster, workers: tuple[Worker, Worker]
) -> None:
    cluster.master.put("shop", "{}")
    give(cluster, ONE, workers[0].address)
    workers[0].say("kept", ago_s=1)
    async with Client(cluster.url) as client:
        lines = client.follow_logs("shop")
        assert (await anext(lines)).line == {"msg": "kept"}
        workers[0].say("comes")
        assert (await anext(lines)).line == {"msg": "comes"}
        give(cluster, TWO, workers[1].address)
        workers[1].say("here now")
        entry = await anext(lines)
        assert (entry.node, entry.line) == (TWO, {"msg": "here now"})
        del cluster.master.resources["shop"]
        with pytest.raises(NotFound):
            await anext(lines)


def test_times() -> None:
    assert read_since("1700000000.5") == 1700000000.5
    assert time.time() - 301 < read_since("5m") <= time.time() - 300
    for wrong in ("", "soon", "-1", "nan", "m"):
        with pytest.raises(InvalidInput):
            read_since(wrong)
