"""A crawl that is due every two seconds, while the leaders that begin its runs are killed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.cluster import GRACE_S, TTL_S, Cluster, Site, eventually, request
from tests.acceptance.truth import show
from tests.etcd_server import EtcdServer

EVERY_S = 2
KILLS = 2
# From the death of a leader to the first run that the next one began.
BOUND_S = TTL_S + 1 + EVERY_S + 2 * GRACE_S


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, 10)
    yield site
    site.process.kill_group()


def runs_of(cluster: Cluster) -> list[tuple[int, int, float, float, str]]:
    """Number, due time, start, end and reason of all runs, from an independent read."""
    with cluster.sql() as sql:
        rows = sql.execute(
            "SELECT run, due_at, started_at, finished_at, finished FROM runs ORDER BY run"
        )
        return list(rows)


async def wait_runs(cluster: Cluster, count: int, timeout_s: float) -> None:
    async def enough() -> bool | None:
        ended = [run for run in runs_of(cluster) if run[4]]
        return len(ended) >= count or None

    await eventually(enough, f"{count} runs", timeout_s)


async def answered(cluster: Cluster, path: str) -> Any:
    status, answer = await request("GET", f"{cluster.url('1')}/crawler/resource/front{path}")
    assert status == 200, answer
    return answer


@pytest.mark.timeout(180)
async def test_every_due_time_has_one_run_although_its_leaders_are_killed(
    tmp_path: Path, etcd: EtcdServer, site: Site
) -> None:
    cluster = Cluster(tmp_path, etcd)
    try:
        await cluster.complete(("1", "2"), ("1",))
        definition = {
            "start_urls": [f"{site.url}/"],
            "download_delay": 0,
            "rules": [{"match": f"{site.url}/", "item": {"title": "title"}}],
            "schedule": {"every": f"{EVERY_S}s"},
        }
        url = f"{cluster.url('1')}/crawler/resource/front"
        assert (await request("PUT", url, definition))[0] in (200, 202)
        await wait_runs(cluster, 3, 10 * TTL_S)
        for _ in range(KILLS):
            leader, _heir = await cluster.candidates()
            before = len(runs_of(cluster))
            cluster.masters[leader].kill_group()
            await wait_runs(cluster, before + 2, BOUND_S + EVERY_S)
            await cluster.complete(("1", "2"), ("1",))
        status, _ = await request("POST", f"{url}/stop")
        assert status == 200
        stopped_at = time.time()
        told = await answered(cluster, "/runs")
        created = int((await show(cluster, "1", "front"))["creation_time"]) // 10**9
    finally:
        cluster.stop()
    runs = runs_of(cluster)
    assert [run for run, *_ in runs] == list(range(1, len(runs) + 1))
    due = [due_at for _, due_at, *_ in runs]
    assert due[0] == 0, "the first run is by hand"
    assert due[1:] == sorted(set(due[1:])), "a due time came twice, or out of order"
    assert all((each - created) % EVERY_S == 0 for each in due[1:])
    assert all(due_at <= started_at <= stopped_at for _, due_at, started_at, *_ in runs)
    assert {reason for *_, reason in runs[:-1]} == {"finished"}
    # No run fetched or stored anything twice: no worker died.
    hits = site.hits()["/"]
    assert len(runs) - 1 <= hits <= len(runs)
    with cluster.sql() as sql:
        counts = sql.execute("SELECT count(*) FROM items GROUP BY run_id").fetchall()
    assert {count for (count,) in counts} == {1}
    assert [run["due_at"] for run in told["runs"]] == due
    assert told["next_due"] is None, "what is stopped is left alone"
    assert json.dumps(told).count('"finished": "finished"') >= len(runs) - 1
