"""A site is found by its sitemaps, as servers send them."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from aiohttp import web

from crawler.clock import SystemClock
from crawler.definition import from_data
from crawler.engine.crawl import Crawl, EngineSettings
from crawler.model import PageState
from tests.fakes.frontier import MemoryRun
from tests.fakes.turns import HostBook
from tests.integration.engine.servers import serving

PAGES = 40


class News:
    """An index of packed sitemaps, named by robots.txt, and a feed; articles link to more."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        origin, name = f"http://{request.host}", request.path.strip("/")
        if name == "robots.txt":
            return web.Response(
                text=f"User-agent: *\nDisallow: /2026/7\nSitemap: {origin}/index.xml"
            )
        if name == "index.xml":
            maps = "".join(f"<sitemap><loc>/{n}</loc></sitemap>" for n in ("a.xml.gz", "b.xml"))
            return web.Response(
                text=f"<sitemapindex>{maps}</sitemapindex>", content_type="text/xml"
            )
        if name == "a.xml.gz":
            return web.Response(body=self.packed(origin, 0), content_type="application/gzip")
        if name == "b.xml":
            headers = {"Content-Encoding": "gzip", "X-Robots-Tag": "none"}
            return web.Response(body=self.packed(origin, 1), headers=headers)
        if name == "feed":
            entry = f"<entry><link href='{origin}/2026/feed'/></entry>"
            return web.Response(text=f"<feed>{entry}</feed>", content_type="application/atom+xml")
        if name == "2026/3":
            text = "<h1>3</h1><a href=/2026/3b>more</a>"
            return web.Response(
                text=text, content_type="text/html", headers={"X-Robots-Tag": "nofollow"}
            )
        text = f"<h1>{name}</h1><a href=/2026/more?PHPSESSID=0123456789abcdef>more</a>"
        return web.Response(text=text, content_type="text/html")

    def packed(self, origin: str, half: int) -> bytes:
        """A sitemap larger than a page may be."""
        filler = f"<!-- {'x' * 2_000} -->"
        entries = (
            f"<url><loc>{origin}/2026/{n}</loc></url>{filler}" for n in range(half, PAGES, 2)
        )
        text = f"<urlset>{''.join(entries)}<url><loc>{origin}/about</loc></url></urlset>"
        return gzip.compress(text.encode())


async def crawled(origin: str, **settings: Any) -> MemoryRun:
    clock = SystemClock()
    run = MemoryRun(clock)
    rules = [{"match": f"{origin}/2026/**", "item": {"title": "h1"}, "follow": ["a"]}]
    data = {"download_delay": 0.0, "concurrent_requests_per_domain": 4, "rules": rules, **settings}
    crawl = Crawl(
        from_data({**data, "download_maxsize": 20_000}),
        run.claim(),
        HostBook(clock).budgets("test"),
        settings=EngineSettings(typed_hosts=(origin.removeprefix("http://"),)),
        parsing=lambda _: None,
        report=lambda _: None,
        clock=clock,
    )
    assert await crawl.run() == "finished"
    return run


async def test_a_site_is_crawled_by_its_sitemaps() -> None:
    async with serving(News().handle) as origin:
        run = await crawled(origin, sitemaps=[f"{origin}/index.xml", f"{origin}/feed"])
    done = {url.removeprefix(origin) for url in run.urls(PageState.DONE)}
    articles = {f"/2026/{n}" for n in range(PAGES) if n != 7} | {"/2026/feed", "/2026/more"}
    assert done == {"/index.xml", "/a.xml.gz", "/b.xml", "/feed", *articles}
    assert run.urls(PageState.EXCLUDED) == {f"{origin}/2026/7"}
    assert not run.urls(PageState.FAILED)
    assert len(run.items) == len(articles)


@pytest.mark.threat(6)
async def test_sitemaps_lead_to_no_private_address() -> None:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(text="http://10.0.0.1/2026/x\nhttp://127.0.0.1:1/2026/x\n")

    async with serving(handle) as origin:
        sitemap = f"{origin}/sitemap.txt"
        run = await crawled(origin, sitemaps=[sitemap], allowed_domains=["127.0.0.1", "10.0.0.1"],
                            rules=[])  # fmt: skip
    reasons = {row.request.url: row.reason for row in run.rows.values()}
    assert reasons == {sitemap: "", "http://10.0.0.1/2026/x": "address refused"}
