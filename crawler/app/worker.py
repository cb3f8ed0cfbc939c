"""A worker process: the supervisor with the lease; its children are processes of their own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, NoReturn

from crawler.app.node import (
    describe_node,
    open_etcd,
    open_node_store,
    serve_http,
    stop_signal,
    watch_health,
)
from crawler.app.sessions import in_sessions
from crawler.clock import SystemClock
from crawler.config import Listen, WorkerConfig
from crawler.coordination.catalog import Catalog
from crawler.coordination.registry import register
from crawler.coordination.session import Session
from crawler.model import WORKER_SERVICE
from crawler.rpc import server as rpc_server
from crawler.rpc.greeting import Greeter
from crawler.rpc.services import greeter
from crawler.tasks import start_loop, until
from crawler.telemetry.health import Health
from crawler.web.app import build_worker_app
from crawler.worker.report import EtcdWriter
from crawler.worker.settings import SupervisorSettings
from crawler.worker.supervisor import Supervisor

CHILD_COMMAND = (sys.executable, "-m", "crawler.app.child")


async def run_worker(config: WorkerConfig) -> None:
    """Run a worker until SIGTERM or SIGINT, its crawls drained then."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(stop_signal())
        store = await open_node_store(stack, config, clock)
        etcd = open_etcd(stack, config, clock)
        catalog = Catalog(etcd, clock, config.election_prefix)
        settings = SupervisorSettings(
            processes=config.processes, outage_policy=config.outage_policy
        )
        supervisor = Supervisor(settings, CHILD_COMMAND, _hello(config), clock)
        rpc = await stack.enter_async_context(
            rpc_server.serve(str(config.grpc), (greeter(Greeter()),))
        )
        health = Health()
        app = build_worker_app(health, loopback=config.http.loopback)
        http = await serve_http(stack, app, config)
        node = describe_node(
            config, WORKER_SERVICE, Listen(config.grpc.host, rpc.port), http, clock
        )

        async def follow(session: Session) -> NoReturn:
            registration = await register(etcd, session, node)
            writer = EtcdWriter(etcd, session.lease, node.id)
            await supervisor.follow(session, registration, catalog, writer)

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                start_loop(group, "children", supervisor.run_children())
                start_loop(
                    group,
                    "sessions",
                    in_sessions(etcd, config.ttl_s, clock, catalog, store.id, follow),
                )

        watch_health(health, store, etcd)
        await until(stop, work(), node.id, before_cancel=supervisor.drain)


def _hello(config: WorkerConfig) -> Mapping[str, Any]:
    """What a child is told by its supervisor: JSON values, through a channel nobody else reads."""
    return {
        "store": config.store,
        "allow_private": list(config.allow_private),
        "log_level": config.log_level,
        "log_format": config.log_format,
        "node": f"worker-{config.id}",
    }
