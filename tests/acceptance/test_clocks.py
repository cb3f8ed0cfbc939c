"""The wall clock steps by an hour, on one node or on all: nothing happens."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

from tests.acceptance.cluster import Cluster, Site
from tests.acceptance.truth import check_shop, show, start_shop, wait_done, wait_finished
from tests.lab.wallclock import WallClock

HOUR_S = 3600.0
STEP_EVERY_S = 0.1  # less than a page waits for its commit


async def keys_of_nodes(cluster: Cluster) -> Mapping[str, int]:
    """Who is registered and who stands for election, and since which revision."""
    async with cluster.client() as etcd:
        snapshots = [await etcd.range(each) for each in ("/micro/", "/resources/election/")]
    return {kv.key: kv.create_revision for snapshot in snapshots for kv in snapshot.kvs}


async def keep_stepping(clock: WallClock) -> NoReturn:
    """To and fro, between most visits and their commits."""
    for step_s in itertools.cycle((HOUR_S, -HOUR_S)):
        clock.step(step_s)
        await asyncio.sleep(STEP_EVERY_S)
    raise AssertionError("a cycle ended")


@pytest.mark.fault(27)
async def test_steps_of_the_wall_clock_change_nothing(
    cluster: Cluster, small_shop: Site, tmp_path: Path
) -> None:
    clock = WallClock(tmp_path)
    cluster.start_master("1", **clock.environment)
    await cluster.wait_leader()
    cluster.start_master("2")
    cluster.start_worker("1", **clock.environment)
    await start_shop(cluster, "1", small_shop, delay_s=0.01)
    done = await wait_done(cluster, "1", 10, 30)
    before = await keys_of_nodes(cluster)
    assert len(before) == 5
    for step_s in (HOUR_S, -HOUR_S, HOUR_S, 0.0):
        clock.step(step_s)
        done = await wait_done(cluster, "2", done + 40, 4 * cluster.ttl_s)
    stepping = asyncio.create_task(keep_stepping(clock))
    await wait_finished(cluster, "1", 60)
    stepping.cancel()
    assert await keys_of_nodes(cluster) == before
    assert (await show(cluster, "2"))["state"] == "finished"
    check_shop(cluster, small_shop, 0)
