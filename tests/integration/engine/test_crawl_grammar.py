"""Whole crawls of an API and of articles in parts, over HTTP: what is asked, and what comes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from aiohttp import web

from crawler.clock import SystemClock
from crawler.definition import from_data
from crawler.engine.crawl import Crawl, EngineSettings
from crawler.model import Item
from tests.fakes.frontier import MemoryRun
from tests.fakes.turns import HostBook
from tests.integration.engine.servers import serving

ITEMS = 23
PER_PAGE = 5
FAST = {"download_delay": 0.0, "concurrent_requests_per_domain": 4, "robotstxt_obey": False}


class Api:
    """Lists by cursor and by page, details, a search by form and by JSON, and redirects."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str, str]] = Counter()
        self.types: dict[str, str] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode()
        self.asked[request.method, request.path_qs, body] += 1
        if body:
            self.types[body] = request.headers["Content-Type"]
        name, query = request.path.strip("/"), request.query
        if name == "moved":
            raise web.HTTPTemporaryRedirect("/search")
        if name == "seen":
            raise web.HTTPSeeOther("/items/3")
        if name == "items":
            first = int(query.get("cursor", "0"))
            numbers = list(range(first, min(first + PER_PAGE, ITEMS)))
            following = str(first + PER_PAGE) if first + PER_PAGE < ITEMS else None
            return _json({"data": [{"id": n, "rank": n % 3} for n in numbers], "next": following})
        if name == "pages":  # answers what is beyond the last page with the last
            page = min(int(query.get("page", "1")), 4)
            return _json({"data": [{"id": f"{page}.{n}"} for n in range(3)]})
        if name.startswith("items/"):
            return _json({"id": name.partition("/")[2], "price": {"amount": 1.5}})
        if name == "search":
            return _json({"found": f"{request.method} {body}"}, "application/hal+json")
        return web.Response(status=404)


def _json(value: Any, content_type: str = "application/json") -> web.Response:
    return web.Response(body=json.dumps(value).encode(), content_type=content_type)


async def crawled(origin: str, start: str, *rules: dict[str, Any]) -> tuple[MemoryRun, list[Item]]:
    clock = SystemClock()
    run = MemoryRun(clock)
    crawl = Crawl(
        from_data({"start_urls": [f"{origin}{start}"], "rules": list(rules), **FAST}),
        run.claim(),
        HostBook(clock).budgets("test"),
        settings=EngineSettings(typed_hosts=(origin.removeprefix("http://"),)),
        parsing=lambda _: None,
        report=lambda _: None,
        clock=clock,
    )
    assert await crawl.run() == "finished"
    return run, [item for items in run.items.values() for item in items]


async def test_an_api_is_crawled_by_its_cursor_and_details() -> None:
    api = Api()
    async with serving(api.handle) as origin:
        _, items = await crawled(
            origin,
            "/items?limit=5",
            {
                "kind": "json",
                "match": f"{origin}/items?*",
                "each": "data[]",
                "next": {"query": {"cursor": "next"}},
                "follow": [
                    {"url": f"{origin}/items/{{id}}", "to": "detail", "carry": {"rank": "rank"}}
                ],
            },
            {
                "name": "detail",
                "kind": "json",
                "item": {
                    "id": {"json": "id", "type": "int", "required": True},
                    "price": {"json": "price.amount", "type": "decimal"},
                    "rank": {"carry": "rank"},
                },
            },
        )
    found = sorted((dict(item.fields) for item in items), key=lambda fields: int(fields["id"]))
    assert found == [{"id": n, "price": "1.5", "rank": n % 3} for n in range(ITEMS)]
    assert set(api.asked.values()) == {1}


async def test_pages_by_number_end_where_the_site_repeats_itself() -> None:
    api = Api()
    async with serving(api.handle) as origin:
        rule = {"kind": "json", "match": "**", "each": "data[]", "item": {"id": "id"}}
        run, items = await crawled(origin, "/pages", {**rule, "next": {"query": {"page": "+1"}}})
    assert len(run.rows) == 5  # the fifth is the fourth once more
    assert len({item.fields["id"] for item in items}) == 12


async def test_forms_and_json_are_posted_once_each_and_keep_it_over_redirects() -> None:
    api = Api()
    async with serving(api.handle) as origin:
        search = {"to": "found", "carry": {"name": "data[0].id"}}
        _, items = await crawled(
            origin,
            "/items",
            {
                "kind": "json",
                "match": f"{origin}/items",
                "follow": [
                    {**search, "url": "/search", "form": {"q": "ä {name}", "n": 1}},
                    {**search, "url": "/search", "json": {"q": ["{name}", True]}},
                    {**search, "url": "/moved", "json": ["{name}"]},
                    {**search, "url": "/seen", "form": {"q": "{name}"}, "to": "detail"},
                    {**search, "url": "/search"},
                ],
            },
            {"name": "found", "kind": "json", "item": {"found": "found"}},
            {"name": "detail", "kind": "json", "item": {"found": "id"}},
        )
    form, table, moved = "n=1&q=%C3%A4+0", '{"q":[0,true]}', "[0]"
    assert sorted(str(item.fields["found"]) for item in items) == [
        "3",
        "GET",
        f"POST {moved}",
        f"POST {form}",
        f"POST {table}",
    ]
    assert api.types == {
        form: "application/x-www-form-urlencoded",
        table: "application/json",
        moved: "application/json",
        "q=0": "application/x-www-form-urlencoded",
    }
    assert set(api.asked.values()) == {1}


async def test_an_article_in_parts_is_one_item() -> None:
    async def handle(request: web.Request) -> web.Response:
        part = int(request.query.get("part", "1"))
        more = f'<a class=next href="?part={part + 1}">' if part < 4 else ""
        page = f"{more}<h1>Title</h1><div>text {part}</div><p>{part}a</p><p>{part}b</p>"
        return web.Response(text=page, content_type="text/html")

    async with serving(handle) as origin:
        rule = {
            "match": "**",
            "follow": [],
            "next": {"css": "a.next", "join": True},
            "item": {"title": "h1", "text": "div", "body": {"css": "p", "many": True}},
        }
        run, items = await crawled(origin, "/article", rule)
    assert [dict(item.fields) for item in items] == [
        {
            "title": "Title",
            "text": "text 1\ntext 2\ntext 3\ntext 4",
            "body": [f"{part}{letter}" for part in range(1, 5) for letter in "ab"],
        }
    ]
    assert len(run.rows) == 4
