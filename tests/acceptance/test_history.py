"""A run with deaths in it, recorded as a whole and judged."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.definition import from_json
from crawler.local.site import pages, products
from tests.acceptance.chaos.history import Call, History, Kind, Outcome
from tests.acceptance.chaos.liveness import Bounds
from tests.acceptance.chaos.outcome import TrueCrawl, TruePage
from tests.acceptance.chaos.recorders import (
    EtcdRecorder,
    as_text,
    install_log,
    read_commits,
    read_items,
    read_pages,
)
from tests.acceptance.chaos.verdict import Judgement, Needs, verdict
from tests.acceptance.cluster import GRACE_S, Cluster, Site, request
from tests.acceptance.truth import PER_HOST, shop_definition, show, wait_done, wait_finished
from tests.etcd_server import EtcdServer
from tests.postgres_server import PostgresServer

DELAY_S = 0.03
BEFORE_S = 3.0  # of crawling before the first fault: whole seconds are judged
NEEDS = Needs(terms=2, refusals=0, unknown=0, ambiguous=0, compactions=0, busy=0.5)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def cluster(etcd: EtcdServer, tmp_path: Path, postgres: PostgresServer) -> Iterator[Cluster]:
    running = Cluster(tmp_path, etcd, postgres=postgres)
    yield running
    running.stop()


def shop_truth(site: Site) -> TrueCrawl:
    """What a crawl of the shop must come to. A product's old address is a page without an item that
    leads to the new one."""
    found = {url: TruePage(url) for path in pages(site.products) for url in (site.url + path,)}
    for product in products(site.products):
        old, new = site.url + product.link, site.url + product.path
        found[old] = TruePage(old, links=(new,))
        found[new] = TruePage(new, items=(as_text({"sku": product.sku, "price": product.price}),))
    return TrueCrawl(1, found, tuple(item for page in found.values() for item in page.items or ()))


async def test_a_run_with_deaths_keeps_every_promise(cluster: Cluster, small_shop: Site) -> None:
    async with cluster.client() as etcd:
        recorder = EtcdRecorder(etcd)
        recording = asyncio.create_task(recorder.run())
        began = time.time()
        for node in "12":
            cluster.start_master(node)
        await cluster.wait_ready("1", "2")
        install_log(cluster.store)
        for node in "12":
            cluster.start_worker(node)
        await cluster.wait_workers(2)
        put = await _put(cluster, small_shop)
        await wait_done(cluster, "1", int(BEFORE_S / DELAY_S), 30)
        first_fault = time.time()
        owner = str((await show(cluster, "1"))["assigned_node"]).rpartition("-")[2]
        cluster.workers[owner].kill_group()
        killed_at = time.monotonic()
        done = await wait_done(cluster, "1", 0, 10)
        await wait_done(cluster, "1", done + PER_HOST + 2, 4 * cluster.ttl_s)
        # Nobody knows when the dead one asked the host last: its heir waits one delay more.
        limit_s = cluster.ttl_s + 2 + DELAY_S + GRACE_S
        assert time.monotonic() - killed_at <= limit_s, cluster.story(first_fault)
        leader = await cluster.wait_leader()
        cluster.masters[leader].kill_group()
        other = await cluster.wait_leader(other_than=leader)
        await wait_finished(cluster, other)
        ended = time.time()
        await recorder.end()
        history = History(
            began,
            ended,
            first_fault,
            await asyncio.wait_for(recording, 10),
            read_commits(cluster.store),
            (put,),
            pages=read_pages(cluster.store),
            items=read_items(cluster.store),
        )
    bounds = Bounds(
        leaderless_s=1.0 + GRACE_S,
        orphaned_s=2.0 + GRACE_S,
        moves=1,
        overlaps=0,
    )
    found = verdict(history, {put.resource_id: shop_truth(small_shop)}, bounds, NEEDS)
    assert found.judgement is Judgement.VALID, found.table()


async def _put(cluster: Cluster, site: Site) -> Call:
    definition = shop_definition(site, DELAY_S)
    spec = from_json(json.dumps(definition)).canonical()
    invoked = time.time()
    status, answer = await request("PUT", f"{cluster.url('1')}/crawler/resource/shop", definition)
    assert status in (200, 202), answer
    return Call("c1", "shop", Kind.PUT, spec, invoked, time.time(), Outcome.OK, str(answer["id"]))
