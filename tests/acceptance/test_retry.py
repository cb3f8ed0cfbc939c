"""`crawler retry` on a cluster, against a site that fails at first: every page is had in the same
run, once, whichever step its leader is killed at."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.acceptance.cluster import TTL_S, Cluster, eventually
from tests.acceptance.truth import show
from tests.etcd_server import EtcdServer

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


@pytest.fixture
async def site() -> AsyncIterator[Flaky]:
    flaky = Flaky()
    app = web.Application()
    app.router.add_get("/{tail:.*}", flaky.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    door = web.TCPSite(runner, "127.0.0.1", 0)
    await door.start()
    flaky.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield flaky
    await runner.cleanup()


def definition(site: Flaky) -> str:
    return f'''
start_urls = ["{site.url}/"]
download_delay = 0
retry_times = 0
[[rules]]
match = "{site.url}/**"
follow = [{{ css = "a" }}]
item.title = "title"
'''


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


@asynccontextmanager
async def crawled(folder: Path, etcd: EtcdServer, site: Flaky) -> AsyncIterator[Cluster]:
    """A cluster whose crawl of the site is over, half of its pages failed."""
    cluster = Cluster(folder, etcd)
    try:
        await cluster.complete(("1", "2"), ("1",))
        (folder / "flaky.toml").write_text(definition(site))
        code, said = await crawler(cluster, "apply", str(folder / "flaky.toml"))
        assert code == 0, said
        await wait_counted(cluster, failed=len(BAD) + 1)
        yield cluster
    finally:
        cluster.stop()


def check_had(cluster: Cluster, site: Flaky) -> None:
    """All but the page that is gone, each in the one run and stored once."""
    with cluster.sql() as sql:
        assert list(sql.execute("SELECT count(*), max(run) FROM runs")) == [(1, 1)]
        states = Counter(dict(sql.execute("SELECT state, count(*) FROM pages GROUP BY state")))
        (items,) = sql.execute("SELECT count(*), count(DISTINCT fingerprint) FROM items")
    assert states == {"done": PAGES, "failed": 1}  # the start page, too
    assert items == (PAGES, PAGES)
    assert {path: count for path, count in site.hits.items() if count > 1} == dict.fromkeys(BAD, 2)


@pytest.mark.timeout(180)
async def test_what_failed_is_had_in_the_same_run(
    tmp_path: Path, etcd: EtcdServer, site: Flaky
) -> None:
    async with crawled(tmp_path, etcd, site) as cluster:
        code, said = await crawler(cluster, "retry", "flaky", "--status", "5xx", "--dry-run")
        assert (code, "flaky has 6 failed pages like that in run 1" in said) == (0, True), said
        code, said = await crawler(cluster, "retry", "flaky", "--run", "7")
        assert (code != 0, "run: 7 is not the latest run of flaky, 1 is" in said) == (True, True)
        code, said = await crawler(cluster, "retry", "flaky", "--status", "5")
        assert (code != 0, "status: an HTTP status (503)" in said) == (True, True), said
        site.well = True
        code, said = await crawler(cluster, "retry", "flaky", "--status", "503")
        assert (code, "flaky tries 6 failed pages again in run 1" in said) == (0, True), said
        await wait_counted(cluster, failed=1, done=PAGES, items=PAGES, pending=0)
        check_had(cluster, site)
        code, said = await crawler(cluster, "retry", "flaky", "--status", "503")
        assert (code, "no failed page like that" in said) == (0, True), said


PLACES = ["store.before_retry", "store.after_retry", "master.retry.after_txn"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("place", PLACES)
async def test_a_leader_killed_in_a_retry_leaves_it_to_the_next(
    tmp_path: Path, etcd: EtcdServer, site: Flaky, place: str
) -> None:
    async with crawled(tmp_path, etcd, site) as cluster:
        site.well = True
        leader = await cluster.wait_leader()
        heir = "2" if leader == "1" else "1"
        cluster.masters[heir].kill()
        cluster.start_master(heir, CRAWLER_FAILPOINTS=f"{place}=kill@1")
        await cluster.wait_ready(heir)
        cluster.masters[leader].kill()
        await cluster.wait_leader(other_than=leader)
        await cluster.wait_ready(heir)
        del cluster.masters[leader]
        code, said = await crawler(cluster, "retry", "flaky", "--status", "503")
        assert code != 0, said
        assert cluster.masters[heir].wait() < 0
        del cluster.masters[heir]
        cluster.start_master(leader)
        if place == "store.before_retry":  # definitely nothing happened
            with sqlite3.connect(f"file:{cluster.database}?mode=ro", uri=True) as sql:
                assert list(sql.execute("SELECT sum(failed) FROM counters")) == [(len(BAD) + 1,)]
            await cluster.wait_ready(leader)
            code, said = await crawler(cluster, "retry", "flaky", "--status", "503")
            assert (code, "tries 6 failed pages again" in said) == (0, True), said
        await wait_counted(cluster, failed=1, done=PAGES, items=PAGES, pending=0)
        check_had(cluster, site)
