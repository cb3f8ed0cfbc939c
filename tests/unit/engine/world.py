"""A web, a store and crawls on them, all in memory and on virtual time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from crawler.definition import Definition, from_data
from crawler.engine.crawl import Crawl
from crawler.engine.fetch import Page
from crawler.engine.live import Live
from crawler.engine.settings import EngineSettings
from crawler.model import PageState
from tests.fakes.frontier import MemoryFrontier, MemoryRun
from tests.fakes.turns import HostBook
from tests.unit.engine.site import Answer, JsonExtractor, Site, page
from tests.unit.engine.virtual import VirtualClock

A = "https://a.example"
FAST: dict[str, Any] = {
    "download_delay": 0.0,
    "concurrent_requests_per_domain": 4,
    "robotstxt_obey": False,
}


def definition(**settings: Any) -> Definition:
    return from_data({"start_urls": [f"{A}/"], **settings})


def tree(size: int) -> dict[str, Answer | list[Answer]]:
    """``size`` pages with links 2i+1, 2i+2 and 7i mod size, two items on each."""
    site: dict[str, Answer | list[Answer]] = {}
    for i in range(size):
        links = [f"{A}/{n}" for n in (2 * i + 1, 2 * i + 2, 7 * i % size) if 0 < n < size]
        items = [{"id": f"{i}.{k}"} for k in range(2)]
        url = f"{A}/{i}" if i else f"{A}/"
        site[url] = page(url, *links, items=items)
    return site


class World:
    """A site, a store and crawls on them, one after another or side by side."""

    def __init__(self, site: Mapping[str, Answer | list[Answer]], **settings: Any) -> None:
        self.clock = VirtualClock()
        self.site = Site(self.clock, site)
        self.run = MemoryRun(self.clock)
        self.book = HostBook(self.clock)
        self.definition = definition(**settings)
        self.lives: list[Live] = []
        self.parsed: list[bytes | None] = []
        self.holders = 0

    def crawl(self, frontier: MemoryFrontier | None = None, **arguments: Any) -> Crawl:
        self.holders += 1
        values = {
            "settings": EngineSettings(),
            "clock": self.clock,
            "parsing": self.parsed.append,
            "report": self.lives.append,
            "chance": random.Random(1),
            "open_fetch": self.site.open,
            "extractor": JsonExtractor(),
            **arguments,
        }
        return Crawl(
            values.pop("definition", self.definition),
            frontier or self.run.claim(),
            values.pop("turns", None) or self.book.budgets(f"crawl-{self.holders}"),
            **values,
        )

    def items(self) -> Counter[str]:
        return Counter(i.fields["id"] for items in self.run.items.values() for i in items)


def shortest_gap(starts: list[float]) -> float:
    return min(later - sooner for sooner, later in pairwise(starts))


def done(world: World) -> set[str]:
    return world.run.urls(PageState.DONE)


def text(url: str, content: str) -> Page:
    """A text, robots.txt for instance."""
    return Page(url, 200, content.encode(), "text/plain")
