"""A cluster on PostgreSQL: nobody's death, pause or absence loses or doubles anything."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.cluster import GRACE_S, Cluster, Site, eventually, request
from tests.acceptance.truth import (
    check_shop,
    show,
    start_shop,
    unstored,
    wait_done,
    wait_finished,
)
from tests.etcd_server import EtcdServer
from tests.lab.proxy import open_proxy
from tests.postgres_server import PostgresServer
from tests.processes import STOPPED, state_of

DELAY_S = 0.05

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with PostgresServer(durable=True) as running:
        yield running


@pytest.fixture
def cluster(etcd: EtcdServer, tmp_path: Path, server: PostgresServer) -> Iterator[Cluster]:
    running = Cluster(tmp_path, etcd, postgres=server)
    yield running
    running.stop()


async def begin(cluster: Cluster, shop: Site, **environment: str) -> str:
    """A crawl under way on worker 1, which gets this environment; the number of that worker."""
    for master in "12":
        cluster.start_master(master)
    await cluster.wait_ready("1", "2")
    cluster.start_worker("1", **environment)
    await start_shop(cluster, "1", shop, delay_s=DELAY_S)
    await wait_done(cluster, "1", 20, 30)
    for worker in "23":
        cluster.start_worker(worker)
    await cluster.wait_workers(3)  # who is to take over must not have to start first
    return await owner(cluster)


async def owner(cluster: Cluster, other_than: str = "") -> str:
    async def found() -> str | None:
        node = str((await show(cluster, "1")).get("assigned_node", "")).rpartition("-")[2]
        return node if node != other_than else None

    return await eventually(found, "an owner", 10 * cluster.ttl_s)


async def test_deaths_of_a_worker_and_of_the_leader(cluster: Cluster, small_shop: Site) -> None:
    busy = await begin(cluster, small_shop)
    cluster.workers[busy].kill_group()
    began, killed = time.monotonic(), time.time()
    before = await wait_done(cluster, "1", 0, 10)
    await wait_done(cluster, "1", before + 6, 4 * cluster.ttl_s)
    # Nobody knows when the dead one asked the host last: its heir waits one delay more.
    limit_s = cluster.ttl_s + 2 + DELAY_S + GRACE_S
    assert time.monotonic() - began <= limit_s, cluster.story(killed)
    leader = await cluster.leader()
    assert leader is not None
    cluster.masters[leader].kill_group()
    other = "2" if leader == "1" else "1"
    await wait_finished(cluster, other)
    check_shop(cluster, small_shop, unstored(1, DELAY_S))


async def test_the_server_is_killed_twice_in_one_crawl(
    cluster: Cluster, small_shop: Site, server: PostgresServer
) -> None:
    await begin(cluster, small_shop)
    for number in (signal.SIGKILL, signal.SIGINT):
        before = await wait_done(cluster, "1", 20, 30)
        await asyncio.to_thread(server.stop, number)
        await asyncio.sleep(cluster.ttl_s)  # an absence that every call notices
        await asyncio.to_thread(server.start)
        began = time.monotonic()
        await wait_done(cluster, "1", before + 10, 4 * cluster.ttl_s)
        assert time.monotonic() - began <= 5 + GRACE_S
    await wait_finished(cluster, "1")
    check_shop(cluster, small_shop, unstored(2, DELAY_S) + 20)


@pytest.mark.fault(9)
@pytest.mark.parametrize("place", ["store.in_commit", "store.before_commit"])
async def test_a_worker_paused_in_its_transaction(
    cluster: Cluster, small_shop: Site, place: str
) -> None:
    """Its child stops inside a commit, and with it, after a while, the whole group."""
    busy = await begin(cluster, small_shop, CRAWLER_FAILPOINTS=f"{place}=stop@12")

    async def stopped() -> bool | None:
        states = [state_of(pid) for pid in cluster.workers[busy].children()]
        return STOPPED in states or None

    await eventually(stopped, "a child that stands still", 60)
    cluster.workers[busy].pause()
    began = time.monotonic()
    await owner(cluster, other_than=busy)
    before = await wait_done(cluster, "1", 0, 10)
    await wait_done(cluster, "1", before + 6, 6 * cluster.ttl_s)
    assert time.monotonic() - began <= cluster.ttl_s + 2 + 3 + GRACE_S
    cluster.workers[busy].resume()
    await wait_finished(cluster, "1")
    check_shop(cluster, small_shop, unstored(2, DELAY_S))


@pytest.mark.fault(11)
async def test_a_worker_cut_from_the_database_alone_gives_its_work_away(
    cluster: Cluster, small_shop: Site, server: PostgresServer
) -> None:
    """Its lease lives and its hosts answer, so that only its own word tells of it."""
    ttl_s, worker = cluster.ttl_s, "go.micro.server.worker-1"
    async with open_proxy(server.address, server.port) as proxy:
        way = cluster.store.replace(f":{server.port}/", f":{proxy.port}/")
        assert await begin(cluster, small_shop, CRAWLER_STORE=way) == "1"
        registered = await registration(cluster, worker)
        proxy.swallow()
        cut_at = time.monotonic()
        await eventually(lambda: trouble(cluster, worker), "word of the trouble", 2 * ttl_s)
        # What was fetched meanwhile could not be kept: nothing more is.
        await asyncio.sleep(max(0.0, cut_at + 2 * ttl_s - time.monotonic()))
        fetched = small_shop.hits()
        await owner(cluster, other_than="1")
        assert time.monotonic() - cut_at <= 3 * ttl_s + 2 + GRACE_S
        assert small_shop.hits() - fetched == Counter()
        before = await wait_done(cluster, "1", 0, 10)
        await wait_done(cluster, "1", before + 6, ttl_s + 2 + GRACE_S)
        assert await registration(cluster, worker) == registered
        proxy.heal()

        async def well() -> bool | None:
            return not await trouble(cluster, worker) or None

        await eventually(well, "word of the end of the trouble", 2 * ttl_s)
        await wait_finished(cluster, "1")
    check_shop(cluster, small_shop, unstored(1, DELAY_S) + round(2 * ttl_s / DELAY_S))


async def registration(cluster: Cluster, node: str) -> int:
    """Since which revision it has been registered."""
    async with cluster.client() as etcd:
        kv = await etcd.get(f"/micro/registry/go.micro.server.worker/{node}")
    assert kv is not None, f"{node} lost its lease"
    return kv.create_revision


async def trouble(cluster: Cluster, node: str) -> str:
    """What keeps it from its work, as the masters know."""
    _, answer = await request("GET", f"{cluster.url('1')}/crawler/node")
    return next(str(each["trouble"]) for each in answer["nodes"] if each["id"] == node)


@pytest.mark.parametrize("role", ["master", "worker"])
async def test_a_node_waits_for_the_database(
    cluster: Cluster, server: PostgresServer, role: str
) -> None:
    server.stop()
    start = cluster.start_master if role == "master" else cluster.start_worker
    node = start("1")

    async def waits() -> bool | None:
        return "the store is away; trying again" in node.text() or None

    async def registered() -> bool | None:
        async with cluster.client() as etcd:
            return bool((await etcd.range("/micro/registry/")).kvs) or None

    await eventually(waits, "word of the absence", 20)
    node.stop()
    assert node.text().count("Traceback") == 0
    again = start("1")
    await asyncio.to_thread(server.start)
    await eventually(registered, "registration", 20)
    assert again.running
