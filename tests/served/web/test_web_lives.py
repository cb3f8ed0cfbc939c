"""How a crawl goes is asked of the worker that crawls it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from crawler.model import WORKER_SERVICE, HostWait, LiveRecord
from crawler.rpc.lives import Lives
from crawler.rpc.pb.control_pb2 import PartView
from crawler.rpc.server import serve as serve_grpc
from crawler.rpc.services import crawler_worker
from tests.fakes.api import FakeCluster
from tests.fakes.trials import FakeTrials
from tests.ports import free_port

NODE = f"{WORKER_SERVICE}-2"
WAITING = HostWait("shop.example", 12, "next in 0.7 s, because Crawl-delay")
LIVE = LiveRecord(3, 41.5, "", (WAITING,), 0.25)


@pytest.fixture
async def worker() -> AsyncIterator[str]:
    """The address of one that crawls `shop` and the second part of `wide`."""
    running = {"shop": LIVE, "wide/1": LIVE}
    services = (crawler_worker(Lives(running.get, FakeTrials())),)
    async with serve_grpc("127.0.0.1:0", services, grace_s=0.1) as listening:
        yield listening.address


async def ask(http: aiohttp.ClientSession, name: str) -> list[Mapping[str, Any]]:
    async with http.get(f"/crawler/resource/{name}/live") as response:
        assert response.status == 200
        parts: list[Mapping[str, Any]] = (await response.json())["parts"]
        return parts


async def test_its_worker_tells(
    cluster: FakeCluster, http: aiohttp.ClientSession, worker: str
) -> None:
    cluster.master.worker = (NODE, worker)
    cluster.master.put("shop", "{}")
    [told] = await ask(http, "shop")
    assert (told["part"], told["node"], told["trouble"]) == (0, NODE, "")
    host = {"host": WAITING.host, "queued": WAITING.queued, "reason": WAITING.reason}
    assert told["live"] == {
        "active": 3, "pages_per_s": 41.5, "waiting": "", "hosts": [host], "latency_s": 0.25,
    }  # fmt: skip


async def test_what_does_not_tell_says_why(
    cluster: FakeCluster, http: aiohttp.ClientSession, worker: str
) -> None:
    cluster.master.worker = (NODE, worker)
    cluster.master.put("other", "{}")
    [told] = await ask(http, "other")
    assert told["live"] is None
    assert told["trouble"] == "other does not run here"
    cluster.master.worker = (NODE, f"127.0.0.1:{free_port()}")
    cluster.master.put("gone", "{}")
    [told] = await ask(http, "gone")
    assert told["live"] is None
    assert "connect" in told["trouble"]


async def test_each_part_is_asked_of_its_own_worker(
    cluster: FakeCluster, http: aiohttp.ClientSession, worker: str
) -> None:
    cluster.master.put("wide", "{}")
    view = cluster.master.view("wide")
    view.parts.extend([PartView(), PartView(assigned_node=NODE, address=worker)])
    [told] = await ask(http, "wide")
    assert (told["part"], told["live"]["active"]) == (1, 3)


async def test_nobody_is_asked_about_what_nobody_has(
    cluster: FakeCluster, http: aiohttp.ClientSession
) -> None:
    cluster.master.worker = None
    cluster.master.put("idle", "{}")
    assert await ask(http, "idle") == []
    async with http.get("/crawler/resource/none/live") as response:
        assert response.status == 404
