"""What a page costs on PostgreSQL beside SQLite: ``python -m tests.bench.stores [--rounds 3]``.

A cluster of one master and one worker with one crawling process crawls the same site on one store
and on the other, in turn. Counted are the CPU-seconds (user and system) of the worker, its
supervisor included, from the resource's creation to its end; what a PostgreSQL server takes is that
server's. A run whose log does not show every page exactly once is an error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections import Counter
from pathlib import Path

from tests.acceptance.cluster import Cluster, request
from tests.acceptance.truth import wait_finished
from tests.bench.contestants import definition
from tests.bench.interrupt import unwind_on_sigterm
from tests.bench.site import Served, served
from tests.bench.usage import children, cpu_seconds
from tests.etcd_server import EtcdServer
from tests.postgres_server import PostgresServer

GOAL = 0.7
_PATIENCE_S = 600.0


async def crawl(cluster: Cluster, site: Served) -> float:
    """The worker's CPU-seconds."""
    cluster.start_master("1")
    worker = cluster.start_worker("1")
    await cluster.wait_ready("1")
    await cluster.wait_workers(1)
    pids = [worker.pid, *children(worker.pid)]
    before_s = sum(map(cpu_seconds, pids))
    url = f"{cluster.url('1')}/crawler/resource/bench"
    status, answer = await request(
        "PUT", url, json.loads(definition(site.urls[:1], site.addresses))
    )
    if status != 200:
        raise RuntimeError(f"{status}: {answer}")
    await wait_finished(cluster, "1", _PATIENCE_S, "bench")
    took_s = sum(map(cpu_seconds, pids)) - before_s
    fetched, once = site.fetched(), Counter(site.urls)
    if fetched != once:
        missing, beyond = (once - fetched).total(), (fetched - once).total()
        raise RuntimeError(f"{missing} requests missing, {beyond} too many")
    return took_s


def measure(home: Path, site: Served, postgres: PostgresServer | None) -> float:
    """One crawl, in a cluster of its own."""
    home.mkdir()
    with EtcdServer() as etcd:
        cluster = Cluster(home, etcd, postgres=postgres)
        try:
            return asyncio.run(crawl(cluster, site))
        finally:
            cluster.stop()


def main() -> None:
    """Arguments, and a directory that goes away."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stores")
    parser.add_argument("--pages", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ratios = []
    unwind_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="crawler-bench-") as folder:
        home = Path(folder)
        with served(home, options.pages) as site, PostgresServer(durable=True) as server:
            for number in range(options.rounds):
                lite_s = measure(home / f"{number}-sqlite", site, None)
                full_s = measure(home / f"{number}-postgresql", site, server)
                ratios.append(lite_s / full_s)
                print(
                    f"SQLite {options.pages / lite_s:6.0f} pages/CPU-s, "
                    f"PostgreSQL {options.pages / full_s:6.0f}",
                    flush=True,
                )
    print(f"PostgreSQL / SQLite: {statistics.median(ratios):.2f} (goal {GOAL})")


if __name__ == "__main__":
    main()
