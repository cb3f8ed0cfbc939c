"""A site that does not change is crawled again: asked for every page, it sends none of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from crawler.app import here
from crawler.clock import SystemClock
from crawler.config import sqlite_url
from crawler.definition import from_data
from crawler.model import ItemRecord, RunRecord
from crawler.store import open_store
from tests.integration.app.alone import run_alone
from tests.integration.engine.servers import serving

PRODUCTS = 60
PER_PAGE = 10
PAGES = 1 + PRODUCTS // PER_PAGE + PRODUCTS
MOVED = 7  # the product behind a redirect


class Shop:
    """A shop with ETags. ``bodies`` and ``spared`` count pages that were sent and answers 304."""

    def __init__(self) -> None:
        self.bodies: Counter[str] = Counter()
        self.spared: Counter[str] = Counter()
        self.prices: dict[int, int] = {}
        self.unlinked: set[int] = set()
        self.halfway = asyncio.Event()  # as many pages were spared

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == f"/old/{MOVED}":
            raise web.HTTPMovedPermanently(f"/product/{MOVED}")
        text = self.text(request)
        if text is None:
            return web.Response(status=404)
        etag = f'"{hashlib.sha256(text.encode()).hexdigest()}"'
        headers = {"ETag": etag, "Content-Type": "text/html; charset=utf-8"}
        if request.headers.get("If-None-Match") == etag:
            self.spared[request.path_qs] += 1
            if self.spared.total() >= PRODUCTS // 2:
                self.halfway.set()
            return web.Response(status=304, headers=headers)
        self.bodies[request.path_qs] += 1
        return web.Response(text=text, headers=headers)

    def text(self, request: web.Request) -> str | None:
        _, kind, name = f"{request.path}/".split("/")[:3]
        if not kind:
            return "<nav><a href=/list>all</a></nav>"
        if kind == "list":
            page = int(request.query.get("page", "0"))
            numbers = range(page * PER_PAGE, (page + 1) * PER_PAGE)
            more = f'<a rel=next href="?page={page + 1}">' if numbers.stop < PRODUCTS else ""
            linked = [n for n in numbers if n not in self.unlinked]
            cards = (f"/{'old' if n == MOVED else 'product'}/{n}" for n in linked)
            return f"<h1>page {page}</h1>{more}" + "".join(
                f"<a class=card href={c}>" for c in cards
            )
        if kind == "product":
            return f"<h1>product {name}</h1><b>{self.prices.get(int(name), 5)}.50</b>"
        return None


def definition(origin: str, **settings: Any) -> Mapping[str, Any]:
    product = {
        "name": {"css": "h1::text", "required": True},
        "price": {"css": "b::text", "type": "decimal"},
        "colour": {"css": "i::text", "required": True},
        "list": {"carry": "list"},
    }
    card = {"css": "a.card", "to": "product", "carry": {"list": "h1::text"}}
    return {
        "start_urls": [f"{origin}/"],
        "download_delay": 0.02,
        "rules": [
            {"match": f"{origin}/", "follow": [{"css": "nav a", "to": "list"}]},
            {"name": "list", "next": "a[rel=next]", "follow": [card]},
            {"name": "product", "item": product},
        ],
        **settings,
    }


Items = dict[tuple[str, int], tuple[Mapping[str, Any], tuple[str, ...]]]


class Kept:
    """What a database keeps of its one resource, read beside the worker."""

    def __init__(self, database: Path) -> None:
        self._url = sqlite_url(database)

    async def runs(self) -> Mapping[int, RunRecord]:
        store = await open_store(self._url, SystemClock())
        try:
            (resource,) = await store.mirrored()
            return await store.runs(resource.id)
        finally:
            await store.close()

    async def items(self, run: int) -> Items:
        """By URL and place: the fields, and which are missing."""
        store = await open_store(self._url, SystemClock())
        try:
            (resource,) = await store.mirrored()
            found = await store.items(resource.id, run=run, limit=1000)
            return {_key(each): (each.fields, each.missing) for each in found}
        finally:
            await store.close()

    async def finished(self, run: int, timeout_s: float = 60.0) -> RunRecord:
        """The record of the run, once it is over."""
        async with asyncio.timeout(timeout_s):
            while True:
                record = (await self.runs()).get(run)
                if record is not None and record.progress.finished:
                    return record
                await asyncio.sleep(0.1)


def _key(item: ItemRecord) -> tuple[str, int]:
    return item.url, item.ordinal


async def test_a_recrawl_of_an_unchanged_site_outlives_kill_9_and_sends_no_page_twice(
    tmp_path: Path,
) -> None:
    shop, kept = Shop(), Kept(tmp_path / "crawl.db")
    file = tmp_path / "shop.json"
    async with serving(shop.handle) as origin:
        file.write_text(json.dumps(definition(origin, schedule="every 2s")))
        async with run_alone(tmp_path / "crawl.db", [file]) as worker:
            await worker.wait_line("crawling without a cluster")
            await asyncio.wait_for(shop.halfway.wait(), 60)
            await worker.kill()
        before = shop.spared.total()
        assert before < PAGES, "it was killed too late to show anything"
        assert (await kept.runs())[2].progress.finished == ""
        async with run_alone(tmp_path / "crawl.db", [file]) as worker:
            await worker.wait_line("crawling without a cluster")
            second = await kept.finished(2)
            assert await worker.stop() == 0
    assert set(shop.bodies.values()) == {1}, "a page was sent twice"
    assert shop.bodies.total() == PAGES
    first = (await kept.runs())[1]
    assert (second.progress.known, second.progress.done) == (PAGES + 1, PAGES + 1)
    assert second.progress.unchanged == PAGES
    assert second.progress.items == first.progress.items == PRODUCTS
    assert second.progress.incomplete_items == first.progress.incomplete_items == PRODUCTS
    assert second.progress.fetched_bytes < first.progress.fetched_bytes
    items = await kept.items(1)
    assert len(items) == PRODUCTS
    assert await kept.items(2) == items
    assert {fields["list"] for fields, _ in items.values()} == {f"page {n}" for n in range(6)}


async def test_only_what_changed_is_sent_and_delivered(tmp_path: Path) -> None:
    shop = Shop()
    async with serving(shop.handle) as origin:
        sinks = [{"name": "s", "kind": "file", "path": "items.jsonl"}]
        crawl = from_data(definition(origin, sinks=sinks, download_delay=0.0))
        host = (origin.removeprefix("http://"),)
        await here.crawl_here(crawl, tmp_path, hosts=host)
        shop.prices[3] = 9
        shop.bodies.clear()
        second = await here.crawl_here(crawl, tmp_path, run=2, hosts=host)
    assert shop.bodies == Counter({"/product/3": 1})
    assert (second.unchanged, second.items) == (PAGES - 1, PRODUCTS)
    lines = (tmp_path / here.SINKS / "local" / "items.jsonl").read_text().splitlines()
    sent = [json.loads(line) for line in lines]
    assert [each["_run"] for each in sent] == [1] * PRODUCTS + [2]
    assert (sent[-1]["name"], sent[-1]["price"]) == ("product 3", "9.50")
    items = [each async for each in here.export_here(tmp_path)]
    assert len(items) == PRODUCTS


@pytest.mark.parametrize(("unlinked", "left"), [("keep", PRODUCTS), ("forget", PRODUCTS - 1)])
async def test_what_nobody_leads_to_any_more(tmp_path: Path, unlinked: str, left: int) -> None:
    shop = Shop()
    async with serving(shop.handle) as origin:
        settings = {"download_delay": 0.0, "recrawl": {"unlinked": unlinked}}
        crawl = from_data(definition(origin, **settings))
        host = (origin.removeprefix("http://"),)
        await here.crawl_here(crawl, tmp_path, hosts=host)
        shop.unlinked.add(42)
        shop.bodies.clear()
        second = await here.crawl_here(crawl, tmp_path, run=2, hosts=host)
    assert shop.bodies == Counter({"/list?page=4": 1})
    assert (second.items, second.finished) == (left, "finished")
