"""The network breaks between hosts: one leads, crawling goes on, and nobody answers untruly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiohttp
import pytest

from tests.acceptance.calls import ANSWER_S, CLEAR, GOOD, RESOURCE, add, calling, stored
from tests.acceptance.cluster import GRACE_S, TTL_S, Site, eventually, request
from tests.acceptance.hosted import HOSTS, MASTERS, MEMBERS, WORKERS, HostedCluster
from tests.acceptance.truth import check_shop, show, start_shop, unstored, wait_done, wait_finished
from tests.etcd_server import EtcdServer
from tests.lab.network import Network

FORWARD_S = (
    3.5  # how long a follower waits for a leader that is silent, 3 s, and what noise there is
)
NOTICED_S = 3 * TTL_S + 1  # a silent watch is given up, and another has caught up


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostedCluster]:
    """Three members, three masters and two workers, on eight hosts."""
    folder = tmp_path_factory.mktemp("hosted")
    with Network(*HOSTS) as network:
        places = [network[name] for name in MEMBERS]
        with EtcdServer(places=places) as etcd:
            running = HostedCluster(folder, etcd, network)
            try:
                for name in MASTERS:
                    running.start_master(name[1:])
                for name in WORKERS:
                    running.start_worker(name[1:])
                yield running
            finally:
                running.stop()


@pytest.fixture
async def cluster(hosted: HostedCluster) -> AsyncIterator[HostedCluster]:
    """Whole, with all its nodes, before and after."""
    await whole(hosted)
    yield hosted
    hosted.network.heal()


async def whole(cluster: HostedCluster) -> None:
    """Return once every node is registered, and every master takes writes."""

    async def complete() -> bool | None:
        try:
            async with cluster.client() as etcd:
                nodes = (await etcd.range("/micro/registry/")).kvs
            answers = [await add(cluster, name[1:], "ready") for name in MASTERS]
        except (OSError, aiohttp.ClientError):
            return None
        return (len(nodes) == len(MASTERS + WORKERS) and set(answers) <= GOOD) or None

    await eventually(complete, "whole cluster", 10 * TTL_S)


@pytest.mark.fault(4)
async def test_a_leader_cut_from_etcd_is_replaced_though_followers_reach_it(
    cluster: HostedCluster,
) -> None:
    leader = await cluster.wait_leader()
    follower = next(name[1:] for name in MASTERS if name[1:] != leader)
    async with calling(cluster, follower, "row4") as calls:
        await asyncio.sleep(1)
        cluster.network.cut(f"m{leader}", *MEMBERS)
        cut_at = time.monotonic()
        await cluster.wait_leader(other_than=leader)
        assert time.monotonic() - cut_at < TTL_S + 1 + GRACE_S
        await asyncio.sleep(TTL_S)
        # The old one neither leads nor claims to, and says so in time.
        began = time.monotonic()
        assert await add(cluster, leader, "row4-refused") in CLEAR
        assert time.monotonic() - began < ANSWER_S
        assert "row4-refused" not in await stored(cluster)
        cluster.network.heal()
        await whole(cluster)
    calls.check()
    assert calls.first_good(cut_at) - cut_at < 2 * TTL_S + 2 + GRACE_S
    assert len(calls.acknowledged) > 10
    assert calls.acknowledged <= await stored(cluster)
    assert await cluster.leader() != leader


@pytest.mark.fault(5)
async def test_a_follower_cut_from_the_leader_alone_says_so_in_time(
    cluster: HostedCluster,
) -> None:
    leader = await cluster.wait_leader()
    follower, other = (name[1:] for name in MASTERS if name[1:] != leader)
    with cluster.network.cut(f"m{leader}", f"m{follower}"):
        for turn in range(2):  # over a connection that is there, and over one that is not
            began = time.monotonic()
            assert await add(cluster, follower, f"row5-{turn}") in CLEAR
            assert time.monotonic() - began < FORWARD_S
        assert await add(cluster, other, "row5-other") in GOOD
        assert await cluster.leader() == leader
        # Reads need no leader.
        status, _ = await request("GET", f"{cluster.url(follower)}{RESOURCE}/row5-other")
        assert status == 200

    async def forwarded() -> bool | None:
        return await add(cluster, follower, "row5-after") in GOOD or None

    await eventually(forwarded, "forwarded call", TTL_S + 2 + GRACE_S)


@pytest.mark.fault(17)
async def test_a_leader_in_the_minority_answers_nothing_stale(cluster: HostedCluster) -> None:
    leader = await cluster.wait_leader()
    follower = next(name[1:] for name in MASTERS if name[1:] != leader)
    minority = next(name for n, name in enumerate(MEMBERS) if n != cluster.etcd.leader())
    rest = [name for name in MEMBERS if name != minority]
    assert await add(cluster, leader, "row17") in GOOD
    cluster.network.cut(f"m{leader}", *rest)
    cluster.network.cut(minority, *rest)
    cut_at = time.monotonic()
    await cluster.wait_leader(other_than=leader)
    assert time.monotonic() - cut_at < TTL_S + 1 + GRACE_S

    async def deleted() -> bool | None:
        url = cluster.url(follower) + RESOURCE
        return (await request("DELETE", url, {"name": "row17"}))[0] in (200, 404) or None

    await eventually(deleted, "deletion", 2 * TTL_S)
    for ask in (add(cluster, leader, "row17"), read(cluster, leader, "row17")):
        began = time.monotonic()
        assert await ask in CLEAR
        assert time.monotonic() - began < ANSWER_S
    cluster.network.heal()
    await whole(cluster)
    assert await read(cluster, leader, "row17") == 404


async def read(cluster: HostedCluster, master: str, name: str) -> int:
    return (await request("GET", f"{cluster.url(master)}{RESOURCE}/{name}"))[0]


@pytest.mark.fault(26)
async def test_a_worker_behind_a_silent_watch_still_hears_of_work(cluster: HostedCluster) -> None:
    for name in WORKERS:  # anew, so that each is connected to one member, which it watches
        cluster.workers[name[1:]].stop()
        cluster.start_worker(name[1:])
    await whole(cluster)
    leader = await cluster.wait_leader()
    # Their children are up by then, however long that takes.
    await crawl_nothing(cluster, leader, "row26-before", 10 * TTL_S)
    for worker in WORKERS:
        cluster.network.cut(worker, cluster.member_of(worker))
    await crawl_nothing(cluster, leader, "row26", NOTICED_S + TTL_S)


async def crawl_nothing(
    cluster: HostedCluster, leader: str, prefix: str, limit_s: float, count: int = 4
) -> None:
    """Add crawls of an address where nothing listens, each of which is over once it was begun, and
    return when all are."""
    began = time.monotonic()
    definition = {
        "start_urls": [f"http://{cluster.network['desk'].address}:9/"],
        "robotstxt_obey": False,
        "retry_times": 0,
    }
    names = [f"{prefix}-{number}" for number in range(count)]
    for name in names:
        url = f"{cluster.url(leader)}{RESOURCE}/{name}"
        assert (await request("PUT", url, definition))[0] in GOOD

    async def over() -> bool | None:
        return {await state(cluster, leader, name) for name in names} == {"finished"} or None

    await eventually(over, "end of every crawl", limit_s)
    assert time.monotonic() - began < limit_s


async def state(cluster: HostedCluster, master: str, name: str) -> Any:
    return (await show(cluster, master, name)).get("state")


@pytest.mark.fault(10)
@pytest.mark.timeout(240)
async def test_a_worker_cut_from_etcd_crawls_until_it_is_fenced(cluster: HostedCluster) -> None:
    delay_s = 0.05
    site = Site(cluster.folder, 180, cluster.network["site"])
    try:
        leader = await cluster.wait_leader()
        await start_shop(cluster, leader, site, delay_s=delay_s)
        await wait_done(cluster, leader, 10, 30)
        owner = await owner_of(cluster, leader)
        cluster.network.cut(f"w{owner}", *MEMBERS)
        cut_at = time.monotonic()
        # Its lease still lives: it crawls as if nothing had happened.
        await asyncio.sleep(TTL_S / 2)
        before = (await show(cluster, leader))["progress"]["done"]
        await wait_done(cluster, leader, before + 10, TTL_S)

        async def moved() -> bool | None:
            return await owner_of(cluster, leader) != owner or None

        await eventually(moved, "another owner", 3 * TTL_S)
        assert time.monotonic() - cut_at < TTL_S + 2 + GRACE_S

        async def fenced() -> bool | None:
            return "fenced" in cluster.workers[owner].text().casefold() or None

        await eventually(fenced, "end of the old owner's crawl", TTL_S)
        assert cluster.workers[owner].running
        cluster.network.heal()
        await whole(cluster)
        await wait_finished(cluster, leader, 60)
        check_shop(cluster, site, unstored(1, delay_s))
    finally:
        site.process.kill_group()


async def owner_of(cluster: HostedCluster, master: str) -> str:
    shown: Mapping[str, Any] = await show(cluster, master)
    return str(shown.get("assigned_node", "")).rpartition("-")[2]
