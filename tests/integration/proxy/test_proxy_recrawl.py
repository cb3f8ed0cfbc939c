"""What a crawl has fetched, the proxy beside it has, and what is fresh is not asked for again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.integration.app.alone import run_alone
from tests.integration.app.test_app_recrawl import Kept
from tests.integration.engine.servers import serving
from tests.integration.proxy.stage import ask, until

FRESH, STALE = ("/", "/a", "/b"), "/stale"


class Site:
    """Links to pages that are fresh for an hour, and to one that never is."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(status=404)
        self.asked[request.path] += 1
        seconds = 0 if request.path == STALE else 3600
        headers = {"Cache-Control": f"max-age={seconds}", "ETag": '"1"'}
        if request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304, headers=headers)
        links = "".join(f"<a href={path}>x</a>" for path in (*FRESH, STALE))
        return web.Response(text=links, content_type="text/html", headers=headers)


async def test_a_recrawl_asks_for_what_is_not_fresh_any_more(tmp_path: Path) -> None:
    site, kept = Site(), Kept(tmp_path / "crawl.db")
    file, data = tmp_path / "site.json", tmp_path / "kept"
    async with serving(site.handle) as origin:
        crawl = {"start_urls": [f"{origin}/"], "schedule": "every 1s", "download_delay": 0.01}
        rules = [{"name": "page", "match": f"{origin}/*", "follow": [{"css": "a"}]}]
        file.write_text(json.dumps({**crawl, "rules": rules}))
        proxy = ("--proxy=:0", f"--proxy-data={data}")
        async with run_alone(tmp_path / "crawl.db", [file], *proxy) as worker:
            port = (await worker.wait_line("proxy listens"))["port"]
            await worker.wait_line("crawling without a cluster")
            await until(lambda: site.asked[STALE] >= 2)  # the second run has begun
            second = await kept.finished(2)
            assert second.progress.done == len(FRESH) + 1
            assert second.progress.unchanged == len(FRESH) + 1
            assert {site.asked[path] for path in FRESH} == {1}
            assert site.asked[STALE] >= 2
            answer = await ask(port, f"{origin}/a", User_Agent="somebody else")
            assert (answer.status, answer.cached.partition(";")[0]) == (200, "hit")
            assert {site.asked[path] for path in FRESH} == {1}
            (http,) = [
                line["port"] for line in worker.lines if line["msg"] == "http server listens"
            ]
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{http}/metrics") as metrics,
            ):
                assert 'crawler_proxy_requests_total{result="hit"} 1.0' in await metrics.text()
            assert await worker.stop() == 0
