"""A hostile site, crawled by a cluster: every page ends with a reason that says what it was, the
worker keeps its lease, and what its processes take of the memory has a bound."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.acceptance import swamp
from tests.acceptance.cluster import Cluster, Process, eventually, request
from tests.acceptance.truth import show
from tests.etcd_server import EtcdServer
from tests.ports import free_port

RESOURCE = "/crawler/resource"
TIMEOUT_S = 12.0  # of one answer
LISTENS_S = 60.0
MOST_MB = 600  # of one process: sixteen answers of 10 MB, and a page of that size as a tree


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where the site answers, on all of its hosts."""
    number = free_port()
    command = [sys.executable, "-m", "tests.acceptance.swamp", str(number)]
    site = Process("swamp", command, tmp_path_factory.mktemp("swamp") / "log")
    deadline = time.monotonic() + LISTENS_S
    try:
        while not listens(swamp.ROBOTS_HOSTS[-1], number):
            assert time.monotonic() < deadline, site.text()
            time.sleep(0.05)
        yield number
    finally:
        site.kill_group()


def listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port)).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and a worker, which no page may harm."""
    with EtcdServer() as etcd:
        running = Cluster(tmp_path_factory.mktemp("cluster"), etcd)
        try:
            asyncio.run(running.complete("1", "1"))
            yield running
        finally:
            running.stop()


async def put(cluster: Cluster, name: str, *urls: str, **settings: Any) -> None:
    definition = {
        "start_urls": list(urls),
        "download_delay": 0,
        "concurrent_requests_per_domain": 16,
        "download_timeout": TIMEOUT_S,
        "retry_times": 0,
        **settings,
    }
    status, answer = await request("PUT", f"{cluster.url('1')}{RESOURCE}/{name}", definition)
    assert status == 200, answer


async def pages(cluster: Cluster, name: str, limit_s: float) -> dict[str, Mapping[str, Any]]:
    """All pages of a crawl by URL, once it is over."""

    async def over() -> bool | None:
        return (await show(cluster, "1", name)).get("state") == "finished" or None

    await eventually(over, f"end of {name}", limit_s)
    found: dict[str, Mapping[str, Any]] = {}
    cursor = ""
    while True:
        asked = urlencode({"limit": 1000, "cursor": cursor})
        _, answer = await request("GET", f"{cluster.url('1')}{RESOURCE}/{name}/pages?{asked}")
        found |= {page["url"]: page for page in answer["pages"]}
        cursor = answer["next"]
        if not cursor:
            return found


async def leases(cluster: Cluster) -> dict[str, int]:
    """All nodes, each with the revision since which it has been there."""
    async with cluster.client() as etcd:
        kvs = (await etcd.range("/micro/")).kvs
    return {kv.key: kv.create_revision for kv in kvs}


def most_mb(process: Process) -> list[int]:
    """The most that the process and its children have ever taken (VmHWM), in MB."""
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in (process.pid, *process.children())]
    return [int(re.findall(r"VmHWM:\s+(\d+) kB", text)[0]) // 1024 for text in texts]


@pytest.mark.timeout(300)
async def test_every_page_of_a_hostile_site_ends_with_its_reason(
    cluster: Cluster, port: int
) -> None:
    worker = cluster.workers["1"]
    before, children = await leases(cluster), worker.children()
    site = f"http://{swamp.HOST}:{port}"
    tricks = [site + path for path in swamp.TRICKS]
    await put(cluster, "tricks", *tricks, robotstxt_obey=False, depth_limit=1)
    found = await pages(cluster, "tricks", 150)
    expected = swamp.expected(port)
    ends = {url: (page["state"], page.get("reason", "")) for url, page in found.items()}
    wrong = {
        url: (ends.get(url), trick.state, trick.reason)
        for url, trick in expected.items()
        if url not in ends
        or ends[url][0] != trick.state
        or re.fullmatch(trick.reason, ends[url][1]) is None
    }
    assert not wrong
    assert set(found) == set(expected)
    assert await leases(cluster) == before
    assert worker.children() == children, "a process of the worker died"
    assert max(most_mb(worker)) < MOST_MB


@pytest.mark.timeout(120)
async def test_spaces_without_end_end(cluster: Cluster, port: int) -> None:
    worker = cluster.workers["1"]
    site = f"http://{swamp.HOST}:{port}"
    starts = [f"{site}/deeper/", f"{site}/calendar/2020/1/"]
    await put(cluster, "spaces", *starts, robotstxt_obey=False)
    await put(cluster, "links", f"{site}/links", robotstxt_obey=False, max_pages=1)
    found = await pages(cluster, "spaces", 60)
    excluded = sorted(page["reason"] for page in found.values() if page["state"] == "excluded")
    assert excluded == ["trap: an endless calendar", "trap: the path repeats itself 3 times"]
    assert len(found) < 40
    links = await pages(cluster, "links", 60)
    assert links[f"{site}/links"]["reason"].startswith("90000 links left out: more than 10000")
    progress = (await show(cluster, "1", "links"))["progress"]
    assert (progress["known"], progress["pending"]) == (10_001, 10_000)
    assert max(most_mb(worker)) < MOST_MB


@pytest.mark.timeout(120)
async def test_a_robots_txt_of_any_kind_is_read_to_its_bound(cluster: Cluster, port: int) -> None:
    worker = cluster.workers["1"]
    large, circle, rubbish = (f"http://{host}:{port}" for host in swamp.ROBOTS_HOSTS)
    starts = [f"{large}/closed", f"{large}/x000001", f"{large}/x399999", f"{circle}/known"]
    await put(cluster, "robots", *starts, f"{rubbish}/known")
    found = await pages(cluster, "robots", 60)
    ends = {url: (page["state"], page.get("reason", "")) for url, page in found.items()}
    refused = ("excluded", "robots.txt")
    assert ends[f"{large}/closed"] == ends[f"{large}/x000001"] == refused
    assert ends[f"{large}/x399999"] == ("failed", "http 404"), "beyond the first 500 kB"
    assert ends[f"{circle}/known"] == ends[f"{rubbish}/known"] == ("done", "")
    assert max(most_mb(worker)) < MOST_MB
