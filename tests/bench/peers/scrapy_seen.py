"""Scrapy by somebody who knows it: links are told apart before there is a Request, and what the
crawl does not need is off. ``python scrapy_seen.py START_URL ITEMS.jsonl DOMAIN...``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urldefrag, urljoin

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.http import Response

_OFF = {
    f"scrapy.{name}": None
    for name in (
        "downloadermiddlewares.httpauth.HttpAuthMiddleware",
        "downloadermiddlewares.cookies.CookiesMiddleware",
        "downloadermiddlewares.httpproxy.HttpProxyMiddleware",
        "downloadermiddlewares.redirect.MetaRefreshMiddleware",
    )
}


class Shop(scrapy.Spider):
    name = "shop"

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self._seen: set[str] = set(self.start_urls)

    def parse(self, response: Response) -> Iterator[Any]:
        select = response.selector.xpath
        yield {
            "name": select("//h1[@class='name']/text()").get(),
            "price": select("//*[@class='price']/text()").get(),
            "sku": select("//span[@class='sku']/text()").get(),
            "at": select("//time[@class='at']/text()").get(),
            "about": select("//p[@class='about']/text()").get(),
        }
        seen, base = self._seen, response.url
        for href in select("//a[@class='more']/@href").getall():
            url = urldefrag(urljoin(base, href)).url
            if url not in seen:
                seen.add(url)
                yield scrapy.Request(url, self.parse, dont_filter=True)


def main(start: str, items: str, domains: list[str]) -> None:
    process = CrawlerProcess(
        {
            "ROBOTSTXT_OBEY": True,
            "CONCURRENT_REQUESTS": 32,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 32,
            "DOWNLOAD_DELAY": 0,
            "LOG_LEVEL": "WARNING",
            "COOKIES_ENABLED": False,
            "TELNETCONSOLE_ENABLED": False,
            "LOGSTATS_INTERVAL": 0,
            "DOWNLOADER_MIDDLEWARES": _OFF,
            "SPIDER_MIDDLEWARES": {
                "scrapy.spidermiddlewares.referer.RefererMiddleware": None,
                "scrapy.spidermiddlewares.urllength.UrlLengthMiddleware": None,
                "scrapy.spidermiddlewares.depth.DepthMiddleware": None,
            },
            "FEEDS": {items: {"format": "jsonlines"}},
        }
    )
    process.crawl(Shop, start_urls=[start], allowed_domains=domains)
    process.start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
