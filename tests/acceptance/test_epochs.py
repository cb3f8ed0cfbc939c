"""etcd forgets everything, or all since a snapshot, under a crawl that loses nothing by it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.acceptance.calls import GOOD, add, until_added
from tests.acceptance.cluster import Cluster, Site, eventually
from tests.acceptance.truth import (
    check_shop,
    show,
    start_shop,
    unstored,
    wait_done,
    wait_finished,
)

DELAY_S = 0.03


@pytest.mark.fault(20)
@pytest.mark.parametrize("loss", ["wiped", "restored"])
async def test_an_etcd_that_went_back_is_given_back_what_it_lost(
    cluster: Cluster, small_shop: Site, tmp_path: Path, loss: str
) -> None:
    # One that was restarted before, as any of some age: a fresh one begins at a lower raft term.
    await asyncio.to_thread(cluster.etcd.kill)
    await asyncio.to_thread(cluster.etcd.start)
    for name in "12":
        cluster.start_master(name)
        cluster.start_worker(name)
    await cluster.wait_ready("1", "2")
    await cluster.wait_workers(2)
    assert await add(cluster, "1", "early") in GOOD
    cluster.etcd.save(tmp_path / "snapshot")
    await start_shop(cluster, "1", small_shop, delay_s=DELAY_S)
    await wait_done(cluster, "1", 20, 30)
    epochs = count_epochs(cluster)
    await asyncio.to_thread(cluster.etcd.kill)
    if loss == "wiped":
        cluster.etcd.wipe()
    else:
        cluster.etcd.restore(tmp_path / "snapshot")
    await asyncio.to_thread(cluster.etcd.start)
    back_at = time.monotonic()
    limit_s = 2 * cluster.ttl_s + 10
    assert await until_added(cluster, "1", "late", back_at) < limit_s

    async def owned() -> bool | None:
        shown = await show(cluster, "2")
        return shown.get("state") in ("running", "finished") or None

    await eventually(owned, "owner of the crawl", limit_s)
    assert time.monotonic() - back_at < limit_s
    assert count_epochs(cluster) == epochs + 1
    await wait_finished(cluster, "2")
    check_shop(cluster, small_shop, unstored(2, DELAY_S))
    for name in ("early", "late"):
        assert (await show(cluster, "2", name))["name"] == name


def count_epochs(cluster: Cluster) -> int:
    with cluster.sql() as sql:
        return int(sql.execute("SELECT count(*) FROM epochs").fetchone()[0])
