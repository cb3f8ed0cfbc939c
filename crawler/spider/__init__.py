"""Spiders in Python: what a crawl does with its pages, written as code instead of as rules.

from crawler.spider import Request, Spider

class Shop(Spider):
    name = "shop"
    start_urls = ["https://shop.example/"]

    def parse(self, page):
        yield from page.follow_all(".card a", callback=self.parse_product)

    def parse_product(self, page):
        yield {"name": page.css("h1::text").get()}
"""

from crawler.spider.page import Page
from crawler.spider.pipelines import DropItem
from crawler.spider.requests import Request
from crawler.spider.selection import Selection
from crawler.spider.spider import Spider

__all__ = ["DropItem", "Page", "Request", "Selection", "Spider"]
