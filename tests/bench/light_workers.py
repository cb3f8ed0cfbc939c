"""Many workers in one process: ``python -m tests.bench.light_workers FIRST COUNT --etcd URL ...``.

They run at the lowest priority: what a hundred machines would do must not take the two cores from
masters and etcd. Real, per worker: the etcd client with its own connection, session, signed
registration, the catalog with its own list and watch, reconciling, statuses, load reports, and a
supervisor that watches a child process. Left out: nobody listens on the addresses that they
advertise, and the child (`tests.bench.light_child`) claims nothing in the store and fetches
nothing: it has no pages in flight, so that loads change with the number of resources only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from crawler.app.node import describe_node, open_etcd
from crawler.app.watchdog import Watchdog
from crawler.app.worker import follow_cluster
from crawler.clock import Clock, SystemClock
from crawler.config import WorkerConfig, worker_config
from crawler.coordination.signing import Keyring
from crawler.model import WORKER_SERVICE
from crawler.store import open_store
from crawler.tasks import start_loop
from crawler.telemetry import logs
from crawler.worker.settings import SupervisorSettings
from crawler.worker.supervisor import Supervisor

CHILD = (sys.executable, "-ISE", str(Path(__file__).with_name("light_child.py")))
BEAT_S = 2.0
NICE = 19
_PORTS = 40_000  # above this, one per worker, on which nobody listens


def configured(number: int, options: argparse.Namespace) -> WorkerConfig:
    """As if from the command line."""
    flags = {
        "id": str(number),
        "http": f"127.0.0.1:{_PORTS + 2 * number}",
        "grpc": f"127.0.0.1:{_PORTS + 2 * number + 1}",
        "etcd": options.etcd,
        "store": options.store,
        "ttl": options.ttl,
    }
    return worker_config(flags, {})


def start_worker(
    config: WorkerConfig,
    store_id: str,
    clock: Clock,
    stack: AsyncExitStack,
    group: asyncio.TaskGroup,
) -> None:
    """Begin its loops in the group."""
    etcd = open_etcd(stack, config, clock)
    supervisor = Supervisor(SupervisorSettings(processes=1, beat_s=BEAT_S), CHILD, {}, clock)
    node = describe_node(config, WORKER_SERVICE, config.grpc, config.http, clock)
    start_loop(group, f"{node.id}: children", supervisor.run_children())
    keyring, watchdog = Keyring(config.secret, clock), Watchdog(None, config.ttl_s, clock)
    following = follow_cluster(config, etcd, store_id, supervisor, node, keyring, clock, watchdog)
    start_loop(group, f"{node.id}: crawls", following)


async def work(options: argparse.Namespace) -> None:
    """All of them, until killed."""
    clock = SystemClock()
    store = await open_store(options.store, clock)
    await store.close()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for number in range(options.first, options.first + options.count):
            start_worker(configured(number, options), store.id, clock, stack, group)


def main() -> None:
    """The command."""
    os.nice(NICE)
    parser = argparse.ArgumentParser(prog="python -m tests.bench.light_workers")
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--etcd", required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("--ttl", type=int, required=True)
    logs.configure("warning", "json")
    uvloop.run(work(parser.parse_args()))


if __name__ == "__main__":
    main()
