"""Spiders on a cluster: named through the API, found on the workers, hard to kill."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.cluster import Cluster, Site, eventually, request
from tests.acceptance.truth import PER_HOST, check_shop, show, unstored, wait_done, wait_finished
from tests.spiders import install_spider, readme_spider

DELAY_S = 0.05


async def put(cluster: Cluster, name: str, spider: str) -> None:
    wanted = {
        "spider": spider,
        "download_delay": DELAY_S,
        "concurrent_requests_per_domain": PER_HOST,
    }
    url = f"{cluster.url('1')}/crawler/resource/{name}"
    status, answer = await request("PUT", url, wanted)
    assert status in (200, 202), answer


async def test_a_spider_goes_on_where_its_worker_was_killed(
    cluster: Cluster, small_shop: Site, tmp_path: Path
) -> None:
    place = install_spider(tmp_path, "shop_of_ours", readme_spider(small_shop.url))
    installed = {"PYTHONPATH": str(place), "CRAWLER_FILES": str(tmp_path / "files")}
    cluster.start_master("1")
    cluster.start_worker("1", **installed)
    await cluster.wait_leader()
    await put(cluster, "shop", "shop")
    await wait_done(cluster, "1", 20, 30)
    cluster.workers["1"].kill_group()
    cluster.start_worker("2", **installed)
    await wait_finished(cluster, "1")
    check_shop(cluster, small_shop, unstored(1, DELAY_S))
    assert len(list((tmp_path / "files").rglob("*.*"))) == small_shop.products


async def test_a_spider_that_no_worker_has_is_an_error_with_the_way_out(cluster: Cluster) -> None:
    cluster.start_master("1")
    cluster.start_worker("1")
    await cluster.wait_leader()
    await put(cluster, "shop", "shop")

    async def ended() -> str | None:
        told = await show(cluster, "1")
        return str(told["reason"]) if told.get("state") == "error" else None

    reason = await eventually(ended, "an error", 30)
    assert reason.startswith("spider: 'shop' is not installed where the crawl runs; install")
