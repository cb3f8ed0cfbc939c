"""What a site gets to see of a cluster: never more than one crawl alone would be allowed, however
many workers and crawls there are, and whoever of them dies.

How many requests are under way is exact: a host's request begins and ends, for the site, while it
is under way for the crawler. When they come is not: one may be late, and the next in time. So the
times of several in a row are looked at, where only the first can be late and make them look too
quick. Two that came too soon after each other show in every row that has both of them; one that was
late shows in the single row that it begins.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from crawler.store.parts import part_of
from tests.acceptance import meter
from tests.acceptance.cluster import Cluster, Process, eventually, request
from tests.acceptance.meter import Hit
from tests.acceptance.truth import show
from tests.ports import free_port

PAGES = 6  # of each host
DELAY_S = 0.4
LIMIT: Mapping[str, Any] = {"events": 2, "per": 1.6, "burst": 2}
IN_A_ROW = 5
LATE_S = 0.4  # what the first of these may be late; twice the rate would be 0.8 s too soon
PARTS = 2


class Meter:
    """The site in its own process."""

    def __init__(self, folder: Path) -> None:
        self.port = _port_for_all_parts()
        self.log = folder / "meter.txt"
        self.log.touch()
        command = [sys.executable, "-m", "tests.acceptance.meter"]
        command += [str(self.port), str(self.log), str(PAGES)]
        self.process = Process("meter", command, folder / "meter.log")

    def url(self, host: str) -> str:
        return f"http://{host}:{self.port}/"

    def hits(self) -> Mapping[str, list[Hit]]:
        by_host: defaultdict[str, list[Hit]] = defaultdict(list)
        for hit in meter.hits(self.log):
            by_host[hit.host].append(hit)
        return by_host


def _port_for_all_parts() -> int:
    """One with which every part gets some of the hosts: names of hosts include their port."""
    while True:
        port = free_port()
        if len({part_of(f"{host}:{port}", PARTS) for host in meter.HOSTS}) == PARTS:
            return port


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Meter]:
    running = Meter(tmp_path)
    yield running
    running.process.kill_group()


CRAWLS: Mapping[str, Mapping[str, Any]] = {
    "all": {"hosts": meter.HOSTS, "partitions": PARTS},
    "plain": {"hosts": (meter.PLAIN, meter.BUSY)},
    "asks": {"hosts": (meter.PLAIN, meter.ASKS)},
    "bucket": {"hosts": (meter.PLAIN, meter.BUCKET)},
}


async def _begin(cluster: Cluster, site: Meter) -> None:
    for name, crawl in CRAWLS.items():
        definition = {
            "start_urls": [site.url(host) for host in crawl["hosts"]],
            "partitions": crawl.get("partitions", 1),
            "download_delay": DELAY_S,
            "limits": [LIMIT],
        }
        url = f"{cluster.url('1')}/crawler/resource/{name}"
        status, answer = await request("PUT", url, definition)
        assert status == 200, answer


async def _asked(site: Meter, at_least: int) -> None:
    async def enough() -> bool | None:
        return sum(map(len, site.hits().values())) >= at_least or None

    await eventually(enough, f"{at_least} requests", 60)


async def _refused(cluster: Cluster, site: Meter) -> None:
    """Wait until a host has asked for a pause, and the store knows: what a process alone has heard
    dies with it."""

    async def known() -> bool | None:
        hits = site.hits().get(meter.BUSY, ())
        if len(hits) < meter.BUSY_AT:
            return None
        with cluster.sql() as sql:
            turns = dict(sql.execute("SELECT host, not_before FROM turns"))
        pause_s = turns[f"{meter.BUSY}:{site.port}"] - hits[meter.BUSY_AT - 1].answered
        return pause_s > meter.RETRY_AFTER_S / 2 or None  # no other gap is so long

    await eventually(known, "a refusal", 60)


async def _over(cluster: Cluster) -> None:
    async def all_over() -> bool | None:
        for name in CRAWLS:
            if (await show(cluster, "1", name)).get("state") != "finished":
                return None
        return True

    await eventually(all_over, "end of every crawl", 150)


def _too_soon(found: Sequence[Hit], gap_s: float, free: int) -> list[tuple[float, str]]:
    """Those that came too soon after the one before, and how soon: every row of `IN_A_ROW` with
    both is shorter than ``gap_s`` between its requests make it, ``free`` of which needed none."""
    least_s = (IN_A_ROW - free) * gap_s - LATE_S
    rows = zip(found, found[IN_A_ROW - 1 :], strict=False)
    short = [last.arrived - first.arrived < least_s for first, last in rows]
    soon = []
    for at in range(1, len(found)):
        with_both = short[max(0, at - IN_A_ROW + 1) : at]
        if len(with_both) > 1 and all(with_both):
            soon.append((round(found[at].arrived - found[at - 1].arrived, 2), found[at].path))
    return soon


@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", [1, 3])
async def test_a_host_is_never_asked_more_than_is_allowed(
    cluster: Cluster, site: Meter, workers: int
) -> None:
    cluster.start_master("1")
    names = [str(number) for number in range(1, workers + 1)]
    for name in names:
        cluster.start_worker(name)
    await cluster.wait_ready("1")
    await cluster.wait_workers(workers)
    await _begin(cluster, site)
    await _refused(cluster, site)
    cluster.workers["1"].kill_group()
    if workers > 1:
        await _asked(site, 30)
    cluster.start_worker("1")
    await _over(cluster)
    by_host = site.hits()
    for host in meter.HOSTS:
        found = by_host[host]
        pages = {hit.path for hit in found} - {"/robots.txt"}
        assert len(pages) == PAGES
        assert max(hit.active for hit in found) == 1, f"{host} had two requests at a time"
        assert not _too_soon(found, DELAY_S, 1), host
        limit_s = LIMIT["per"] / LIMIT["events"]
        assert not _too_soon(found, limit_s, LIMIT["burst"]), host
    assert not _too_soon(by_host[meter.ASKS], meter.CRAWL_DELAY_S, 1)
    refused, after = by_host[meter.BUSY][meter.BUSY_AT - 1 : meter.BUSY_AT + 1]
    assert after.arrived - refused.answered >= meter.RETRY_AFTER_S
