"""`crawler retry` on a cluster, against a site that fails at first: every page is had in the same
run, once, whichever step its leader is killed at."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.acceptance.cluster import Cluster
from tests.acceptance.flaky import BAD, PAGES, Flaky, check_had, crawler, serve_flaky, wait_counted
from tests.etcd_server import EtcdServer


@pytest.fixture
async def site() -> AsyncIterator[Flaky]:
    async with serve_flaky() as flaky:
        yield flaky


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


@asynccontextmanager
async def crawled(
    folder: Path, etcd: EtcdServer, site: Flaky, failpoints: str = ""
) -> AsyncIterator[Cluster]:
    """A cluster whose crawl of the site is over, half of its pages failed. Master 1 leads, and has
    these failpoints."""
    cluster = Cluster(folder, etcd)
    try:
        cluster.start_master("1", CRAWLER_FAILPOINTS=failpoints)
        assert await cluster.wait_leader() == "1"
        await cluster.complete(("1", "2"), ("1",))
        (folder / "flaky.toml").write_text(definition(site))
        code, said = await crawler(cluster, "apply", str(folder / "flaky.toml"))
        assert code == 0, said
        await wait_counted(cluster, failed=len(BAD) + 1)
        yield cluster
    finally:
        cluster.stop()


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
    async with crawled(tmp_path, etcd, site, f"{place}=kill@1") as cluster:
        site.well = True
        leader, heir = cluster.masters.pop("1"), cluster.masters.pop("2")
        cluster.masters["1"] = leader  # alone is asked
        code, said = await crawler(cluster, "retry", "flaky", "--status", "503")
        assert code != 0, said
        assert leader.wait() < 0
        cluster.masters = {"2": heir}
        if place == "store.before_retry":  # definitely nothing happened
            with sqlite3.connect(f"file:{cluster.database}?mode=ro", uri=True) as sql:
                assert list(sql.execute("SELECT sum(failed) FROM counters")) == [(len(BAD) + 1,)]
            await cluster.wait_leader(other_than="1")
            code, said = await crawler(cluster, "retry", "flaky", "--status", "503")
            assert (code, "tries 6 failed pages again" in said) == (0, True), said
        await wait_counted(cluster, failed=1, done=PAGES, items=PAGES, pending=0)
        check_had(cluster, site)
