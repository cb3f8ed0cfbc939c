"""A site that fails at first, and what has become of a crawl of it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.acceptance.cluster import TTL_S, Cluster, eventually
from tests.acceptance.truth import show
from tests.integration.engine.servers import serving

PAGES = 12
BAD = {f"/p/{number}" for number in range(0, PAGES, 2)}
GONE = "/p/1"


@dataclass
class Flaky:
    """A site of which some pages answer 503 until it is `well`, and one is never there."""

    url: str = ""
    well: bool = False
    hits: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(status=404)
        self.hits[request.path] += 1
        if request.path == GONE:
            return web.Response(status=404)
        if request.path in BAD and not self.well:
            return web.Response(status=503)
        links = "".join(f"<a href='/p/{number}'>x</a>" for number in range(PAGES))
        text = f"<title>{request.path}</title>{links}"
        return web.Response(text=text, content_type="text/html")


@asynccontextmanager
async def serve_flaky() -> AsyncIterator[Flaky]:
    flaky = Flaky()
    async with serving(flaky.answer) as flaky.url:
        yield flaky


async def crawler(cluster: Cluster, *arguments: str) -> tuple[int, str]:
    """Run a command against both masters: its exit code, and what it said."""
    masters = ",".join(cluster.url(each) for each in cluster.masters)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "crawler", *arguments,
        env={**os.environ, "CRAWLER_MASTER": masters},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def wait_counted(cluster: Cluster, **counters: Any) -> dict[str, Any]:
    """Wait until the run is over and these are its counters."""

    async def over() -> dict[str, Any] | None:
        for master in cluster.masters:
            shown = await show(cluster, master, "flaky")
            progress = shown.get("progress") or {}
            if shown.get("state") == "finished" and counters.items() <= progress.items():
                return dict(shown)
        return None

    return await eventually(over, f"an end with {counters}", 20 * TTL_S)


def check_had(cluster: Cluster, site: Flaky) -> None:
    """All but the page that is gone, each in the one run and stored once."""
    with cluster.sql() as sql:
        assert list(sql.execute("SELECT count(*), max(run) FROM runs")) == [(1, 1)]
        states = Counter(dict(sql.execute("SELECT state, count(*) FROM pages GROUP BY state")))
        (items,) = sql.execute("SELECT count(*), count(DISTINCT fingerprint) FROM items")
    assert states == {"done": PAGES, "failed": 1}  # the start page, too
    assert items == (PAGES, PAGES)
    assert {path: count for path, count in site.hits.items() if count > 1} == dict.fromkeys(BAD, 2)
