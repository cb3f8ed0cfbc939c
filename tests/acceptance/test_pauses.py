"""Whoever wakes after losing office changes nothing."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.acceptance.cluster import GRACE_S, Cluster, Site, eventually, request
from tests.acceptance.truth import (
    PER_HOST,
    check_shop,
    show,
    start_shop,
    unstored,
    wait_done,
    wait_finished,
)
from tests.processes import GONE, STOPPED, state_of

ADDED = "/crawler/resource"


@pytest.mark.fault(2)
async def test_a_leader_paused_before_its_write_does_not_write_when_it_wakes(
    cluster: Cluster,
) -> None:
    armed = cluster.start_master("1", CRAWLER_FAILPOINTS="master.add.before_txn=stop@2")
    assert await cluster.wait_leader() == "1"
    cluster.start_master("2")
    status, answer = await request("POST", cluster.url("1") + ADDED, {"name": "first"})
    assert status == 202, answer
    # The second add stops the leader between its decision and its transaction.
    began = time.monotonic()
    late = asyncio.create_task(
        request("POST", cluster.url("1") + ADDED, {"name": "late"}, timeout_s=60)
    )
    assert await cluster.wait_leader(other_than="1") == "2"
    assert time.monotonic() - began <= cluster.ttl_s + 1 + GRACE_S
    await asyncio.sleep(cluster.ttl_s)  # the pause itself is what is tested: two TTLs in all
    armed.resume()
    status, answer = await late
    async with cluster.client() as etcd:
        record = await etcd.get("/resources/late")
    if status in (200, 202):  # forwarded to the new leader after the refusal
        assert record is not None
    else:
        assert status in (503, 504), answer
        assert record is None
    # The woken master serves as a follower.
    status, _ = await request("POST", cluster.url("1") + ADDED, {"name": "after"})
    assert status == 202, answer
    assert await cluster.leader() == "2"


@pytest.mark.fault(9)
@pytest.mark.parametrize("place", ["", "store.in_commit", "engine.in_parse"])
async def test_a_paused_worker_is_replaced_and_its_late_commit_refused(
    cluster: Cluster, small_shop: Site, place: str
) -> None:
    cluster.start_master("1")
    failpoints = f"{place}=stop@20" if place else ""
    sleeper = cluster.start_worker("1", CRAWLER_FAILPOINTS=failpoints)
    await cluster.wait_leader()
    await start_shop(cluster, "1", small_shop, delay_s=0.03)
    await wait_done(cluster, "1", 10, 30)
    cluster.start_worker("2")
    await cluster.wait_workers(2)
    if place:
        # The child has stopped itself; the supervisor follows, so that its lease ends.
        async def asleep() -> bool | None:
            return any(state_of(pid) in (STOPPED, GONE) for pid in sleeper.children()) or None

        await eventually(asleep, "pause at the failpoint", 30)
    sleeper.pause()
    paused_at = time.monotonic()

    async def moved() -> bool | None:
        return (await show(cluster, "1")).get("assigned_node", "").endswith("worker-2") or None

    await eventually(moved, "a new owner", 5 * cluster.ttl_s)
    limit_s = cluster.ttl_s + 2 + GRACE_S
    assert time.monotonic() - paused_at <= limit_s
    before = (await show(cluster, "1"))["progress"]["done"]
    await wait_done(cluster, "1", before + PER_HOST, 5 * cluster.ttl_s)
    assert time.monotonic() - paused_at <= limit_s + 3
    sleeper.resume()
    await wait_finished(cluster, "1")
    check_shop(cluster, small_shop, unstored(2, 0.03))
