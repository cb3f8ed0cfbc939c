"""Crawlee for Python, in memory: ``python crawlee_parsel.py START_URL ITEMS.jsonl DOMAIN...``."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

from crawlee import ConcurrencySettings
from crawlee.crawlers import ParselCrawler, ParselCrawlingContext
from crawlee.storage_clients import MemoryStorageClient


async def crawl(start: str, items: Path) -> None:
    crawler = ParselCrawler(
        storage_client=MemoryStorageClient(),
        concurrency_settings=ConcurrencySettings(desired_concurrency=32, max_concurrency=32),
        respect_robots_txt_file=True,
        max_request_retries=2,
        request_handler_timeout=timedelta(minutes=1),
    )
    with items.open("w") as out:

        @crawler.router.default_handler
        async def handle(context: ParselCrawlingContext) -> None:
            select = context.selector.css
            item = {
                "name": select("h1.name::text").get(),
                "price": select(".price::text").get(),
                "sku": select("span.sku::text").get(),
                "at": select("time.at::text").get(),
                "about": select("p.about::text").get(),
            }
            out.write(json.dumps(item) + "\n")
            await context.enqueue_links(selector="a.more")

        await crawler.run([start])


if __name__ == "__main__":
    asyncio.run(crawl(sys.argv[1], Path(sys.argv[2])))
