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
from tests.spiders import install_spider

RESOURCE = "/crawler/resource"
ATTRIBUTES = 300_000
PARSE_S = 10.0  # a child that parses for longer is killed
TRIES = 3
DEADLY = "its process ended (SIGKILL)"
LATE = "(?:(?:(?:a+)+)+)+!"  # for ever, where an engine tries all ways
HANGING = """
import time
from crawler.spider import Spider

class Shop(Spider):
    name = "shop"
    start_urls = ["{site}/"]
    custom_settings = {{"robotstxt_obey": False}}

    def parse(self, page):
        time.sleep(3_600)
"""


@pytest.fixture
async def sites() -> AsyncIterator[list[str]]:
    """Four hosts. ``/attributes`` has one element with very many; ``/`` is harmless."""
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
    hosts = [f"127.0.0.{number}" for number in (1, 2, 3, 4)]
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


async def start(cluster: Cluster, name: str, **environment: str) -> None:
    cluster.start_worker(name, **environment)
    await cluster.wait_workers(int(name))


@pytest.mark.fault(28)
@pytest.mark.fault(29)
@pytest.mark.timeout(180)
async def test_a_hostile_page_fails_alone(cluster: Cluster, sites: list[str]) -> None:
    """Four workers, each with a page of its own kind: one that takes for ever, one over which a
    spider hangs, one that costs the process its life, as the kernel takes it when memory runs out,
    and one of great size."""
    cluster.start_master("1")
    await cluster.wait_ready("1")
    await start(cluster, "1", CRAWLER_FAILPOINTS="engine.in_parse=sleep(30)")
    await put(cluster, "endless", definition(f"{sites[0]}/", title="h1::text"), "1")
    place = install_spider(cluster.folder, "hanging", HANGING.format(site=sites[3]))
    await start(cluster, "2", PYTHONPATH=str(place))
    await put(cluster, "hanging", {"spider": "shop"}, "2")
    await start(cluster, "3", CRAWLER_FAILPOINTS="engine.in_parse=kill")
    await put(cluster, "deadly", definition(f"{sites[1]}/", title="h1::text"), "3")
    await start(cluster, "4")
    huge = definition(
        f"{sites[2]}/attributes", end="h2::text", never={"css": "h1::text", "re": LATE}
    )
    await put(cluster, "huge", huge, "4")
    before = await nodes(cluster)
    assert len(before) == 5
    huge_page, deadly_page, *endless_pages = await asyncio.gather(
        page_of(cluster, "huge", PARSE_S + cluster.ttl_s),
        page_of(cluster, "deadly", 10 * cluster.ttl_s),
        page_of(cluster, "endless", TRIES * (PARSE_S + 2 * cluster.ttl_s)),
        page_of(cluster, "hanging", TRIES * (PARSE_S + 2 * cluster.ttl_s)),
    )
    assert huge_page["state"] == "done"
    assert (deadly_page["state"], deadly_page["reason"]) == ("failed", DEADLY)
    ends = {(page["state"], page["reason"]) for page in endless_pages}
    assert ends == {("failed", "parse timeout")}
    assert await nodes(cluster) == before
