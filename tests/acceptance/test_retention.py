"""A crawl that is due every second and keeps little, while leaders are killed as they let go of it:
what is kept is whole, nothing hangs in the air, and no due time comes twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cluster import TTL_S, Cluster, Site, eventually, request
from tests.etcd_server import EtcdServer

RUNS, PAGES, EVENTS = 3, 2, 20


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, 10)
    yield site
    site.process.kill_group()


def ask(cluster: Cluster, sql: str) -> list[tuple[Any, ...]]:
    with cluster.sql() as reading:
        return list(reading.execute(sql))


async def wait_gone(cluster: Cluster, runs: int) -> None:
    """Wait until nothing is kept of so many runs."""

    async def gone() -> bool | None:
        (found,) = ask(cluster, "SELECT count(*) FROM runs WHERE kept = 'none' AND trimming = 0")
        return found[0] >= runs or None

    await eventually(gone, f"end of {runs} runs", 30 * TTL_S)


@pytest.mark.timeout(240)
async def test_what_is_not_kept_goes_although_leaders_are_killed_over_it(
    tmp_path: Path, etcd: EtcdServer, site: Site
) -> None:
    cluster = Cluster(tmp_path, etcd)
    try:
        for master in "12":
            cluster.start_master(master, CRAWLER_FAILPOINTS="store.before_trim=kill@2")
        cluster.start_worker("1")
        await cluster.wait_ready("1", "2")
        await cluster.wait_workers(1)
        definition = {
            "start_urls": [f"{site.url}/"],
            "download_delay": 0,
            "rules": [{"match": f"{site.url}/**", "item": {"title": "title"}}],
            "schedule": {"every": "1s"},
            "keep_runs": RUNS,
            "keep_pages": PAGES,
            "keep_events": EVENTS,
        }
        url = f"{cluster.url('1')}/crawler/resource/front"
        assert (await request("PUT", url, definition))[0] in (200, 202)
        for process in cluster.masters.values():  # each leads in its turn

            async def killed(process: Any = process) -> bool | None:
                return not process.running or None

            await eventually(killed, "death in a trim", 20 * TTL_S)
        cluster.start_master("1")
        await cluster.wait_ready("1")
        (before,) = ask(cluster, "SELECT count(*) FROM runs WHERE kept = 'none'")
        await wait_gone(cluster, before[0] + 3)
        assert (await request("POST", f"{url}/pause"))[0] == 200
        await wait_settled(cluster)
        check_kept(cluster)
        await check_answers(url)
    finally:
        cluster.stop()


async def wait_settled(cluster: Cluster) -> None:
    """Wait until no more than what is kept is there."""

    async def settled() -> bool | None:
        sql = "SELECT count(*) FROM runs WHERE kept <> 'none' OR trimming <> 0"
        (found,) = ask(cluster, sql)
        return found[0] <= RUNS + 1 or None  # the latest may have begun after the last look

    await eventually(settled, "end of trimming", 10 * TTL_S)


def check_kept(cluster: Cluster) -> None:
    runs = ask(cluster, "SELECT run, due_at, kept FROM runs ORDER BY run")
    assert [run for run, _, _ in runs] == list(range(1, len(runs) + 1))
    dues = [due for _, due, _ in runs if due]
    assert dues == sorted(set(dues))
    for table in ("pages", "items", "counters", "outbox"):
        orphans = f"""
            SELECT count(*) FROM {table} WHERE run_id NOT IN (
                SELECT id FROM runs WHERE kept = 'all' OR (kept = 'items' AND '{table}' <> 'pages')
            )"""
        assert ask(cluster, orphans) == [(0,)], table
    lost = (
        "SELECT count(*) FROM items WHERE url IS NULL AND run_id NOT IN (SELECT run_id FROM pages)"
    )
    assert ask(cluster, lost) == [(0,)]


async def check_answers(url: str) -> None:
    runs = (await request("GET", f"{url}/runs"))[1]["runs"]
    kept = [each["run"] for each in runs]
    oldest = kept[0]
    items = (await request("GET", f"{url}/items?run={oldest}"))[1]["items"]
    assert [item["fields"]["title"] for item in items]
    assert all(item["url"].startswith("http://") for item in items)
    status, answer = await request("GET", f"{url}/pages?run={oldest}")
    assert (status, "not kept any more, its items are" in answer["message"]) == (404, True)
    status, answer = await request("GET", f"{url}/items?run=1")
    assert (status, "run 1 is not kept any more" in answer["message"]) == (404, True)
    status, answer = await request("GET", f"{url}/export?since=1:1")
    assert (status, f"give {oldest}:0 to go on" in answer["message"]) == (400, True)
    assert len((await request("GET", f"{url}/events?limit=1000"))[1]["events"]) < 10 * EVENTS
