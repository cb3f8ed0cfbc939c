"""The reference's walk-through: its flags, its curl calls, its keys."""

from __future__ import annotations

import json
import re

import aiohttp

from tests.acceptance.cluster import Cluster, eventually, request

ADDED = "/crawler/resource"


async def _raw(method: str, url: str, text: str, content_type: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, data=text, headers={"Content-Type": content_type}) as response,
    ):
        return response.status, await response.text()


async def _workers(cluster: Cluster, count: int) -> None:
    async def registered() -> bool | None:
        async with cluster.client() as etcd:
            found = await etcd.range("/micro/registry/go.micro.server.worker/")
        return len(found.kvs) == count or None

    await eventually(registered, f"{count} workers", 30)


async def test_the_reference_walk_through(cluster: Cluster) -> None:
    for master in ("1", "2", "4"):
        cluster.start_master(master)
    for worker in ("1", "2", "3"):
        cluster.start_worker(worker)
    leader = await cluster.wait_leader()
    follower = next(each for each in ("1", "2", "4") if each != leader)
    await _workers(cluster, 3)

    status, text = await _raw(
        "POST",
        cluster.url(leader) + ADDED,
        '{"id":"zjx","name": "task-test-4"}',
        "application/json",
    )
    assert status == 200
    answer = json.loads(text)
    assert list(answer) == ["id", "Address"]
    assert re.fullmatch(r"go\.micro\.server\.worker-[123]", answer["id"])
    assert re.fullmatch(r"127\.0\.0\.1:\d+", answer["Address"])

    # What curl -d sends without a header, at a follower.
    status, text = await _raw(
        "POST",
        cluster.url(follower) + ADDED,
        '{"id":"zjx","name": "task-forward"}',
        "application/x-www-form-urlencoded",
    )
    assert status == 200
    forwarded = json.loads(text)
    for process in (cluster.masters[follower], cluster.masters[leader]):
        assert "receive request" in process.text()
        assert "CrawlerMaster.AddResource" in process.text()
    assert "add resource" in cluster.masters[leader].text()

    async with cluster.client() as etcd:
        record = await etcd.get("/resources/task-forward")
        assert record is not None
        stored = json.loads(record.value)
        assert list(stored) == ["ID", "Name", "AssignedNode", "CreationTime"]
        assert stored["Name"] == "task-forward"
        assert stored["AssignedNode"] == f"{forwarded['id']}|{forwarded['Address']}"
        assert re.fullmatch(r"\d{18,19}", stored["ID"])
        node = await etcd.get(f"/micro/registry/go.micro.server.worker/{forwarded['id']}")
        assert node is not None
        service = json.loads(node.value)
        assert list(service) == ["name", "version", "metadata", "endpoints", "nodes"]
        assert service["endpoints"][0]["name"] == "Greeter.Hello"
        assert service["nodes"][0]["metadata"]["registry"] == "etcd"
        elections = (await etcd.range("/resources/election/")).kvs
        assert len(elections) == 3
        for kv in elections:
            assert re.fullmatch(r"/resources/election/[0-9a-f]+", kv.key)
            assert re.fullmatch(rb"master[124]-127\.0\.0\.1:\d+", kv.value)

    # Adding again gives the same answer; deleting again is 404, which callers count as done.
    again = await request(
        "POST", cluster.url(follower) + ADDED, {"id": "2", "name": "task-forward"}
    )
    assert again == (200, forwarded)
    gone = {"id": "2", "name": "task-forward"}
    assert await request("DELETE", cluster.url(follower) + ADDED, gone) == (200, {})
    status, _ = await request("DELETE", cluster.url(follower) + ADDED, gone)
    assert status == 404
    async with cluster.client() as etcd:
        assert await etcd.get("/resources/task-forward") is None

    status, shown = await request("GET", f"{cluster.url(follower)}{ADDED}/task-test-4")
    assert status == 200
    assert shown["reason"] == "no definition"


async def test_a_restarted_worker_takes_its_old_place_at_once(cluster: Cluster) -> None:
    cluster.start_master("1")
    await cluster.wait_leader()
    cluster.start_worker("1").kill_group()
    cluster.start_worker("1")
    await _workers(cluster, 1)
    cluster.workers["1"].kill_group()
    restarted = cluster.start_worker("1")

    async def registered() -> bool | None:
        return "registered" in restarted.text() or None

    await eventually(registered, "registration", 30)
    assert restarted.running
