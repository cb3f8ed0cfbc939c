"""The demonstration's judge: it must see every fault, and a clean crawl clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler.app.here import crawl_here, export_here
from crawler.definition import from_data
from crawler.errors import StoreUnavailable
from crawler.local.demo import load_shop
from crawler.local.site import pages, products, serve_shop
from crawler.local.verdict import Hit, Verdict, judge, read_hits, read_items, recovery_s

COUNT = 60


def kept() -> list[dict[str, Any]]:
    return [
        {"sku": each.sku, "name": each.name, "category": each.category, "price": each.price}
        for each in products(COUNT)
    ]


def fetched() -> list[Hit]:
    return [Hit(at / 10, path, 200) for at, path in enumerate(pages(COUNT))]


CLEAN = Verdict(
    expected=COUNT, found=COUNT, lost=0, duplicated=0, strange=0, unfetched=0, refetched=0
)


def test_all_is_well() -> None:
    assert judge(COUNT, kept(), fetched()) == CLEAN
    assert CLEAN.clean


def test_a_lost_item_is_seen() -> None:
    verdict = judge(COUNT, kept()[1:], fetched())
    assert (verdict.lost, verdict.found, verdict.clean) == (1, COUNT - 1, False)


def test_a_doubled_item_is_seen() -> None:
    verdict = judge(COUNT, [*kept(), kept()[0], kept()[0]], fetched())
    assert (verdict.duplicated, verdict.lost, verdict.clean) == (2, 0, False)


def test_a_wrong_item_is_seen() -> None:
    items = kept()
    items[0]["price"] = "0.01"
    verdict = judge(COUNT, items, fetched())
    assert (verdict.lost, verdict.strange, verdict.clean) == (1, 1, False)


def test_an_item_without_its_page_is_seen() -> None:
    hits = [hit if hit.path != "/product/1" else Hit(hit.at, hit.path, 500) for hit in fetched()]
    assert (judge(COUNT, kept(), hits).unfetched, judge(COUNT, kept(), hits).clean) == (1, False)


def test_fetching_twice_is_told_and_no_fault() -> None:
    verdict = judge(COUNT, kept(), [*fetched(), *fetched()[:3]])
    assert (verdict.refetched, verdict.clean) == (3, True)


def test_recovery_is_the_end_of_the_silence() -> None:
    hits = [Hit(at, "/", 200) for at in (0.0, 1.0, 2.0, 2.2, 6.0, 6.5, 7.0)]
    assert recovery_s(hits, 2.1) == pytest.approx(3.9)
    assert recovery_s(hits, 9.0) == 0.0


def test_a_database_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot read"):
        read_items(tmp_path / "none.db", "shop")


async def test_a_real_crawl_of_the_shop_is_clean(tmp_path: Path) -> None:
    log = tmp_path / "access.jsonl"
    async with serve_shop(0, log, COUNT) as url:
        definition = from_data({**load_shop(url), "download_delay": 0.0})
        host = url.removeprefix("http://")
        progress = await crawl_here(definition, tmp_path, hosts=[host])
    assert (progress.items, progress.failed, progress.pending) == (COUNT, 0, 0)
    assert judge(COUNT, read_items(tmp_path / "crawl.db", "local"), read_hits(log)) == CLEAN
    exported = [item.fields async for item in export_here(tmp_path)]
    assert judge(COUNT, exported, read_hits(log)) == CLEAN
