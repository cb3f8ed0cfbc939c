"""Real masters behind entries that send what may change something straight to the leader."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp

from tests.acceptance.cluster import Cluster, eventually, request
from tests.etcd_server import EtcdServer
from tests.integration.edge.stage import Stage

RECEIVED = '"method": "CrawlerMaster.AddResource"'
# Who gets what may change something, by the id of a master.
TO_LEADER = {
    "nginx": r"upstream crawler_http_leader \{[^}]*max_fails=0;  # go\.micro\.server\.master-(\d)",
    "haproxy": r"use-server go\.micro\.server\.master-(\d) unless METH_GET",
}


async def leads_to(stage: Stage, leader: str) -> None:
    async def it_does() -> bool | None:
        found = re.search(TO_LEADER[stage.kind], stage.file.read_text())
        return (found is not None and found[1] == leader and await stage.ready()) or None

    await eventually(it_does, f"way of {stage.kind} to the leader", 30.0)


async def test_writes_go_straight_to_the_leader_and_reads_to_all(
    nginx: Stage, haproxy: Stage, tmp_path: Path, etcd: EtcdServer
) -> None:
    stages = (nginx, haproxy)
    cluster = Cluster(tmp_path, etcd)
    try:
        await cluster.complete("12", "")
        for stage in stages:
            text = stage.toml.read_text()
            stage.toml.write_text(text.replace("# leader = true", "leader = true", 1))
            stage.start_door()
            stage.start_edge()
        leader = await cluster.wait_leader()
        other = "12".replace(leader, "")
        for stage in stages:
            await leads_to(stage, leader)
            url = f"{stage.url}crawler/resource"
            events = f"{stage.url}crawler/events"
            async with aiohttp.ClientSession() as session, session.get(events) as stream:
                for number in range(5):
                    wanted = {"name": f"{stage.kind}-{number}"}
                    assert (await request("POST", url, wanted))[0] == 202
                    assert (await request("GET", url))[0] == 200
                async with asyncio.timeout(30.0):  # as it happens, through the door
                    await stream.content.readuntil(f"{stage.kind}-4".encode())
        assert cluster.masters[leader].text().count(RECEIVED) == 10
        assert RECEIVED not in cluster.masters[other].text()
        cluster.masters[leader].kill_group()
        await cluster.wait_leader(other_than=leader)
        for stage in stages:
            await leads_to(stage, other)
            again = {"name": f"{stage.kind}-9"}
            assert (await request("POST", f"{stage.url}crawler/resource", again))[0] == 202
        assert cluster.masters[other].text().count(RECEIVED) == 2
    finally:
        cluster.stop()
