"""`crawler worker --cluster=false`: a real process, a real site, a real kill."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from secrets import token_hex

import pytest
from aiohttp import web

from crawler.local.site import pages, products, serve_shop
from crawler.local.verdict import judge, read_items
from tests.integration.app.alone import ENDED, hits_so_far, run_alone, wait_hits, write_shop
from tests.integration.engine.servers import serving

COUNT = 120


async def test_a_crawl_outlives_kill_9(tmp_path: Path) -> None:
    access_log, database = tmp_path / "access.jsonl", tmp_path / "crawl.db"
    async with serve_shop(0, access_log, COUNT) as url:
        shop = write_shop(tmp_path / "shop.json", url, download_delay=0.01)
        async with run_alone(database, [shop]) as first:
            await wait_hits(access_log, COUNT // 2)
            await first.kill()
        before = len(hits_so_far(access_log))
        assert before < len(list(pages(COUNT))), "it was killed too late to show anything"
        async with run_alone(database, [shop]) as second:
            ended = await second.wait_line(ENDED)
            assert ended["finished"] == ["shop"]
            status, told = await second.ready()
            assert (status, told["ok"]) == (200, True)
            assert "shop finished" in told["checks"]["crawls"]["words"]
            assert await second.stop() == 0
    verdict = judge(COUNT, read_items(database, "shop"), hits_so_far(access_log))
    assert verdict.clean, verdict
    # In flight at the kill, or fetched and not committed within the half second before it.
    assert verdict.refetched < COUNT // 2 + sum(each.moved for each in products(COUNT))
    assert len(hits_so_far(access_log)) < before + len(list(pages(COUNT)))


async def test_what_is_finished_is_not_crawled_again_before_it_changes(tmp_path: Path) -> None:
    access_log, database = tmp_path / "access.jsonl", tmp_path / "crawl.db"
    async with serve_shop(0, access_log, 40) as url:
        settings = {"download_delay": 0.0, "max_items": 3}
        shop = write_shop(tmp_path / "shop.json", url, **settings)
        async with run_alone(database, [shop]) as worker:
            await worker.wait_line(ENDED)
            assert await worker.stop() == 0
        once = len(hits_so_far(access_log))
        assert once
        async with run_alone(database, [shop]) as worker:
            await worker.wait_line(ENDED)
            assert await worker.stop() == 0
        assert len(hits_so_far(access_log)) == once
        write_shop(shop, url, **{**settings, "max_items": 4})
        async with run_alone(database, [shop]) as worker:
            await worker.wait_line(ENDED)
            assert await worker.stop() == 0
        assert len(hits_so_far(access_log)) > once


async def test_a_second_worker_on_the_same_database_is_refused(tmp_path: Path) -> None:
    async with serve_shop(0, tmp_path / "access.jsonl", 40) as url:
        shop = write_shop(tmp_path / "shop.json", url, download_delay=0.0)
        async with run_alone(tmp_path / "crawl.db", [shop]) as first:
            await first.wait_line("crawling without a cluster")
            async with run_alone(tmp_path / "crawl.db", [shop]) as second:
                _, said = await second.process.communicate()
                assert second.process.returncode == 5
                assert b"another worker with --cluster=false crawls in" in said.splitlines()[-1]
            await first.wait_line(ENDED)
            assert await first.stop() == 0


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.threat(3, 24)
async def test_a_secret_reaches_its_site_and_nothing_that_is_kept(tmp_path: Path) -> None:
    canary, seen = f"canary{token_hex(8)}", []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.headers.get("Authorization"), request.headers.get("X-Key")))
        return web.Response(status=404 if request.path == "/robots.txt" else 200)

    key = tmp_path / "key"
    key.write_text(f"{canary}\n")
    config = tmp_path / "crawler.toml"
    config.write_text(f'[worker.secrets.site]\nfile = "{key}"\ndomains = ["127.0.0.1"]\n')
    async with serving(handle) as origin:
        settings = {"start_urls": [f"{origin}/"], "headers": {"X-Key": "${secret:site}"}}
        auth = [{"domain": "127.0.0.1", "bearer": "${secret:site}"}]
        good, bad = tmp_path / "good.json", tmp_path / "bad.json"
        good.write_text(json.dumps({**settings, "auth": auth}))
        bad.write_text(json.dumps({**settings, "allowed_domains": ["shop.example"]}))
        async with run_alone(tmp_path / "crawl.db", [good, bad], f"--config={config}") as worker:
            ended = await worker.wait_line(ENDED)
            assert (ended["finished"], ended["failed"]) == (["good"], ["bad"])
            command = command_line(worker.process.pid)
            assert await worker.stop() == 0
    assert (f"Bearer {canary}", canary) in seen
    reasons = [line["reason"] for line in worker.lines if line.get("state") == "error"]
    assert len(reasons) == 1
    assert reasons[0].startswith("headers.X-Key: the secret site may not be sent to shop.example")
    kept = (tmp_path / "crawl.db").read_bytes()
    for told in (json.dumps(worker.lines), command, kept.decode(errors="replace")):
        assert canary not in told
    assert b"${secret:site}" in kept


async def test_a_worker_shows_pages_and_stops_while_it_does(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/beat":
            begun.set()
        script = "setInterval(() => fetch('/beat'), 100)" if request.path == "/slow" else ""
        page = f"<p id=p></p><script>p.textContent = 'shown'; {script}</script>"
        found = request.path in ("/", "/slow", "/beat")
        return web.Response(text=page, content_type="text/html", status=200 if found else 404)

    rule = {"match": "**", "fetcher": "browser", "item": {"text": "p::text"}}
    database, quick, slow = (tmp_path / name for name in ("crawl.db", "quick.json", "slow.json"))
    async with serving(handle) as origin:
        waiting = {**rule, "browser": {"wait_for": ".never"}}
        for file, path, shown in ((quick, "/", rule), (slow, "/slow", waiting)):
            definition = {"start_urls": [origin + path], "rules": [shown], "download_delay": 0.0}
            file.write_text(json.dumps(definition))
        async with run_alone(database, [quick]) as worker:
            ended = await worker.wait_line(ENDED)
            assert ended["finished"] == ["quick"]
            assert await worker.stop() == 0
        async with run_alone(database, [slow]) as worker:
            async with asyncio.timeout(60):
                await begun.wait()
            worker.process.terminate()
            _, said = await worker.process.communicate()
    assert worker.process.returncode == 0
    assert b"not drained in time" not in said
    assert [item["text"] for item in read_items(database, "quick")] == ["shown"]
    assert not read_items(database, "slow")
