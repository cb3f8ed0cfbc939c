"""A master process: the API on top, the election below, and what leads in between."""

from __future__ import annotations

import hmac
import secrets
from contextlib import AsyncExitStack
from functools import partial
from typing import NoReturn

from crawler.app.backlog import Backlog
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
from crawler.app.vitals import (
    watch_crawls,
    watch_etcd,
    watch_leader,
    watch_store,
    watch_workers,
    words_of_leader,
)
from crawler.app.watchdog import watched
from crawler.clock import SystemClock
from crawler.config import Listen, MasterConfig
from crawler.coordination.catalog import Catalog
from crawler.coordination.election import Election, election_value
from crawler.coordination.registry import bears_mark, keep_signed, marked, register
from crawler.coordination.session import Session
from crawler.coordination.signing import Keyring
from crawler.definition import json_schema
from crawler.engine.urls import page_key
from crawler.master.elections import Elections
from crawler.master.feed import Feed
from crawler.master.figures import Figures
from crawler.master.heartbeats import HeartBeats
from crawler.master.master import Master
from crawler.master.service import ControlService, MasterService, Router
from crawler.master.tasks import TasksService
from crawler.model import MASTER_SERVICE
from crawler.rates import Rates
from crawler.rpc import server as rpc_server
from crawler.rpc.calls import Channels, MasterCalls
from crawler.rpc.greeting import Greeter
from crawler.rpc.logs import Logs
from crawler.rpc.services import (
    communicate,
    crawler_control,
    crawler_logs,
    crawler_master,
    greeter,
)
from crawler.tasks import TaskGroup, start_loop, until
from crawler.telemetry.health import Health
from crawler.telemetry.metrics import collected
from crawler.telemetry.recent import RECENT
from crawler.telemetry.traces import send_spans
from crawler.web.app import build_app


async def run_master(config: MasterConfig) -> None:
    """Run a master until SIGTERM or SIGINT. Raises what keeps it from starting."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(stop_signal())
        watchdog = await stack.enter_async_context(watched(stop, config.ttl_s, clock))
        stack.enter_context(send_spans(config.traces, "crawler-master", config.id))
        store = await open_node_store(stack, config, MASTER_SERVICE, clock, stop)
        if store is None:
            return
        etcd = open_etcd(stack, config, clock)
        keyring = Keyring(config.secret, clock)
        # Whoever is elected looks at all resources before it does anything else.
        catalog = Catalog(etcd, clock, config.election_prefix, seal=keyring.seal, eager=True)
        keyring.tell(catalog.reseal)
        master = Master(etcd, catalog, store, clock)
        backlog = Backlog(store.totals, lambda: master.leading() is not None, clock)
        stack.enter_context(collected(Figures(master), backlog))
        pair = open_pair(config)
        channels = Channels(pair)
        stack.push_async_callback(channels.close)
        mark = secrets.token_hex(16)
        router = Router(master, channels, mark)
        feed = Feed(catalog, clock)
        health = Health()

        async def healthy() -> bool:
            return (await health.report()).ok

        services = (
            crawler_master(MasterService(router)),
            crawler_control(ControlService(router, master, feed, clock)),
            greeter(Greeter(), MASTER_SERVICE),
            crawler_logs(Logs(RECENT), MASTER_SERVICE),
            *communicate(
                TasksService(router, master, store),
                HeartBeats(master, channels, healthy),
                Elections(router, master, channels, keyring, clock),
            ),
        )
        access, rates = open_access(config, clock), Rates(clock)

        def counted(given: str) -> bool:
            """Whether this master's own API, or another master, took the call in."""
            own = hmac.compare_digest(given.encode("utf-8", "replace"), mark.encode())
            return own or bears_mark(catalog.masters.values(), given)

        rpc = await stack.enter_async_context(
            rpc_server.serve(
                str(config.grpc), services, access=access, rates=rates, counted=counted, pair=pair
            )
        )
        calls = MasterCalls(channels, rpc.near, mark=mark)
        app = build_app(
            calls,
            store,
            health,
            fingerprint=page_key,
            loopback=config.http.loopback,
            access=access,
            rates=rates,
            definition_schema=json_schema(),
            workers=partial(Channels, pair),
        )
        http = await serve_http(stack, app, config, access)
        stack.callback(feed.close)  # first of all: streams would hold up the servers' end
        grpc = Listen(config.grpc.host, rpc.port)
        node = marked(describe_node(config, MASTER_SERVICE, grpc, http, clock), mark)
        leader = election_value(config.id, node.address)

        async def lead(session: Session) -> NoReturn:
            await warn_of_login(etcd, config)
            seal = keyring.seal
            registration = await register(etcd, session, node, seal)
            election = Election(etcd, session, config.election_prefix, leader)
            watchdog.ready(lambda: words_of_leader(master, leader))
            async with TaskGroup() as group:
                start_loop(group, "secrets", keyring.run())
                start_loop(group, "signature", keep_signed(etcd, registration, keyring, seal))
                start_loop(group, "feed", feed.run())
                start_loop(group, "backlog", backlog.run())
                start_loop(group, "master", master.run(session, election))
            raise AssertionError("a group of endless loops ended")

        watch_store(health, store)
        watch_etcd(health, etcd)
        watch_leader(health, catalog)
        watch_workers(health, catalog)
        watch_crawls(health, catalog)
        work = in_sessions(etcd, config.ttl_s, clock, catalog, store.id, lead, watchdog.beat)
        await until(stop, work, node.id)
