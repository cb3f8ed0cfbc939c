"""Pages that hang or kill whoever parses them: they fail with a reason, and the worker stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import web

from tests.acceptance.cluster import Cluster, eventually, request
from tests.acceptance.truth import show
from tests.ports import free_port

RESOURCE = "/crawler/resource"
ATTRIBUTES = 300_000
PARSE_S = 10.0  # a child that parses for longer is killed
TRIES = 3
DEADLY = "its process ended (SIGKILL)"
LATE = "(?:(?:(?:a+)+)+)+!"  # for ever, where an engine tries all ways


@pytest.fixture
async def sites() -> AsyncIterator[list[str]]:
    """Three hosts. ``/attributes`` has one element with very many; ``/`` is harmless."""
    attributes = " ".join(f"a{number}=x" for number in range(ATTRIBUTES))
    texts = {
        "/": "<h1>fine</h1>",
        "/attributes": f"<h1 {attributes}>{'a' * 100_000}</h1><h2>end</h2>",
    }

    async def answer(asked: web.Request) -> web.Response:
        return web.Response(text=texts[asked.path], content_type="text/html")

    app = web.Application()
    app.router.add_get("/{page:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = free_port()
    hosts = [f"127.0.0.{number}" for number in (1, 2, 3)]
    for host in hosts:
        await web.TCPSite(runner, host, port).start()
    yield [f"http://{host}:{port}" for host in hosts]
    await runner.cleanup()


def definition(url: str, **fields: Any) -> Mapping[str, Any]:
    return {
        "start_urls": [url],
        "robotstxt_obey": False,
        "rules": [{"match": url, "item": fields}],
    }


async def put(cluster: Cluster, name: str, wanted: Mapping[str, Any], worker: str) -> None:
    """Put it, and return once that worker has it."""
    url = f"{cluster.url('1')}{RESOURCE}/{name}"
    status, answer = await request("PUT", url, wanted)
    assert status == 200, answer

    async def given() -> bool | None:
        node = str((await show(cluster, "1", name)).get("assigned_node"))
        return node.endswith(f"worker-{worker}") or None

    await eventually(given, f"assignment to worker {worker}", cluster.ttl_s)


async def page_of(cluster: Cluster, name: str, limit_s: float) -> Mapping[str, Any]:
    """The one page of a crawl, once that is over."""

    async def over() -> bool | None:
        return (await show(cluster, "1", name)).get("state") == "finished" or None

    await eventually(over, f"end of {name}", limit_s)
    _, answer = await request("GET", f"{cluster.url('1')}{RESOURCE}/{name}/pages")
    (page,) = answer["pages"]
    return dict(page)


async def nodes(cluster: Cluster) -> dict[str, int]:
    async with cluster.client() as etcd:
        kvs = (await etcd.range("/micro/")).kvs
    return {kv.key: kv.create_revision for kv in kvs}


async def start(cluster: Cluster, name: str, failpoints: str = "") -> None:
    cluster.start_worker(name, CRAWLER_FAILPOINTS=failpoints)
    await cluster.wait_workers(int(name))


@pytest.mark.fault(28)
@pytest.mark.fault(29)
@pytest.mark.timeout(180)
async def test_a_hostile_page_fails_alone(cluster: Cluster, sites: list[str]) -> None:
    """Three workers, each with a page of its own kind: one that takes for ever, one that costs the
    process its life, as the kernel takes it when memory runs out, and one of great size."""
    cluster.start_master("1")
    await cluster.wait_ready("1")
    await start(cluster, "1", "engine.in_parse=sleep(30)")
    await put(cluster, "endless", definition(f"{sites[0]}/", title="h1::text"), "1")
    await start(cluster, "2", "engine.in_parse=kill")
    await put(cluster, "deadly", definition(f"{sites[1]}/", title="h1::text"), "2")
    await start(cluster, "3")
    huge = definition(
        f"{sites[2]}/attributes", end="h2::text", never={"css": "h1::text", "re": LATE}
    )
    await put(cluster, "huge", huge, "3")
    before = await nodes(cluster)
    assert len(before) == 4
    huge_page, deadly_page, endless_page = await asyncio.gather(
        page_of(cluster, "huge", PARSE_S + cluster.ttl_s),
        page_of(cluster, "deadly", 10 * cluster.ttl_s),
        page_of(cluster, "endless", TRIES * (PARSE_S + 2 * cluster.ttl_s)),
    )
    assert huge_page["state"] == "done"
    assert (deadly_page["state"], deadly_page["reason"]) == ("failed", DEADLY)
    assert (endless_page["state"], endless_page["reason"]) == ("failed", "parse timeout")
    assert await nodes(cluster) == before
