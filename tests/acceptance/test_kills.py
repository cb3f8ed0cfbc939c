"""kill -9 of whoever crawls: nothing lost, nothing twice, and somebody goes on in time."""

from __future__ import annotations

import os
import signal
import statistics
import time

import pytest

from tests.acceptance.cluster import GRACE_S, Cluster, Process, Site, eventually
from tests.acceptance.truth import (
    PER_HOST,
    check_shop,
    show,
    start_shop,
    unstored,
    wait_done,
    wait_finished,
)
from tests.processes import GONE, state_of

DELAY_S = 0.05


async def _busy(cluster: Cluster, master: str = "1") -> Process:
    async def owner() -> Process | None:
        node = (await show(cluster, master)).get("assigned_node", "")
        worker = cluster.workers.get(node.rpartition("-")[2])
        return worker if worker is not None and worker.running else None

    return await eventually(owner, "a busy worker", 10 * cluster.ttl_s)


async def _resumed(cluster: Cluster) -> float:
    """Seconds until a page is committed that was not committed at the kill."""
    began = time.monotonic()
    before = (await show(cluster, "1"))["progress"]["done"]
    # What was being committed at the kill may still land: two more commits are a new owner's.
    await wait_done(cluster, "1", before + PER_HOST + 1, 10 * cluster.ttl_s)
    return time.monotonic() - began


async def _kill_supervisor(worker: Process) -> None:
    """Alone: its children must not outlive it."""
    children = worker.children()
    assert children
    worker.kill()

    async def gone() -> bool | None:
        return not any(state_of(pid) != GONE for pid in children) or None

    await eventually(gone, "end of the children", 2)


async def _start(cluster: Cluster, shop: Site, workers: int) -> None:
    cluster.start_master("1")
    for worker in range(1, workers + 1):
        cluster.start_worker(str(worker))
    await cluster.wait_leader()
    await cluster.wait_workers(workers)
    await start_shop(cluster, "1", shop, delay_s=DELAY_S)
    await wait_done(cluster, "1", 20, 30)


@pytest.mark.fault(8)
@pytest.mark.timeout(300)
async def test_kills_of_the_busy_worker_in_one_crawl(cluster: Cluster, shop: Site) -> None:
    await _start(cluster, shop, workers=4)
    kills = 4
    took = []
    for turn in range(kills):
        await cluster.wait_workers(2)  # who is to take over must not have to start first
        worker = await _busy(cluster)
        killed = time.time()
        if turn % 2:
            worker.kill_group()
        else:
            await _kill_supervisor(worker)
        took.append(await _resumed(cluster))
        assert took[-1] <= 3 * cluster.ttl_s, cluster.story(killed)
        cluster.start_worker(worker.name.rpartition("-")[2])
    await wait_finished(cluster, "1")
    check_shop(cluster, shop, unstored(kills, DELAY_S))
    assert statistics.median(took) <= cluster.ttl_s + 2, took


@pytest.mark.timeout(180)
async def test_a_killed_child_is_replaced_and_a_clean_stop_hands_over_quickly(
    cluster: Cluster, shop: Site
) -> None:
    await _start(cluster, shop, workers=2)
    kills = 3
    for _ in range(kills):
        worker = await _busy(cluster)
        victims = worker.children()
        assert victims
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        # No worse than a whole worker's death.
        assert await _resumed(cluster) <= cluster.ttl_s + 2 + GRACE_S
    worker = await _busy(cluster)
    assert worker.stop() == 0
    assert await _resumed(cluster) <= 2 + GRACE_S
    await wait_finished(cluster, "1")
    check_shop(cluster, shop, unstored(kills + 1, DELAY_S))
