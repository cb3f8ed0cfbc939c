"""A worker that comes and goes: what it had is moved once and not to and fro."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.calls import add
from tests.acceptance.chaos.liveness import Bounds, check_moves
from tests.acceptance.chaos.recorders import EtcdRecorder
from tests.acceptance.cluster import Cluster, eventually

NAMES = 12
WORKERS = ("1", "2", "3")
FLAPPING = "/micro/registry/go.micro.server.worker/go.micro.server.worker-1"
LIMIT = "L5 no thrash"


@pytest.mark.fault(12)
@pytest.mark.timeout(180)
async def test_a_flapping_worker_moves_each_resource_twice_at_most(cluster: Cluster) -> None:
    ttl_s = cluster.ttl_s
    cluster.start_master("1")
    for name in WORKERS:
        cluster.start_worker(name)
    await cluster.wait_ready("1")
    await cluster.wait_workers(len(WORKERS))
    for number in range(NAMES):
        assert await add(cluster, "1", f"name-{number}") == 200
    worker = cluster.workers["1"]
    for _ in range(3):  # shorter than its lease lives: nobody notices
        worker.pause()
        await asyncio.sleep(ttl_s / 2)
        worker.resume()
        await asyncio.sleep(ttl_s / 3)
    assert await moves(cluster, at_most=0) == 0
    for _ in range(2):  # longer than that
        worker.pause()
        await eventually(lambda: lives(cluster, False), "end of its lease", 2 * ttl_s)
        worker.resume()
        await eventually(lambda: lives(cluster, True), "return", 2 * ttl_s)
    for _ in range(2):  # and it dies, too
        worker.kill_group()
        await eventually(lambda: lives(cluster, False), "end of its lease", 2 * ttl_s)
        worker = cluster.start_worker("1")
        await eventually(lambda: lives(cluster, True), "return", 10 * ttl_s)
    share = NAMES // len(WORKERS)
    # Every one of these times it was gone for good, as far as anybody could know.
    assert share <= await moves(cluster, at_most=2 * share) <= 2 * share


async def lives(cluster: Cluster, wanted: bool) -> bool | None:
    async with cluster.client() as etcd:
        return ((await etcd.get(FLAPPING)) is not None) == wanted or None


async def moves(cluster: Cluster, at_most: int) -> int:
    """From one worker to another, so far, by etcd's own history."""
    async with cluster.client() as etcd:
        recorder = EtcdRecorder(etcd)
        await recorder.end()
        finding = check_moves(await recorder.run(), Bounds(0, 0, at_most, 0))
    assert finding.violations == ()
    return int(finding.looked_at.partition(" ")[0])
