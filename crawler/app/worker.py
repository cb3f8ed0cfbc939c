"""A worker process: the supervisor with the lease; its children are processes of their own."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import structlog

from crawler.app.alone import follow_files, hold_store, read_definitions
from crawler.app.node import (
    describe_node,
    open_access,
    open_etcd,
    open_node_store,
    open_pair,
    serve_http,
    stop_signal,
    warn_of_login,
)
from crawler.app.sessions import in_sessions
from crawler.app.trials import Trials
from crawler.app.vitals import watch_children, watch_etcd, watch_store, words_of_load
from crawler.app.watchdog import Watchdog, watched
from crawler.clock import Clock, SystemClock
from crawler.config import Listen, WorkerConfig
from crawler.coordination.catalog import Catalog
from crawler.coordination.etcd import Etcd
from crawler.coordination.records import Proxied
from crawler.coordination.registry import keep_signed, node_id, register
from crawler.coordination.scope import scope_of
from crawler.coordination.session import Session
from crawler.coordination.signing import Keyring
from crawler.definition.secrets import read_secrets
from crawler.delivery.courier import Courier
from crawler.delivery.post import open_post
from crawler.model import WORKER_SERVICE, Node
from crawler.rates import Rates
from crawler.rpc import server as rpc_server
from crawler.rpc.greeting import Greeter
from crawler.rpc.lives import Lives
from crawler.rpc.logs import Logs
from crawler.rpc.services import crawler_logs, crawler_worker, greeter
from crawler.tasks import TaskGroup, start_loop, until
from crawler.telemetry.health import Health
from crawler.telemetry.metrics import collected
from crawler.telemetry.recent import RECENT
from crawler.telemetry.traces import send_spans
from crawler.web.app import build_worker_app
from crawler.worker.report import EtcdWriter
from crawler.worker.settings import SupervisorSettings
from crawler.worker.supervisor import Supervisor
from crawler.worker.wellness import Wellness

if TYPE_CHECKING:
    from crawler.proxy.service import Proxy

log = structlog.get_logger(__name__)

CHILD_COMMAND = (sys.executable, "-m", "crawler.app.child")


async def run_worker(config: WorkerConfig) -> None:
    """Run a worker until SIGTERM or SIGINT, its crawls drained then."""
    definitions = read_definitions(config.definitions)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(stop_signal())
        watchdog = await stack.enter_async_context(watched(stop, config.ttl_s, clock))
        stack.enter_context(send_spans(config.traces, "crawler-worker", config.id))
        store = await open_node_store(stack, config, WORKER_SERVICE, clock, stop)
        if store is None:
            return
        proxy: Proxy | None = None
        settings = SupervisorSettings(
            processes=config.processes, outage_policy=config.outage_policy
        )
        # Of no resources: the shortest of all questions to the database.
        wellness = Wellness(partial(store.progress, ()), clock)
        supervisor = Supervisor(
            settings,
            CHILD_COMMAND,
            _hello(config),
            clock,
            trouble=lambda: wellness.trouble,
            proxied=lambda: None if proxy is None else _proxied(proxy),
        )
        stack.enter_context(collected(*supervisor.figures))
        access, rates, pair = open_access(config, clock), Rates(clock), open_pair(config)
        services = (
            greeter(Greeter()),
            crawler_worker(Lives(supervisor.live, Trials(_hello(config)))),
            crawler_logs(Logs(RECENT), WORKER_SERVICE),
        )
        rpc = await stack.enter_async_context(
            rpc_server.serve(str(config.grpc), services, access=access, rates=rates, pair=pair)
        )
        health = Health()
        app = build_worker_app(health, loopback=config.http.loopback, access=access, rates=rates)
        http = await serve_http(stack, app, config, access, supervisor)
        node = describe_node(
            config, WORKER_SERVICE, Listen(config.grpc.host, rpc.port), http, clock
        )
        keyring = Keyring(config.secret, clock)
        if config.proxy is not None:
            from crawler.app.neighbours import announced, worker_proxy  # only who uses it pays

            opening = worker_proxy(config, access, rates, keyring, clock)
            proxy = await stack.enter_async_context(opening)
            metadata = {**node.metadata, **announced(config, proxy)}
            node = replace(node, metadata=metadata)
        watch_store(health, store)
        watch_children(health, supervisor)
        post = await stack.enter_async_context(
            open_post(
                config.allow_private,
                config.sinks,
                secrets=read_secrets(config.secrets),
                clock=clock,
            )
        )
        courier = Courier(store.outbox(node.id), post, clock)
        follow: Callable[[], Coroutine[Any, Any, NoReturn]]
        meet: Callable[[], Coroutine[Any, Any, NoReturn]] | None = None
        if config.cluster:
            etcd = open_etcd(stack, config, clock)
            watch_etcd(health, etcd)
            follow = partial(
                follow_cluster, config, etcd, store.id, supervisor, node, keyring, clock, watchdog
            )
            if proxy is not None and proxy.meets:
                from crawler.app.neighbours import follow_neighbours

                tell = supervisor.tell
                meet = partial(follow_neighbours, etcd, keyring, proxy, tell, clock)
        else:
            stack.enter_context(hold_store(config.store))
            kept = f"NAME --store {shlex.quote(config.store)}"
            log.info(
                "crawling without a cluster",
                resources=list(definitions),
                items=f"crawler items {kept}",
                pages=f"crawler pages {kept}",
            )
            follow = partial(follow_files, definitions, store, supervisor, node, health, clock)

        async def work() -> None:
            async with TaskGroup() as group:
                start_loop(group, "children", supervisor.run_children())
                start_loop(group, "crawls", follow())
                start_loop(group, "delivery", courier.run())
                if proxy is not None:
                    start_loop(group, "proxy", proxy.run())
                if meet is not None:
                    start_loop(group, "neighbours", meet())
                if config.cluster:
                    start_loop(group, "wellness", wellness.run())
                else:
                    watchdog.ready(lambda: words_of_load(supervisor.load))

        await until(stop, work(), node.id, before_cancel=supervisor.drain)


async def follow_cluster(
    config: WorkerConfig,
    etcd: Etcd,
    store_id: str,
    supervisor: Supervisor,
    node: Node,
    keyring: Keyring,
    clock: Clock,
    watchdog: Watchdog,
) -> NoReturn:
    """Crawl what the cluster assigns to this worker, in one session after the other."""
    catalog = Catalog(etcd, clock, config.election_prefix, seal=keyring.seal, scope=scope_of(node))
    keyring.tell(catalog.reseal)

    async def follow(session: Session) -> NoReturn:
        await warn_of_login(etcd, config)
        await supervisor.ready()  # who is registered is given work
        seal = keyring.seal
        registration = await register(etcd, session, node, seal)
        writer = EtcdWriter(etcd, session.lease, node.id)
        watchdog.ready(lambda: words_of_load(supervisor.load))
        async with TaskGroup() as group:
            start_loop(group, "secrets", keyring.run())
            start_loop(group, "signature", keep_signed(etcd, registration, keyring, seal))
            crawls = supervisor.follow(session, registration, catalog, writer)
            start_loop(group, "assignments", crawls)
        raise AssertionError("a group of endless loops ended")

    await in_sessions(etcd, config.ttl_s, clock, catalog, store_id, follow, watchdog.beat)


def _proxied(proxy: Proxy) -> Proxied:
    from crawler.app.neighbours import proxied

    return proxied(proxy)


def _cache(config: WorkerConfig) -> Mapping[str, Any] | None:
    if config.proxy is None:
        return None
    from crawler.app.neighbours import space_of

    space = space_of(config)
    directory, tls = str(space.directory), config.tls_ca
    return {"directory": directory, "max_bytes": space.max_bytes, "tls_ca": tls}


def _hello(config: WorkerConfig) -> Mapping[str, Any]:
    """What a child is told by its supervisor: JSON values, through a channel nobody else reads."""
    return {
        "store": config.store,
        "node_id": node_id(WORKER_SERVICE, config.id),
        "allow_private": list(config.allow_private),
        "secrets": config.secrets,
        "proxy_pools": config.proxy_pools,
        "files": str(config.files),
        "browser": config.browser,
        "cache": _cache(config),
        "traces": config.traces,
        "log_level": config.log_level,
        "log_format": config.log_format,
        "node": f"worker-{config.id}",
    }
