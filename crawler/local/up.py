"""`crawler up`: a cluster on this machine for real use, kept running until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import NoReturn

from crawler.clock import Clock
from crawler.config import UpConfig
from crawler.local.cluster import LocalCluster, Plan, run_cluster
from crawler.local.lock import hold_directory
from crawler.local.logtail import LogTail
from crawler.local.process import turn_log
from crawler.tasks import TaskGroup, every, on_signals, until

Say = Callable[[str], None]


def plan_of(config: UpConfig, cores: int) -> Plan:
    """The cluster that these settings ask for; ``cores`` are shared out among the workers."""
    return Plan(
        data=config.data,
        masters=config.masters,
        workers=config.workers,
        http_port=config.http.port or None,
        etcd=config.etcd,
        store=config.store,
        ttl_s=config.ttl_s,
        processes=config.processes or max(1, cores // max(1, config.workers)),
        allow_private=config.allow_private,
        tokens=config.tokens,
        log_level=config.log_level,
        config_file=config.file,
    )


def greeting(cluster: LocalCluster) -> str:
    """What is up, where it is, and how to go on."""
    plan = cluster.plan
    first, *others = (master.url for master in cluster.masters)
    etcd = f"{cluster.etcd.url} (our own)" if cluster.etcd else ", ".join(cluster.endpoints)
    lines = [
        f"up: {_all_of(plan)}",
        f"  console and API   {first}" + (f"   also {' '.join(others)}" if others else ""),
        f"  etcd  {etcd}",
        f"  store {plan.store_url if plan.store is None else 'as given with --store'}",
        f"  logs  {plan.logs}",
    ]
    if not plan.workers:
        lines += ["No worker runs, so nothing is crawled until one joins:", _worker_line(cluster)]
    lines.append("Go on in another terminal:")
    if not first.endswith(":8081"):
        lines.append(f"  export CRAWLER_MASTER={first}")
    lines += [
        "  crawler apply https://example.org/   crawl a site (or a definition from a file)",
        f"  crawler top                          watch it, or open {first} in a browser",
        "Ctrl-C stops everything; the data stays.",
    ]
    return "\n".join(lines)


def _all_of(plan: Plan) -> str:
    counted = ((plan.masters, "master"), (plan.workers, "worker"))
    return ", ".join(f"{number} {role}{'' if number == 1 else 's'}" for number, role in counted)


def _worker_line(cluster: LocalCluster) -> str:
    """How a worker of one's own joins."""
    plan, etcd = cluster.plan, ",".join(cluster.endpoints)
    store = plan.store_url if plan.store is None else "…"  # which may hold a password
    return f"  crawler worker --id=1 --http=:11801 --grpc=:11901 --etcd={etcd} --store={store}"


async def run_up(config: UpConfig, say: Say, clock: Clock) -> None:
    """Run until SIGINT or SIGTERM, telling on ``say`` what matters.

    Raises `Conflict` when the data directory is in use, `Misconfigured` or `Unavailable` when the
    cluster cannot start.
    """
    stop = asyncio.Event()
    plan = plan_of(config, len(os.sched_getaffinity(0)))
    with hold_directory(config.data, "crawler up"):
        async with on_signals(stop):
            say(f"starting {_all_of(plan)} …")
            await until(stop, _serve(plan, stop, say, clock), "cluster")
            say("stopped; the data is in " + str(config.data))


async def _serve(plan: Plan, stop: asyncio.Event, say: Say, clock: Clock) -> NoReturn:
    async with run_cluster(plan, clock) as cluster:
        say(greeting(cluster))
        tail = LogTail([member.kept.log_path for member in cluster.members])

        async def show() -> None:
            for path in cluster.log_paths:
                turn_log(path)
            for line in tail.look():
                say(f"{line.source:10} {line.level.lower():8} {line.text[:300]}")

        try:
            async with TaskGroup() as group:
                group.create_task(cluster.watch(), name="watch")
                group.create_task(every(0.5, show, clock), name="show logs")
        finally:
            if stop.is_set():
                say("stopping workers, masters, etcd …")
    raise AssertionError("the watch ends only by an error")
