"""A site of many hosts, each a loopback address of its own, whose pages link to one another.

Run as ``python -m tests.acceptance.islands PORT LOG``; every request is a line of LOG.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

HOSTS = 8
PAGES = 40  # per host


def hosts() -> list[str]:
    """127.0.0.2 and following."""
    return [f"127.0.0.{number}" for number in range(2, 2 + HOSTS)]


def links(host: int, page: int) -> Iterator[tuple[int, int]]:
    """Down the own tree, and sideways to the next host and one further on."""
    for child in (2 * page + 1, 2 * page + 2):
        if child < PAGES:
            yield host, child
    yield (host + 1) % HOSTS, page
    yield (host + page) % HOSTS, 7 * page % PAGES


def urls(port: int) -> set[str]:
    """Every page that a crawl from the first page of the first host must reach."""
    found = {(0, 0)}
    ahead = [(0, 0)]
    while ahead:
        for link in links(*ahead.pop()):
            if link not in found:
                found.add(link)
                ahead.append(link)
    return {f"http://{hosts()[host]}:{port}/{page}" for host, page in found}


def definition(port: int, partitions: int) -> dict[str, object]:
    """The crawl of all islands; one item per page."""
    return {
        "start_urls": [f"http://{hosts()[0]}:{port}/0"],
        "allowed_domains": hosts(),
        "partitions": partitions,
        "download_delay": 0.05,
        "rules": [
            {
                "match": f"http://127.0.0.*:{port}/*",
                "follow": ["a"],
                "item": {"title": {"css": "h1::text", "required": True}},
            }
        ],
    }


def spider(port: int) -> str:
    """The same crawl as code; the definition that names it has partitions of its own."""
    return f"""
from crawler.spider import Spider

class Shop(Spider):
    name = "shop"
    start_urls = ["http://{hosts()[0]}:{port}/0"]
    allowed_domains = {hosts()}
    custom_settings = {{"download_delay": 0.05}}

    def parse(self, page):
        yield {{"title": page.css("h1::text").get()}}
        yield from page.follow_all("a")
"""


def _page(host: int, page: int, port: int) -> str:
    targets = (f"http://{hosts()[to]}:{port}/{number}" for to, number in links(host, page))
    anchors = "".join(f'<a href="{url}">next</a>' for url in targets)
    return f"<html><body><h1>island {host} page {page}</h1>{anchors}</body></html>"


async def _serve(port: int, log: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        host = hosts().index(request.host.partition(":")[0])
        with log.open("a") as lines:
            lines.write(f"http://{request.host}{request.path}\n")
        text = _page(host, int(request.match_info["page"]), port)
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/{page:[0-9]+}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for host in hosts():
        await web.TCPSite(runner, host, port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
