"""The shop serves what its truth says, with its troubles, and logs every hit."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import aiohttp

from crawler.local.site import pages, product, products, serve_shop

COUNT = 130


async def fetch(http: aiohttp.ClientSession, url: str) -> tuple[int, str, str]:
    async with http.get(url) as answer:
        return answer.status, answer.url.path, await answer.text()


async def walk(url: str) -> Counter[str]:
    """A crawl of its own making: follow every link once, try twice; titles by path."""
    found: Counter[str] = Counter()
    seen, waiting = {"/"}, ["/"]
    async with aiohttp.ClientSession(trust_env=False) as http:
        while waiting:
            path = waiting.pop()
            status, final, text = await fetch(http, url + path)
            if status == 500:
                status, final, text = await fetch(http, url + path)
            assert status == 200, path
            found.update([final] if final.startswith("/product/") else [])
            for link in set(re.findall(r'href="([^"]+)"', text)) - seen:
                seen.add(link)
                waiting.append(link)
    return found


async def test_a_walk_finds_every_product_once(tmp_path: Path) -> None:
    log = tmp_path / "access.jsonl"
    async with serve_shop(0, log, COUNT) as url:
        found = await walk(url)
    assert found == Counter(each.path for each in products(COUNT))
    hits = [json.loads(line) for line in log.read_text().splitlines()]
    answered = Counter(hit["path"] for hit in hits if hit["status"] == 200)
    assert answered == Counter(pages(COUNT))
    statuses = Counter(hit["status"] for hit in hits)
    assert statuses[301] == sum(each.moved for each in products(COUNT)) > 0
    assert statuses[500] == sum(each.hesitant for each in products(COUNT)) > 0


async def test_a_product_page_shows_the_product(tmp_path: Path) -> None:
    one = product(7)
    async with (
        serve_shop(0, tmp_path / "log", COUNT) as url,
        aiohttp.ClientSession(trust_env=False) as http,
        http.get(url + one.path) as answer,
    ):
        text = await answer.text()
    for shown in (one.sku, one.name, one.price, one.category):
        assert f">{shown}<" in text


async def test_what_is_not_there_is_404(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with serve_shop(0, log, COUNT) as url, aiohttp.ClientSession() as http:
        for path in ("/product/131", "/product/0", "/category/cars", "/category/pots?page=9", "/x"):
            async with http.get(url + path) as answer:
                assert answer.status == 404, path
    assert [json.loads(line)["status"] for line in log.read_text().splitlines()] == [404] * 5


def test_the_truth_never_changes() -> None:
    assert product(1).name == product(1).name
    assert len({each.sku for each in products(1000)}) == 1000
    assert len({each.name for each in products(1000)}) == 1000
    assert 1100 > len(list(pages(1000))) > 1000
