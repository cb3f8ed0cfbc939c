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


@pytest.fixture(scope="module")
def durable() -> Iterator[PostgresServer]:
    """One for all tests here, each of which takes a schema of its own."""
    with PostgresServer(durable=True) as running:
        yield running


@pytest.fixture
def server(durable: PostgresServer) -> PostgresServer:
    """Running, whatever became of it in the test before."""
    durable.stop()
    durable.start()
    return durable


@pytest.fixture
def cluster(etcd: EtcdServer, tmp_path: Path, server: PostgresServer) -> Iterator[Cluster]:
    running = Cluster(tmp_path, etcd, postgres=server)
    yield running
    running.stop()


async def begin(cluster: Cluster, shop: Site, **environment: str) -> str:
    """A crawl under way on worker 1, which gets this environment; the number of that worker."""
    for master in "12":
        cluster.start_master(master)
    cluster.start_worker("1", **environment)
    await cluster.wait_ready("1", "2")
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
async def test_a_worker_paused_in_its_transaction(cluster: Cluster, small_shop: Site) -> None:
    """Its child stops inside a commit, and with it, after a while, the whole group."""
    busy = await begin(cluster, small_shop, CRAWLER_FAILPOINTS="store.in_commit=stop@12")

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


async def test_nodes_wait_for_the_database(cluster: Cluster, server: PostgresServer) -> None:
    server.stop()
    nodes = (cluster.start_master("1"), cluster.start_worker("1"))

    async def wait() -> bool | None:
        said = "the store is away; trying again"
        return all(said in node.text() for node in nodes) or None

    await eventually(wait, "word of the absence", 20)
    for node in nodes:
        node.terminate()
    for node in nodes:
        node.stop()
        assert node.text().count("Traceback") == 0
    again = (cluster.start_master("1"), cluster.start_worker("1"))
    await asyncio.to_thread(server.start)
    await cluster.complete("1", "1")
    assert all(node.running for node in again)
