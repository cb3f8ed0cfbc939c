"""How long a cluster takes to go on: ``python -m tests.bench.recovery [TIMES]`` prints a table in
multiples of the time to live, and exits with 1 where a bound is missed.

One cluster for all: three members of etcd, three masters, four workers, one crawl. Each incident
begins only when everything is whole again.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.calls import until_added
from tests.acceptance.cluster import TTL_S, Cluster, Site
from tests.acceptance.truth import PER_HOST, show, start_shop, wait_done
from tests.bench.interrupt import unwind_on_sigterm
from tests.etcd_server import EtcdServer

TIMES = 20
MASTERS = ("1", "2", "3")
WORKERS = ("1", "2", "3", "4")
DELAY_S = 0.05


@dataclass
class Figure:
    """What was measured of one kind of incident, in seconds; none may take longer than the bound
    in 99 of 100 cases."""

    name: str
    bound_s: float
    seconds: list[float] = field(default_factory=list)

    @property
    def p99(self) -> float:
        """The nearest rank."""
        ordered = sorted(self.seconds)
        return ordered[math.ceil(0.99 * len(ordered)) - 1]

    @property
    def good(self) -> bool:
        return self.p99 <= self.bound_s

    def row(self) -> str:
        spread = (min(self.seconds), statistics.median(self.seconds), self.p99, max(self.seconds))
        columns = "".join(f"{each / TTL_S:>8.2f}" for each in (*spread, self.bound_s))
        return f"{self.name:<28}{len(self.seconds):>4}{columns}  {'' if self.good else 'MISSED'}"


class Scene:
    """The cluster, and the crawl that shows whether it works."""

    def __init__(self, folder: Path, etcd: EtcdServer) -> None:
        self.etcd = etcd
        self.cluster = Cluster(folder, etcd)
        self.site = Site(folder, 50_000)
        self._names = 0

    async def whole(self) -> None:
        """Start what is missing, and return when all nodes are there and the crawl goes on."""
        cluster = self.cluster
        await asyncio.to_thread(self.etcd.start)
        await cluster.complete(MASTERS, WORKERS)
        await start_shop(cluster, "1", self.site, delay_s=DELAY_S)
        await wait_done(cluster, "1", await self.done() + PER_HOST, 20 * TTL_S)

    async def done(self) -> int:
        return int(((await show(self.cluster, "1")).get("progress") or {}).get("done", 0))

    async def roles(self) -> tuple[str, str]:
        """The master that leads, and one that does not."""
        leader = await self.cluster.wait_leader()
        return leader, next(name for name in MASTERS if name != leader)

    async def written(self, follower: str, since: float) -> float:
        """Seconds until the cluster has taken a write."""
        self._names += 1
        return await until_added(self.cluster, follower, f"bench-{self._names}", since)

    # -- incidents: each returns how long it took to go on

    async def kill_leader(self) -> float:
        leader, follower = await self.roles()
        self.cluster.masters[leader].kill_group()
        return await self.written(follower, time.monotonic())

    async def stop_leader(self) -> float:
        leader, follower = await self.roles()
        self.cluster.masters[leader].terminate()
        since = time.monotonic()
        await self.cluster.wait_leader(other_than=leader)
        seconds = await self.written(follower, since)
        assert self.cluster.masters[leader].wait() == 0
        return seconds

    async def kill_worker(self) -> float:
        """Until more is committed than what may have been under way."""
        owner = str((await show(self.cluster, "1"))["assigned_node"]).rpartition("-")[2]
        self.cluster.workers[owner].kill_group()
        since, before = time.monotonic(), await self.done()
        await wait_done(self.cluster, "1", before + PER_HOST + 1, 10 * TTL_S)
        return time.monotonic() - since

    async def kill_etcds_leader(self) -> float:
        """As a caller sees it that repeats what it was not told the outcome of."""
        _, follower = await self.roles()
        member = await asyncio.to_thread(self.etcd.leader)
        await asyncio.to_thread(self.etcd.kill, member)
        return await self.written(follower, time.monotonic())

    def close(self) -> None:
        self.cluster.stop()
        self.site.process.kill_group()


async def measure(scene: Scene, times: int) -> Sequence[Figure]:
    """All kinds of incidents, so many times each, by turns."""
    kinds: tuple[tuple[Figure, Callable[[], Awaitable[float]]], ...] = (
        (Figure("leader killed", TTL_S + 1), scene.kill_leader),
        (Figure("leader stopped", 1.0), scene.stop_leader),
        (Figure("busy worker killed", TTL_S + 2), scene.kill_worker),
        (Figure("etcd's leader killed", 5.0), scene.kill_etcds_leader),
    )
    for turn in range(times):
        for figure, incident in kinds:
            await scene.whole()
            figure.seconds.append(await incident())
            print(f"{turn + 1:>3} {figure.name}: {figure.seconds[-1]:.2f} s", flush=True)
    return [figure for figure, _ in kinds]


def main(times: int) -> int:
    unwind_on_sigterm()
    with tempfile.TemporaryDirectory() as folder, EtcdServer(members=3) as etcd:
        scene = Scene(Path(folder), etcd)
        try:
            figures = asyncio.run(measure(scene, times))
        finally:
            scene.close()
    print(f"\n{f'in TTLs of {TTL_S} s':<28}   n     min  median     p99     max   bound")
    for figure in figures:
        print(figure.row())
    return 0 if all(figure.good for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else TIMES))
