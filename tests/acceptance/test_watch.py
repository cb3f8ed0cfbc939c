"""What happens is pushed, and goes on at another master after the death of the one that told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.acceptance.cluster import Cluster, Site, eventually, request
from tests.acceptance.truth import shop_definition

pytestmark = pytest.mark.timeout(120)


class Stream:
    """The events of one connection; ``last`` is what a browser would send back."""

    def __init__(self, response: aiohttp.ClientResponse, last: str) -> None:
        self.last = last
        self._response = response

    async def until(self, kind: str, **wanted: Any) -> dict[str, Any]:
        """Read on to the first event of that kind that is so, as a browser does."""
        async with asyncio.timeout(40):
            event = data = ""
            async for raw in self._response.content:
                line = raw.decode().rstrip("\n")
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last = value
                elif name == "event":
                    event = value
                elif name == "data":
                    data = value
                elif not line:
                    found = json.loads(data) if data else {}
                    if event == kind and wanted.items() <= found.items():
                        return dict(found)
                    event = data = ""
        raise AssertionError(f"the stream ended without {kind} {wanted}")

    async def ended(self) -> None:
        """Return once the server has closed it."""
        await self._response.content.read()


@asynccontextmanager
async def watching(cluster: Cluster, master: str, last: str = "") -> AsyncIterator[Stream]:
    headers = {"Last-Event-ID": last} if last else {}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{cluster.url(master)}/crawler/events", headers=headers) as response,
    ):
        assert response.status == 200
        yield Stream(response, last)


async def test_events_go_on_at_another_master(cluster: Cluster, small_shop: Site) -> None:
    await cluster.complete(["1", "2"], ["1"])
    leader = await cluster.wait_leader()
    other = "2" if leader == "1" else "1"
    crawl = {**shop_definition(small_shop, 0.5), "max_pages": 4}
    path = f"{cluster.url(other)}/crawler/resource"
    async with watching(cluster, leader) as stream:
        await request("PUT", f"{path}/shop", crawl)
        await stream.until("resource_changed", name="shop", state="running")
        ended = await stream.until("task_finished", name="shop")
        assert (ended["state"], ended["run"]) == ("finished", 1)
        last = stream.last
        cluster.masters[leader].kill()
    await cluster.wait_leader(other_than=leader)

    async def added() -> bool | None:
        return (await request("PUT", f"{path}/meanwhile", crawl))[0] == 200 or None

    await eventually(added, "an answer of the new leader", 10)
    async with watching(cluster, other, last) as stream:  # it happened before
        await stream.until("leader_changed", name=other)
        await stream.until("task_finished", name="meanwhile", state="finished")
        cluster.workers["1"].kill_group()
        await stream.until("node_lost", name="go.micro.server.worker-1")
        cluster.start_worker("2")
        await stream.until("node_joined", name="go.micro.server.worker-2")
        await request("DELETE", f"{path}/shop")
        await stream.until("resource_deleted", name="shop")
        began = asyncio.get_running_loop().time()
        cluster.masters[other].terminate()
        await stream.ended()
        assert cluster.masters[other].wait() == 0
        assert asyncio.get_running_loop().time() - began < 4
