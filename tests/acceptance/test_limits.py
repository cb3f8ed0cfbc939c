"""An etcd that can hardly write, and one that cannot write at all, under a cluster with a crawl."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.calls import ANSWER_S, GOOD, RESOURCE, add, until_added
from tests.acceptance.cluster import Cluster, Site, eventually, request
from tests.acceptance.truth import start_shop, wait_done
from tests.etcd_server import EtcdServer
from tests.lab.sluggish import sluggish

TTL_S = 5
DELAY_S = 0.1
SPACE = 8_000_000


class Stage:
    """Two masters, two workers and a long crawl."""

    def __init__(self, folder: Path, etcd: EtcdServer) -> None:
        self.etcd = etcd
        self.cluster = Cluster(folder, etcd, TTL_S)
        self.site = Site(folder, 3000)

    async def begin(self) -> None:
        for name in "12":
            self.cluster.start_master(name)
            self.cluster.start_worker(name)
        await self.cluster.wait_ready("1", "2")
        await self.cluster.wait_workers(2)
        await start_shop(self.cluster, "1", self.site, delay_s=DELAY_S)
        await wait_done(self.cluster, "1", 10, 30)

    async def crawls_on(self, seconds: float) -> None:
        """Return once as many pages were fetched as the delay lets pass in so long."""
        before = sum(self.site.hits().values())

        async def enough() -> bool | None:
            return sum(self.site.hits().values()) > before + seconds / DELAY_S or None

        await eventually(enough, "pages", 3 * seconds)

    async def leases(self) -> dict[str, int]:
        """All nodes and candidates, each with the revision since which it has been there."""
        async with self.cluster.client() as etcd:
            found = [await etcd.range(each) for each in ("/micro/", "/resources/election/")]
        return {kv.key: kv.create_revision for each in found for kv in each.kvs}

    def close(self) -> None:
        self.cluster.stop()
        self.site.process.kill_group()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with EtcdServer(extra=(f"--quota-backend-bytes={SPACE}",)) as etcd:
        running = Stage(tmp_path_factory.mktemp("limits"), etcd)
        try:
            asyncio.run(running.begin())
            yield running
        finally:
            running.close()


@pytest.mark.fault(18)
async def test_a_slow_etcd_costs_time_and_no_lease(stage: Stage) -> None:
    """Slower than a disk of ten writes a second makes it: keepalives and reads wait, too."""
    before = await stage.leases()
    assert len(before) == 6
    took: list[float] = []
    with sluggish(stage.etcd.pid(), stands_s=0.6, runs_s=0.02):
        ends_at = time.monotonic() + 2 * TTL_S
        while time.monotonic() < ends_at:
            began = time.monotonic()
            assert await add(stage.cluster, "1", f"row18-{len(took)}") in GOOD
            took.append(time.monotonic() - began)
        await stage.crawls_on(1)
    assert max(took) < ANSWER_S
    assert len(took) < 10 * sum(took), "etcd took ten writes a second"
    assert await stage.leases() == before


@pytest.mark.fault(19)
async def test_an_etcd_without_space_refuses_changes_while_the_crawl_goes_on(stage: Stage) -> None:
    before = await stage.leases()
    fill(stage.etcd)
    status, answer = await request(
        "POST", stage.cluster.url("2") + RESOURCE, {"name": "row19"}, timeout_s=2 * ANSWER_S
    )
    assert (status, answer["code"]) == (429, 8), answer
    assert "compact, defragment and disarm" in answer["message"]
    await stage.crawls_on(TTL_S)
    assert await stage.leases() == before
    make_room(stage.etcd)
    assert await until_done(stage, "row19") <= 2 * TTL_S
    assert await stage.leases() == before


async def until_done(stage: Stage, name: str) -> float:
    return await until_added(stage.cluster, "2", name, time.monotonic())


def fill(etcd: EtcdServer) -> None:
    """Write until etcd raises the alarm."""
    text = "z" * 100_000
    for number in range(2 * SPACE // len(text)):
        try:
            etcd.ctl("put", f"/ballast/{number}", text)
        except RuntimeError:
            break
    assert "NOSPACE" in etcd.ctl("alarm", "list")


def make_room(etcd: EtcdServer) -> None:
    """What the runbook says."""
    etcd.ctl("del", "--prefix", "/ballast/")
    told = etcd.ctl("endpoint", "status", "-w", "fields")
    found = re.search(r'"Revision" : (\d+)', told)
    assert found is not None
    etcd.ctl("compact", found[1])
    etcd.ctl("defrag")
    etcd.ctl("alarm", "disarm")
