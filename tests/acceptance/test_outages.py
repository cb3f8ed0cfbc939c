"""etcd goes away: crawling goes on, and everything recovers by itself."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.acceptance.cluster import Cluster, Site, eventually, request
from tests.acceptance.truth import check_shop, start_shop, unstored, wait_done, wait_finished
from tests.ports import free_port


@pytest.mark.timeout(300)
async def test_crawling_outlives_an_etcd_outage(cluster: Cluster, shop: Site) -> None:
    cluster.start_master("1")
    cluster.start_master("2")
    for worker in ("1", "2"):
        cluster.start_worker(worker)
    leader = await cluster.wait_leader()
    await start_shop(cluster, leader, shop, delay_s=0.05)
    await wait_done(cluster, leader, 20, 30)

    cluster.etcd.kill()
    before = sum(shop.hits().values())

    async def crawled_on() -> bool | None:
        return sum(shop.hits().values()) > before + 50 or None

    await asyncio.sleep(3 * cluster.ttl_s)  # every lease would have run out
    await eventually(crawled_on, "pages fetched without etcd", 10)
    status, answer = await request(
        "POST", cluster.url(leader) + "/crawler/resource", {"name": "nope"}
    )
    assert status in (503, 504), answer
    assert answer["message"]
    cluster.etcd.start()

    await cluster.wait_leader()

    async def takes_writes() -> bool | None:
        status, _ = await request("POST", cluster.url("2") + "/crawler/resource", {"name": "again"})
        return status == 200 or None

    await eventually(takes_writes, "a write", 2 * cluster.ttl_s + 10)
    await wait_finished(cluster, "2", 150)
    check_shop(cluster, shop, unstored(2, 0.05))


async def test_a_restarted_etcd_loses_no_event(cluster: Cluster) -> None:
    """What was added just before and after a restart reaches the worker all the same."""
    cluster.start_master("1")
    cluster.start_worker("1")
    await cluster.wait_leader()
    # Nothing listens there: each crawl is over, with one failed page, as soon as it was begun.
    definition = {
        "start_urls": [f"http://127.0.0.1:{free_port()}/"],
        "robotstxt_obey": False,
        "retry_times": 0,
    }

    async def added(name: str) -> bool | None:
        url = f"{cluster.url('1')}/crawler/resource/{name}"
        return (await request("PUT", url, definition))[0] == 200 or None

    names = [f"{when}-{number}" for number in range(3) for when in ("before", "after")]
    for name in names:
        if name.startswith("after"):
            cluster.etcd.stop()
            cluster.etcd.start()
        await eventually(partial(added, name), "an add", 30)

    async def all_seen() -> bool | None:
        async with cluster.client() as etcd:
            kvs = (await etcd.range("/crawler/status/")).kvs
        over = {kv.key.rpartition("/")[2] for kv in kvs if b"finished" in kv.value}
        return over == set(names) or None

    await eventually(all_seen, "an end of every crawl", 60)
