"""A site whose every page is a function of its number, and so the truth that a crawl is held to.

Each port is a site, each ``/<size>/`` on it a tree of so many pages with links across. Some pages
have moved, some fail at first, some are gone. Run as a program it serves on a host, and every
answer is a line of its log, with its start, its end and who asked.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from zlib import crc32

from aiohttp import web

from tests.acceptance.chaos.history import Hit
from tests.acceptance.chaos.outcome import TrueCrawl, TruePage, crawl_of
from tests.acceptance.chaos.recorders import as_text

_FIRST_S, _SPREAD_S = 0.005, 0.03  # how long an answer takes


class Manner(Enum):
    """How a page answers."""

    PLAIN = "plain"
    MOVED = "moved"  # to .../to, which has everything
    SHY = "shy"  # 500 to the first request
    GONE = "gone"  # 404 for ever


_MANNERS = {0: Manner.MOVED, 1: Manner.SHY, 2: Manner.SHY, 3: Manner.GONE}


@dataclass(frozen=True, slots=True)
class Tree:
    """So many pages below ``/<size>/`` of one site."""

    origin: str
    size: int
    seed: int

    @property
    def start(self) -> str:
        return self.url(0)

    def url(self, number: int) -> str:
        return f"{self.origin}/{self.size}/{number}"

    def manner(self, number: int) -> Manner:
        if number == 0:
            return Manner.PLAIN
        return _MANNERS.get(self._dice(number) % 20, Manner.PLAIN)

    def wait_s(self, number: int) -> float:
        """How long the page takes to answer."""
        return _FIRST_S + self._dice(number) % 97 / 97 * _SPREAD_S

    def links(self, number: int) -> Iterator[str]:
        """Down the tree, and across."""
        for child in (2 * number + 1, 2 * number + 2):
            if child < self.size:
                yield self.url(child)
        yield self.url(7 * number % self.size)

    def html(self, number: int) -> str:
        anchors = "".join(f'<a href="{url}">on</a>' for url in self.links(number))
        return f'<html><body><h1>page {number}</h1><p class="n">{number}</p>{anchors}</body></html>'

    def truth(self) -> TrueCrawl:
        """What a crawl from the first page must come to."""
        return crawl_of([self.start], self._page)

    def definition(self, delay_s: float) -> Mapping[str, object]:
        """Of that crawl, as JSON for the API."""
        return {
            "start_urls": [self.start],
            "keep_pages": 10_000,  # the judge looks at every run
            "keep_runs": 10_000,
            "download_delay": delay_s,
            "concurrent_requests_per_domain": 2,
            "retry_times": 5,
            "robotstxt_obey": False,
            "rules": [
                {
                    "match": f"{self.origin}/**",
                    "follow": ["a"],
                    "item": {
                        "title": {"css": "h1::text", "required": True},
                        "number": {"css": ".n::text", "type": "int"},
                    },
                }
            ],
        }

    def _dice(self, number: int) -> int:
        return crc32(f"{self.seed}/{number}".encode())

    def _page(self, url: str) -> TruePage:
        number, _, moved = url.removeprefix(f"{self.origin}/{self.size}/").partition("/")
        manner = self.manner(int(number))
        if manner is Manner.GONE:
            return TruePage(url, "failed")
        if manner is Manner.MOVED and not moved:
            return TruePage(url, links=(f"{url}/to",))
        item = as_text({"title": f"page {number}", "number": int(number)})
        return TruePage(url, links=tuple(self.links(int(number))), items=(item,))


def read_hits(log: Path, names: Mapping[str, str]) -> tuple[Hit, ...]:
    """Every answer of the site. ``names``: what to call whoever asked from that address."""
    lines = (json.loads(line) for line in log.read_text().splitlines())
    return tuple(
        Hit(hit["url"], hit["start"], hit["end"], names.get(hit["from"], hit["from"]))
        for hit in lines
    )


class _Site:
    """All the trees of one host."""

    def __init__(self, log: Path, seed: int) -> None:
        self._log = log.open("a")
        self._seed = seed
        self._asked: set[str] = set()

    async def answer(self, request: web.Request) -> web.Response:
        start = time.time()
        url = str(request.url)
        tree = Tree(str(request.url.origin()), int(request.match_info["size"]), self._seed)
        number = int(request.match_info["number"])
        try:
            await asyncio.sleep(tree.wait_s(number))
            return self._answer(tree, number, url)
        finally:
            line = {"url": url, "start": start, "end": time.time(), "from": request.remote}
            self._log.write(json.dumps(line) + "\n")
            self._log.flush()

    def _answer(self, tree: Tree, number: int, url: str) -> web.Response:
        first = url not in self._asked
        self._asked.add(url)
        manner = tree.manner(number)
        if manner is Manner.GONE or number >= tree.size:
            return web.Response(status=404)
        if manner is Manner.SHY and first:
            return web.Response(status=500)
        if manner is Manner.MOVED and not url.endswith("/to"):
            return web.Response(status=301, headers={"Location": f"{url}/to"})
        return web.Response(text=tree.html(number), content_type="text/html")


async def _serve(address: str, log: Path, seed: int, ports: list[int]) -> None:
    app, site = web.Application(), _Site(log, seed)
    path = r"/{size:\d+}/{number:\d+}"
    for route in (path, f"{path}/to"):
        app.router.add_get(route, site.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for port in ports:
        await web.TCPSite(runner, address, port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), [*map(int, sys.argv[4:])]))
