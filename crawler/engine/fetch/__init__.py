"""Fetching: one request at a time, by the rules of HTTP, of robots.txt and of caution."""

from crawler.engine.fetch.http import HttpFetch
from crawler.engine.fetch.page import REDIRECTS, Fetch, Page
from crawler.engine.fetch.redirects import MAX_HOPS, follow, next_request
from crawler.engine.fetch.robots import Robots, Rules, product_token

__all__ = [
    "MAX_HOPS",
    "REDIRECTS",
    "Fetch",
    "HttpFetch",
    "Page",
    "Robots",
    "Rules",
    "follow",
    "next_request",
    "product_token",
]
