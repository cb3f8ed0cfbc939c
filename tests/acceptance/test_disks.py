"""The disk under the store is full: the crawl waits, and goes on by itself when there is room."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.acceptance.cluster import Cluster, Site
from tests.acceptance.truth import (
    check_shop,
    show,
    start_shop,
    unstored,
    wait_done,
    wait_finished,
)
from tests.integration.store.small_disk import small_disk

DELAY_S = 0.05
RESUMED_S = 10.0


@pytest.mark.fault(23)
async def test_a_crawl_waits_for_room_on_the_disk(cluster: Cluster, small_shop: Site) -> None:
    with small_disk(megabytes=40) as disk:
        cluster.database = disk.directory / "store.db"
        cluster.store = f"sqlite:///{cluster.database}"
        try:
            cluster.start_master("1")
            cluster.start_worker("1")
            await cluster.wait_ready("1")
            await start_shop(cluster, "1", small_shop, delay_s=DELAY_S)
            await wait_done(cluster, "1", 20, 30)
            disk.fill()
            await asyncio.sleep(cluster.ttl_s)  # what had been written to the log's room is told of
            full = await show(cluster, "1")
            fetched = small_shop.hits()
            await asyncio.sleep(cluster.ttl_s)
            assert (await show(cluster, "1"))["progress"] == full["progress"]
            assert small_shop.hits() == fetched
            assert full["state"] == "running"
            disk.empty()
            freed_at = time.monotonic()
            await wait_done(cluster, "1", full["progress"]["done"] + 10, 2 * RESUMED_S)
            assert time.monotonic() - freed_at < RESUMED_S
            await wait_finished(cluster, "1")
            check_shop(cluster, small_shop, unstored(1, DELAY_S))
        finally:
            cluster.stop()
