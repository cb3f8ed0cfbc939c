"""A site of several hosts that notes when it is asked, and answers slowly enough to be asked twice
at a time by whoever would do that.

Run as ``python -m tests.acceptance.meter PORT LOG PAGES``; every request is a line of LOG:
``HOST PATH ARRIVED ANSWERED ACTIVE``, times by the monotonic clock, ACTIVE how many requests the
host had then.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

PLAIN, ASKS, BUSY, BUCKET = (f"127.0.0.{number}" for number in (2, 3, 4, 5))
HOSTS = (PLAIN, ASKS, BUSY, BUCKET)
CRAWL_DELAY_S = 1
RETRY_AFTER_S = 3
BUSY_AT = 6  # the request to BUSY that is told to come later
_ANSWER_S = 0.05


class Hit(NamedTuple):
    """One request. ``answered``: just before the answer was sent."""

    host: str
    path: str
    arrived: float
    answered: float
    active: int


def hits(log: Path) -> list[Hit]:
    """All requests so far, by the time they arrived."""
    rows = (line.split() for line in log.read_text().splitlines())
    found = [Hit(row[0], row[1], float(row[2]), float(row[3]), int(row[4])) for row in rows]
    return sorted(found, key=lambda hit: hit.arrived)


class _Site:
    def __init__(self, log: Path, pages: int) -> None:
        self._log = log
        self._pages = pages
        self._active: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()

    async def answer(self, request: web.Request) -> web.Response:
        arrived, host = time.monotonic(), request.host.partition(":")[0]
        self._active[host] += 1
        self._asked[host] += 1
        active, asked = self._active[host], self._asked[host]
        try:
            await asyncio.shield(asyncio.sleep(_ANSWER_S))
            return self._response(host, request.path, asked)
        finally:
            self._active[host] -= 1
            with self._log.open("a") as lines:
                lines.write(f"{host} {request.path} {arrived} {time.monotonic()} {active}\n")

    def _response(self, host: str, path: str, asked: int) -> web.Response:
        if path == "/robots.txt":
            rules = f"User-agent: *\nCrawl-delay: {CRAWL_DELAY_S}\n" if host == ASKS else ""
            return web.Response(text=rules)
        if host == BUSY and asked == BUSY_AT:
            return web.Response(status=429, headers={"Retry-After": str(RETRY_AFTER_S)})
        page = int(path.strip("/") or 0)
        links = (n for n in (2 * page + 1, 2 * page + 2) if n < self._pages)
        text = "".join(f'<a href="/{n}">{n}</a>' for n in links)
        return web.Response(text=f"<h1>{page}</h1>{text}", content_type="text/html")


async def _serve(port: int, log: Path, pages: int) -> None:
    app = web.Application()
    app.router.add_get("/{path:.*}", _Site(log, pages).answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for host in HOSTS:
        await web.TCPSite(runner, host, port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
