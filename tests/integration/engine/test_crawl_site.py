"""Whole crawls of a site on loopback: HTTP, rules and politeness as they are in the field."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from crawler.clock import SystemClock
from crawler.definition import from_data
from crawler.engine.crawl import Crawl, EngineSettings
from crawler.engine.files import keeper
from crawler.engine.single import open_single
from crawler.errors import FetchFailed
from crawler.model import PageState
from tests.fakes.frontier import MemoryRun
from tests.fakes.turns import HostBook
from tests.integration.engine.servers import serving

PRODUCTS = 23
PER_PAGE = 5


class Shop:
    """A shop with two list pages per category, products, and what makes sites awkward."""

    def __init__(self) -> None:
        self.hits: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.hits[request.path_qs] += 1
        name = request.path.strip("/") or "home"
        if name == "robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /private\n")
        if name == "old":
            raise web.HTTPMovedPermanently("/product/3")
        if name == "wall" and "seen" not in request.cookies:
            response = web.HTTPFound("/wall")
            response.set_cookie("seen", "1")
            raise response
        if name == "flaky" and self.hits[request.path_qs] < 2:
            return web.Response(status=503, headers={"Retry-After": "0"})
        body = self.body(name, int(request.query.get("page", "0")))
        if body is None:
            return web.Response(status=404, text="gone")
        return web.Response(body=body.encode("utf-16"), content_type="text/html")

    def body(self, name: str, page: int) -> str | None:
        if name == "home":
            return "<nav><a href=/list>all</a></nav>" + "".join(
                f'<a class=x href="{target}">x</a>'
                for target in ("old", "wall", "flaky", "gone", "private", "http://10.0.0.1/")
            )
        if name == "list":
            first = page * PER_PAGE
            numbers = range(first, min(first + PER_PAGE, PRODUCTS))
            more = f'<a rel=next href="?page={page + 1}">' if numbers.stop < PRODUCTS else ""
            return more + "".join(f'<a class=card href="/product/{n}#top">' for n in numbers)
        if name.startswith("product/"):
            number = name.partition("/")[2]
            return f"<h1>Produkt {number} \u20ac</h1><b class=price>{number},50 \u20ac</b>"
        return f"<h1>{name}</h1>" if name in ("wall", "flaky") else None


def definition(origin: str, **settings: Any) -> dict[str, Any]:
    return {
        "start_urls": [f"{origin}/"],
        "download_delay": 0.0,
        "concurrent_requests_per_domain": 4,
        "rules": [
            {
                "match": f"{origin}/",
                "follow": [{"css": "nav a", "to": "list"}, {"css": "a.x"}],
            },
            {"name": "list", "next": "a[rel=next]", "follow": [{"css": "a.card"}]},
            {
                "match": f"{origin}/product/*",
                "item": {
                    "name": {"css": "h1::text", "required": True},
                    "price": {"css": ".price::text", "type": "decimal"},
                },
            },
            {"match": f"{origin}/*", "item": {"name": "h1::text"}},
        ],
        **settings,
    }


async def crawled(origin: str, **settings: Any) -> MemoryRun:
    clock = SystemClock()
    run = MemoryRun(clock)
    crawl = Crawl(
        from_data(definition(origin, **settings)),
        run.claim(),
        HostBook(clock).budgets("test"),
        settings=EngineSettings(typed_hosts=(origin.removeprefix("http://"),)),
        parsing=lambda _: None,
        report=lambda _: None,
        clock=clock,
    )
    assert await crawl.run() == "finished"
    return run


def paths(run: MemoryRun, state: PageState, origin: str) -> set[str]:
    return {url.removeprefix(origin) for url in run.urls(state)}


async def test_a_shop_is_crawled_by_its_rules() -> None:
    shop = Shop()
    async with serving(shop.handle) as origin:
        run = await crawled(origin)
    names = Counter(str(i.fields["name"]) for items in run.items.values() for i in items)
    products = {f"Produkt {n} \u20ac": 1 for n in range(PRODUCTS)}
    assert names == Counter({**products, "flaky": 1})
    lists = {"/list", *(f"/list?page={n}" for n in range(1, 5))}
    done = {"/", "/old", "/flaky", *lists, *(f"/product/{n}" for n in range(PRODUCTS))}
    assert paths(run, PageState.DONE, origin) == done
    assert paths(run, PageState.FAILED, origin) == {"/gone", "/wall"}
    assert paths(run, PageState.EXCLUDED, origin) == {"/private"}
    assert shop.hits["/private"] == 0
    expected = Counter(dict.fromkeys(done | {"/gone", "/wall"}, 1) | {"/flaky": 2})
    assert shop.hits == expected + Counter(["/robots.txt"])
    depths = {row.request.depth for row in run.rows.values() if "/list" in row.request.url}
    assert depths == {1}


async def test_a_crawl_with_cookies_passes_a_cookie_wall() -> None:
    shop = Shop()
    async with serving(shop.handle) as origin:
        run = await crawled(origin, cookies={"own": "1"})
    assert "/wall" in paths(run, PageState.DONE, origin)
    names = {str(i.fields["name"]) for items in run.items.values() for i in items}
    assert "wall" in names
    assert "Produkt 3 \u20ac" in names
    assert max(Counter(repr(i) for items in run.items.values() for i in items).values()) == 1


@pytest.mark.threat(6)
async def test_private_addresses_are_refused_page_by_page() -> None:
    shop = Shop()
    async with serving(shop.handle) as origin:
        run = await crawled(origin, allowed_domains=["127.0.0.1", "10.0.0.1"], start_urls=[origin])
    refused = [r for r in run.rows.values() if r.request.url == "http://10.0.0.1/"]
    assert [(row.state, row.reason) for row in refused] == [(PageState.FAILED, "address refused")]


async def test_a_single_page_is_fetched_as_a_crawl_would() -> None:
    shop = Shop()
    async with serving(shop.handle) as origin:
        made = from_data(definition(origin))
        settings = EngineSettings(typed_hosts=(origin.removeprefix("http://"),))
        async with open_single(made, settings, SystemClock()) as single:
            page = await single.get(f"{origin}/old")
            assert (page.url, page.status, page.charset) == (
                f"{origin}/product/3",
                200,
                "utf-16le",
            )
            with pytest.raises(FetchFailed, match=r"robots\.txt forbids it"):
                await single.get(f"{origin}/private")
        async with open_single(made, EngineSettings(), SystemClock()) as single:
            with pytest.raises(FetchFailed, match="address refused"):
                await single.get(f"{origin}/old")


def files_in(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


async def test_files_are_kept_by_rule_with_what_was_carried_to_them(tmp_path: Path) -> None:
    pdf = b"%PDF-1.7\n" + bytes(range(256)) * 40

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/":
            text = "<h1>papers</h1><a href=/a.pdf>a</a><a href=/b.pdf>b</a>"
            return web.Response(text=text, content_type="text/html")
        return web.Response(body=pdf, content_type="application/pdf")

    async with serving(handle) as origin:
        link = {"css": "a", "to": "paper", "carry": {"shelf": "h1::text"}}
        paper = {"name": "paper", "kind": "file", "item": {"shelf": {"carry": "shelf"}}}
        run, clock = MemoryRun(SystemClock()), SystemClock()
        crawl = Crawl(
            from_data(
                {
                    "start_urls": [f"{origin}/"],
                    "download_delay": 0.0,
                    "rules": [{"match": f"{origin}/", "follow": [link]}, paper],
                }
            ),
            run.claim(),
            HostBook(clock).budgets("test"),
            settings=EngineSettings(allow_private=("127.0.0.0/8",), files=tmp_path),
            parsing=lambda _: None,
            report=lambda _: None,
            clock=clock,
        )
        assert await crawl.run() == "finished"
    digest = hashlib.sha256(pdf).hexdigest()
    items = [dict(item.fields) for found in run.items.values() for item in found]
    expected = {
        "path": f"{digest[:2]}/{digest}.pdf",
        "sha256": digest,
        "bytes": len(pdf),
        "content_type": "application/pdf",
        "shelf": "papers",
    }
    assert items == [{"url": f"{origin}/{name}.pdf", **expected} for name in "ab"]
    assert files_in(tmp_path) == {f"{digest[:2]}/{digest}.pdf": pdf}


async def test_a_file_that_cannot_be_written_fails_its_page(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("in the way")
    keep = keeper(nowhere)
    with pytest.raises(FetchFailed, match="file not written: Not a directory") as caught:
        keep(b"x", "application/pdf")
    assert caught.value.retry
