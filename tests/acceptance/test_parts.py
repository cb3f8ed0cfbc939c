"""A divided crawl of many hosts: its parts run on different workers at once, survive the deaths of
these one by one, and end together."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.store.parts import part_of
from tests.acceptance import islands
from tests.acceptance.cluster import Cluster, Process, eventually, request
from tests.acceptance.truth import show, wait_done, wait_finished
from tests.ports import free_port
from tests.spiders import install_spider

PARTS = 3


def _port_for_all_parts() -> int:
    """One with which every part gets some of the hosts: names of hosts include their port."""
    while True:
        port = free_port()
        if len({part_of(f"{host}:{port}", PARTS) for host in islands.hosts()}) == PARTS:
            return port


class Islands:
    """The site in its own process."""

    def __init__(self, folder: Path) -> None:
        self.port = _port_for_all_parts()
        self.log = folder / "islands.txt"
        self.log.touch()
        command = [sys.executable, "-m", "tests.acceptance.islands", str(self.port), str(self.log)]
        self.process = Process("islands", command, folder / "islands.log")

    def hits(self) -> Counter[str]:
        return Counter(self.log.read_text().split())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Islands]:
    running = Islands(tmp_path)
    yield running
    running.process.kill_group()


async def owners(cluster: Cluster) -> list[str] | None:
    """Who has each part, once all of them run."""
    parts = (await show(cluster, "1")).get("parts", [])
    if len(parts) != PARTS or any(part["state"] != "running" for part in parts):
        return None
    return [part["assigned_node"].rpartition("-")[2] for part in parts]


@pytest.mark.parametrize("by", ["rules", "a spider"])
async def test_parts_survive_the_deaths_of_their_workers(
    cluster: Cluster, site: Islands, by: str, tmp_path: Path
) -> None:
    wanted, installed = islands.definition(site.port, PARTS), {}
    if by == "a spider":
        wanted = {"spider": "shop", "partitions": PARTS}
        place = install_spider(tmp_path, "islands_of_ours", islands.spider(site.port))
        installed = {"PYTHONPATH": str(place)}
    cluster.start_master("1")
    for worker in "123":
        cluster.start_worker(worker, **installed)
    await cluster.wait_leader()
    await cluster.wait_workers(3)
    url = f"{cluster.url('1')}/crawler/resource/shop"
    status, answer = await request("PUT", url, wanted)
    assert status == 200, answer
    found = await eventually(lambda: owners(cluster), "owner of every part", 30)
    assert len(set(found)) == PARTS, "parts share a worker although others are idle"
    for turn, victim in enumerate(found[:2]):
        before = await wait_done(cluster, "1", 40 * (turn + 1), 60)
        cluster.workers[victim].kill_group()
        await wait_done(cluster, "1", before + 20, 60)
        cluster.start_worker(victim, **installed)
    await wait_finished(cluster, "1")
    _check(cluster, site)
    ended = await show(cluster, "1")
    assert [part["state"] for part in ended["parts"]] == ["finished"] * PARTS


def _check(cluster: Cluster, site: Islands) -> None:
    expected = islands.urls(site.port)
    with cluster.sql() as sql:
        pages = Counter(row[0] for row in sql.execute("SELECT url FROM pages"))
        states = {row[0] for row in sql.execute("SELECT state FROM pages")}
        parts = dict(sql.execute("SELECT host, min(part) FROM pages GROUP BY host"))
        strays = sql.execute(
            "SELECT count(*) FROM (SELECT host FROM pages GROUP BY host "
            "HAVING count(DISTINCT part) > 1)"
        ).fetchone()[0]
        texts = sql.execute("SELECT CAST(fields AS TEXT) FROM items")
        items = Counter(json.loads(row[0])["title"] for row in texts)
        sums = sql.execute("SELECT sum(known), sum(done), sum(items) FROM counters").fetchone()
    assert set(pages) == expected
    assert set(pages.values()) == set(items.values()) == {1}
    assert states == {"done"}
    assert sums == (len(expected), len(expected), len(expected))
    assert len(items) == len(expected)
    assert strays == 0
    assert len(set(parts.values())) == PARTS
    again = sum(count - 1 for count in site.hits().values())
    assert again <= 2 * 30, f"{again} pages were fetched twice"
