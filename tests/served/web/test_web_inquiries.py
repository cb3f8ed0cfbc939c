"""What became of one URL, why pages failed, and records as files."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, replace
from typing import Any

import aiohttp
import pytest

from crawler.engine.urls import fingerprint
from crawler.model import PageState, Progress
from crawler.story import Attempt, Story, Visited
from tests.fakes.api import FakeCluster
from tests.fakes.results import item, page

URL = "https://shop.example/0001"
ONE = "/crawler/resource/shop"


@pytest.fixture
def shop(cluster: FakeCluster) -> str:
    """The ID of a resource with a definition."""
    rule = {"item": {"late": "x", "name": "h1::text"}}
    view, _, _ = cluster.master.put("shop", json.dumps({"start_urls": [], "rules": [rule]}))
    cluster.results.counters[view.id] = (3, Progress())
    return view.id


async def fetch(http: aiohttp.ClientSession, path: str, **query: str) -> tuple[int, Any]:
    async with http.get(ONE + path, params=query) as response:
        return response.status, await response.json()


async def test_a_url_is_found_as_people_write_it(
    cluster: FakeCluster, http: aiohttp.ClientSession, shop: str
) -> None:
    key = fingerprint("GET", URL)
    attempt = Attempt(1.0, PageState.PENDING, 503, "http 503", 0.5, "worker-1")
    story = Story(
        3, page(1), "GET", URL, 0.0, (page(0),), (attempt,), (), (item(7, name="x"),),
        (Visited(3, PageState.DONE, 200, "", 1, 1.0),),
    )  # fmt: skip
    cluster.results.stories[key] = story
    for query in ({"url": "HTTPS://Shop.example:443/0001"}, {"key": key.hex()}):
        status, told = await fetch(http, "/url", **query)
        assert status == 200
        assert told["story"]["page"]["url"] == URL
        assert [each["url"] for each in told["story"]["way"]] == [page(0).url]
        assert told["story"]["attempts"] == [asdict(attempt)]
        assert told["story"]["items"][0]["fields"] == {"name": "x"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, 400),
        ({"url": URL, "key": "0" * 32}, 400),
        ({"url": "javascript:alert(1)"}, 400),
        ({"key": "xyz"}, 400),
        ({"url": URL}, 404),
        ({"url": URL, "run": "0"}, 400),
    ],
)
async def test_what_cannot_be_told_says_why(
    http: aiohttp.ClientSession, shop: str, query: dict[str, str], expected: int
) -> None:
    status, answer = await fetch(http, "/url", **query)
    assert status == expected
    assert answer["message"]


async def test_reasons_are_counted(
    cluster: FakeCluster, http: aiohttp.ClientSession, shop: str
) -> None:
    failed = [replace(page(n, PageState.FAILED, 503), reason="HTTP 503") for n in range(3)]
    cluster.results.page_records[shop] = [*failed, page(9)]
    _, told = await fetch(http, "/reasons")
    assert told["reasons"] == [{"state": "failed", "status": 503, "reason": "HTTP 503", "pages": 3}]


async def test_lists_are_searched(
    cluster: FakeCluster, http: aiohttp.ClientSession, shop: str
) -> None:
    cluster.results.page_records[shop] = [page(n) for n in range(12)]
    cluster.results.item_records[shop] = [item(n, name=f"lamp {n}") for n in range(1, 12)]
    _, told = await fetch(http, "/pages", text="0011")
    assert [each["url"][-4:] for each in told["pages"]] == ["0011"]
    _, told = await fetch(http, "/items", text="lamp 1")
    assert [each["seq"] for each in told["items"]] == [1, 10, 11]
    status, _ = await fetch(http, "/items", text="x" * 201)
    assert status == 400


async def download(http: aiohttp.ClientSession, path: str) -> tuple[str, aiohttp.ClientResponse]:
    async with http.get(ONE + path) as response:
        assert response.status == 200
        return await response.text(), response


async def test_items_come_as_lines(
    cluster: FakeCluster, http: aiohttp.ClientSession, shop: str
) -> None:
    cluster.results.item_records[shop] = [item(n, name=f"größe {n}") for n in range(1, 1200)]
    text, response = await download(http, "/items.jsonl")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["name"] for line in lines] == [f"größe {n}" for n in range(1, 1200)]
    assert lines[0]["_url"] == "https://shop.example/p/1"
    assert response.headers["Content-Disposition"].startswith(
        'attachment; filename="shop-items.jsonl"'
    )


async def test_items_come_as_cells_that_are_no_formulas(
    cluster: FakeCluster, http: aiohttp.ClientSession, shop: str
) -> None:
    first = [item(n, name="=1+1", price=-3) for n in range(1, 501)]
    later = [item(501, name='a "b"\n', late=[1], other="y"), item(502)]
    cluster.results.item_records[shop] = [*first, *later]
    text, _ = await download(http, "/items.csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["late", "name", "price", "_url", "_rule", "_more"]
    assert (rows[0]["name"], rows[0]["price"]) == ("'=1+1", "-3")
    assert (rows[500]["name"], rows[500]["late"]) == ('a "b"\n', "[1]")
    assert json.loads(rows[500]["_more"]) == {"other": "y"}
    assert len(rows) == 502


async def test_pages_come_as_files(
    cluster: FakeCluster, http: aiohttp.ClientSession, shop: str
) -> None:
    cluster.results.page_records[shop] = [page(n) for n in range(1001)]
    text, _ = await download(http, "/pages.jsonl")
    assert len(text.splitlines()) == 1001
    text, _ = await download(http, "/pages.csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert (len(rows), rows[7]["url"]) == (1001, page(7).url)


async def test_what_is_refused_is_refused_before_anything_is_sent(
    cluster: FakeCluster, http: aiohttp.ClientSession, shop: str
) -> None:
    cluster.results.away = "the database is away"
    status, answer = await fetch(http, "/items.csv")
    assert (status, answer["message"]) == (503, "the database is away")


async def test_an_empty_run_is_an_empty_file(http: aiohttp.ClientSession, shop: str) -> None:
    text, _ = await download(http, "/items.jsonl")
    assert text == ""
