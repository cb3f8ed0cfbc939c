"""A storm of calls while leaders die: what was answered is so, what failed can be repeated."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from itertools import cycle

import aiohttp
import pytest

from tests.acceptance.cluster import Cluster

RESOURCE = "/crawler/resource"
CLEAR = {429, 503, 504}


async def _call(
    session: aiohttp.ClientSession, method: str, url: str, name: str
) -> tuple[int, dict[str, object]]:
    """Status and body; -1 where the connection broke, which leaves the outcome unknown."""
    try:
        async with session.request(method, url + RESOURCE, json={"name": name}) as response:
            return response.status, json.loads(await response.text())
    except (aiohttp.ClientError, TimeoutError):
        return -1, {}


async def _until_definite(
    session: aiohttp.ClientSession, method: str, urls: Sequence[str], name: str
) -> tuple[int, dict[str, object]]:
    for url in [*urls] * 30:
        status, body = await _call(session, method, url, name)
        if status not in CLEAR and status != -1:
            return status, body
        await asyncio.sleep(0.2)
    raise AssertionError(f"{method} {name}: no definite answer")


async def _stored(cluster: Cluster) -> dict[str, dict[str, str]]:
    async with cluster.client() as etcd:
        kvs = (await etcd.range("/resources/")).kvs
    return {
        kv.key.removeprefix("/resources/"): json.loads(kv.value)
        for kv in kvs
        if not kv.key.startswith("/resources/election/")
    }


async def _masters(cluster: Cluster) -> tuple[str, list[str]]:
    for master in ("1", "2", "3"):
        cluster.start_master(master)
    cluster.start_worker("1")
    leader = await cluster.wait_leader()
    return leader, [cluster.url(each) for each in cluster.masters if each != leader]


@pytest.mark.timeout(240)
async def test_a_thousand_adds_while_the_leader_dies(cluster: Cluster) -> None:
    leader, followers = await _masters(cluster)
    names = [f"storm-{number}" for number in range(1000)]
    gate = asyncio.Semaphore(50)
    answered = asyncio.Event()
    results: dict[str, tuple[int, dict[str, object]]] = {}

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session:

        async def add(name: str, url: str) -> None:
            async with gate:
                results[name] = await _call(session, "POST", url, name)
            if sum(status in (200, 202) for status, _ in results.values()) >= 200:
                answered.set()

        async def kill() -> None:
            await answered.wait()
            cluster.masters[leader].kill()

        async with asyncio.TaskGroup() as group:
            group.create_task(kill())
            for name, url in zip(names, cycle(followers), strict=False):
                group.create_task(add(name, url))

        stored = await _stored(cluster)
        statuses = Counter(status for status, _ in results.values())
        assert set(statuses) <= {200, 202, -1} | CLEAR, statuses
        acknowledged = {name for name, (status, _) in results.items() if status in (200, 202)}
        assert len(acknowledged) >= 200
        assert acknowledged <= set(stored)
        for name in results.keys() - acknowledged:
            status, body = results[name]
            assert status == -1 or body["message"], "a failure without a word"
        # Repeating everything changes nothing that was acknowledged, and completes the rest.
        for name in sorted(results.keys() - acknowledged):
            status, _ = await _until_definite(session, "POST", followers, name)
            assert status in (200, 202)
        after = await _stored(cluster)
    assert set(after) == set(names)
    assert len({record["ID"] for record in after.values()}) == len(names)
    assert all(after[name]["ID"] == stored[name]["ID"] for name in acknowledged)


@pytest.mark.timeout(240)
async def test_adds_and_deletes_of_the_same_names_while_the_leader_dies(
    cluster: Cluster,
) -> None:
    leader, followers = await _masters(cluster)
    names = [f"turn-{number}" for number in range(20)]
    dead = asyncio.Event()

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session:

        async def turn(name: str, url: str) -> None:
            """Add, delete and add again, each until it is certain."""
            for method in ("POST", "DELETE", "POST", "DELETE", "POST"):
                status, body = await _until_definite(session, method, [url], name)
                if method == "POST":
                    assert status in (200, 202), body
                else:
                    assert status in (200, 404), body
            dead.set()

        async def kill() -> None:
            await dead.wait()
            cluster.masters[leader].kill()

        async with asyncio.TaskGroup() as group:
            group.create_task(kill())
            for name, url in zip(names, cycle(followers), strict=False):
                group.create_task(turn(name, url))
    stored = await _stored(cluster)
    assert set(stored) == set(names)
    assert len({record["ID"] for record in stored.values()}) == len(names)
