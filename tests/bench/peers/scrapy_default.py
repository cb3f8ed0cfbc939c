"""Scrapy as most projects have it: ``python scrapy_default.py START_URL ITEMS.jsonl DOMAIN...``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response


class Shop(scrapy.Spider):
    name = "shop"

    async def start(self) -> AsyncIterator[Any]:
        for url in self.start_urls:
            yield scrapy.Request(url)  # its own start fetches a start URL that is linked to twice

    def parse(self, response: Response) -> Iterator[Any]:
        yield {
            "name": response.css("h1.name::text").get(),
            "price": response.css(".price::text").get(),
            "sku": response.css("span.sku::text").get(),
            "at": response.css("time.at::text").get(),
            "about": response.css("p.about::text").get(),
        }
        yield from response.follow_all(css="a.more", callback=self.parse)


def main(start: str, items: str, domains: list[str]) -> None:
    process = CrawlerProcess(
        {
            "ROBOTSTXT_OBEY": True,
            "CONCURRENT_REQUESTS": 32,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 32,
            "DOWNLOAD_DELAY": 0,
            "LOG_LEVEL": "INFO",
            "FEEDS": {items: {"format": "jsonlines"}},
        }
    )
    process.crawl(Shop, start_urls=[start], allowed_domains=domains)
    process.start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
