"""Scrapy over a whole host, for `tests.bench.documents`: ``python scrapy_documents.py START_URL
PAGES.jsonl``. Every answer is one line, whatever its status, and redirects are links."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urldefrag, urljoin

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.http import HtmlResponse, Response


class Documents(scrapy.Spider):
    name = "documents"
    begin: str

    async def start(self) -> AsyncIterator[Any]:
        yield scrapy.Request(self.begin)

    def parse(self, response: Response) -> Iterator[Any]:
        page: dict[str, Any] = {"url": response.url, "status": response.status}
        links = [response.headers.get("Location", b"").decode()]
        if isinstance(response, HtmlResponse) and response.status == 200:
            for name, path in (("title", "string((//title)[1])"), ("heading", "string((//h1)[1])")):
                page[name] = " ".join((response.xpath(path).get() or "").split())
            links = response.xpath("//a/@href | //area/@href").getall()
        yield page
        for link in filter(None, links):
            url = urldefrag(urljoin(response.url, link.strip())).url
            if url.startswith(urljoin(self.begin, "/")):
                yield scrapy.Request(url)


def main(start: str, pages: str) -> None:
    process = CrawlerProcess(
        {
            "CONCURRENT_REQUESTS_PER_DOMAIN": 8,
            "DOWNLOAD_DELAY": 0,
            "HTTPERROR_ALLOW_ALL": True,
            "REDIRECT_ENABLED": False,
            "METAREFRESH_ENABLED": False,
            "RETRY_ENABLED": False,
            "LOG_LEVEL": "ERROR",
            "FEEDS": {pages: {"format": "jsonlines"}},
        }
    )
    process.crawl(Documents, begin=start)
    process.start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
