"""Spiders on a cluster: named through the API, found on the workers, hard to kill."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.local.site import products
from tests.acceptance.cluster import Cluster, Site, eventually, request
from tests.acceptance.flaky import BAD, PAGES, check_had, crawler, serve_flaky, wait_counted
from tests.acceptance.truth import PER_HOST, check_shop, show, unstored, wait_done, wait_finished
from tests.etcd_server import EtcdServer
from tests.postgres_server import PostgresServer
from tests.spiders import example_spider, install_spider

DELAY_S = 0.02

_STEPS = """

class Tag:
    def process_item(self, item, page):
        item["tag"] = page.url.rpartition("/")[2]
        return item


def drop_tens(item, page):
    if item["sku"].endswith("0"):
        raise DropItem("ends in 0")
    return item


Shop.pipelines = [check_price, Tag, drop_tens]
"""

_FLAKY = """
from pathlib import Path
from crawler.spider import Spider

class Shop(Spider):
    name = "shop"
    start_urls = ["{site}/"]
    custom_settings = {{"download_delay": 0, "retry_times": 0}}

    def parse(self, page):
        yield {{"title": page.css("title::text").get()}}
        yield from page.follow_all("a", self.parse_page, meta={{"from": page.url}})

    def parse_page(self, page):
        if page.url.endswith("/3") and not Path("{mended}").exists():
            return [{{}}["price"]]
        return {{"title": page.css("title::text").get(), "from": page.meta["from"]}}
"""


@pytest.fixture
def on_postgres(etcd: EtcdServer, tmp_path: Path, postgres: PostgresServer) -> Iterator[Cluster]:
    """The same as ``cluster``, with its store in PostgreSQL."""
    running = Cluster(tmp_path, etcd, postgres=postgres)
    yield running
    running.stop()


async def put(cluster: Cluster, name: str, spider: str) -> None:
    wanted = {
        "spider": spider,
        "download_delay": DELAY_S,
        "concurrent_requests_per_domain": PER_HOST,
    }
    url = f"{cluster.url('1')}/crawler/resource/{name}"
    status, answer = await request("PUT", url, wanted)
    assert status in (200, 202), answer


async def crawl_killed(cluster: Cluster, code: str) -> Path:
    """Crawl the shop by a spider whose worker is killed in the middle; where its files are."""
    place = install_spider(cluster.folder, "shop_of_ours", code)
    files = cluster.folder / "files"
    installed = {"PYTHONPATH": str(place), "CRAWLER_FILES": str(files)}
    cluster.start_master("1")
    cluster.start_worker("1", **installed)
    await cluster.wait_leader()
    await put(cluster, "shop", "shop")
    await wait_done(cluster, "1", 20, 30)
    cluster.workers["1"].kill_group()
    cluster.start_worker("2", **installed)
    await wait_finished(cluster, "1")
    return files


async def test_a_spider_goes_on_where_its_worker_was_killed(
    cluster: Cluster, small_shop: Site
) -> None:
    files = await crawl_killed(cluster, example_spider(small_shop.url))
    check_shop(cluster, small_shop, unstored(1, DELAY_S))
    assert len(list(files.glob("??/*"))) == small_shop.products


async def test_pipelines_and_files_are_as_if_nobody_had_been_killed(
    on_postgres: Cluster, small_shop: Site
) -> None:
    files = await crawl_killed(on_postgres, example_spider(small_shop.url) + _STEPS)
    with on_postgres.sql() as sql:
        items = [
            json.loads(row[0]) for row in sql.execute("SELECT CAST(fields AS TEXT) FROM items")
        ]
        told = Counter(row[0] for row in sql.execute("SELECT reason FROM pages"))
        states = {row[0] for row in sql.execute("SELECT state FROM pages")}
    wanted = {each.sku: str(each.number) for each in products(small_shop.products)}
    kept = {sku: tag for sku, tag in wanted.items() if not sku.endswith("0")}
    assert {each["sku"]: each["tag"] for each in items} == kept
    assert len(items) == len(kept)
    assert states == {"done"}
    assert told["1 item dropped by drop_tens: ends in 0"] == len(wanted) - len(kept)
    for each in items:
        body = (files / each["page"]["path"]).read_bytes()
        assert hashlib.sha256(body).hexdigest() == each["page"]["sha256"]
    assert len(list(files.glob("??/*"))) == len(wanted), "a file is half or twice there"


@pytest.mark.timeout(180)
async def test_pages_of_a_spider_are_retried(cluster: Cluster, tmp_path: Path) -> None:
    mended, file = tmp_path / "mended", tmp_path / "flaky.toml"
    file.write_text('spider = "shop"')
    async with serve_flaky() as site:
        code = _FLAKY.format(site=site.url, mended=mended)
        installed = {"PYTHONPATH": str(install_spider(tmp_path, "flaky_of_ours", code))}
        cluster.start_master("1")
        cluster.start_worker("1", **installed)
        await cluster.wait_ready("1")
        status, said = await crawler(cluster, "apply", str(file))
        assert status == 0, said
        await wait_counted(cluster, failed=len(BAD) + 2)  # one is gone, one the code does not take
        site.well = True
        status, said = await crawler(cluster, "retry", "flaky", "--status", "5xx")
        assert (status, "tries 6 failed pages again in run 1" in said) == (0, True), said
        await wait_counted(cluster, failed=2, pending=0)
        mended.touch()
        status, said = await crawler(cluster, "retry", "flaky", "--reason", "KeyError")
        assert (status, "tries 1 failed page again" in said) == (0, True), said
        await wait_counted(cluster, failed=1, done=PAGES, items=PAGES, pending=0)
        site.hits["/p/3"] -= 1  # once more, for the code
        check_had(cluster, site)
        with cluster.sql() as sql:
            texts = sql.execute("SELECT CAST(fields AS TEXT) FROM items")
            origins = Counter(json.loads(row[0]).get("from") for row in texts)
        assert origins == {None: 1, f"{site.url}/": PAGES - 1}


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
