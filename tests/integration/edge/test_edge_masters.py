"""Real masters behind nginx, which sends what may change something straight to the leader."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from tests.acceptance.cluster import Cluster, eventually, request
from tests.etcd_server import EtcdServer
from tests.integration.edge.stage import Stage

RECEIVED = '"method": "CrawlerMaster.AddResource"'


async def test_writes_go_straight_to_the_leader_and_reads_to_all(
    nginx: Stage, tmp_path: Path, etcd: EtcdServer
) -> None:
    stage = nginx
    text = stage.toml.read_text()
    stage.toml.write_text(text.replace("# leader = true", "leader = true", 1))
    cluster = Cluster(tmp_path, etcd)
    try:
        await cluster.complete("12", "")
        stage.start_door()
        stage.start_edge()

        async def at_leader(leader: str) -> bool | None:
            own = stage.file.read_text().partition("upstream crawler_http_leader {")[2]
            first = own.partition("max_fails=0;")[0]
            return (
                cluster.url(leader).removeprefix("http://") in first and await stage.ready()
            ) or None

        leader = await cluster.wait_leader()
        await eventually(lambda: at_leader(leader), "way to the leader", 10 * cluster.ttl_s)
        other = "12".replace(leader, "")
        url = f"{stage.url}crawler/resource"
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{stage.url}crawler/events") as stream,
        ):
            for number in range(5):
                assert (await request("POST", url, {"name": f"shop-{number}"}))[0] == 202
                assert (await request("GET", url))[0] == 200
            async with asyncio.timeout(10 * cluster.ttl_s):  # as it happens, through the door
                await stream.content.readuntil(b"shop-4")
        assert cluster.masters[leader].text().count(RECEIVED) == 5
        assert RECEIVED not in cluster.masters[other].text()
        cluster.masters[leader].kill_group()
        await cluster.wait_leader(other_than=leader)
        await eventually(lambda: at_leader(other), "way to the next", 10 * cluster.ttl_s)
        assert (await request("POST", url, {"name": "shop-9"}))[0] == 202
        assert RECEIVED in cluster.masters[other].text()
    finally:
        cluster.stop()
