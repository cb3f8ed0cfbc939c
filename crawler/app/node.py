"""What a master and a worker have in common: what they open, and how they are known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from crawler import __version__
from crawler.access import Access
from crawler.clock import Backoff, Clock
from crawler.config import Listen, NodeConfig
from crawler.coordination.addresses import advertise_address, advertised_host
from crawler.coordination.etcd import Etcd, EtcdSettings
from crawler.coordination.registry import native_metadata, node_id
from crawler.coordination.versions import keeps_strangers_out, read_version
from crawler.errors import Misconfigured, StoreUnavailable
from crawler.model import Node
from crawler.store import open_store
from crawler.store.contract import Store
from crawler.tasks import on_signals
from crawler.telemetry.profile import Children, serve_profiles
from crawler.tls import Pair, read_pair, server_context
from crawler.web import server as web_server

log = structlog.get_logger(__name__)

_AWAY = Backoff(base_s=0.2, cap_s=2.0)


@asynccontextmanager
async def stop_signal() -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    async with on_signals(stop):
        yield stop


async def open_node_store(
    stack: AsyncExitStack, config: NodeConfig, service: str, clock: Clock, stop: asyncio.Event
) -> Store | None:
    """The store, waited for while it is away; a database server hears the id of the node. None:
    ``stop`` was set meanwhile. Raises `Misconfigured` for what waiting does not mend."""
    for delay_s in _AWAY.delays():
        try:
            store = await open_store(config.store, clock, name=node_id(service, config.id))
        except StoreUnavailable as error:
            log.warning("the store is away; trying again", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay_s)
            if stop.is_set():
                return None
        else:
            stack.push_async_callback(store.close)
            return store
    raise AssertionError("delays never end")


def open_access(config: NodeConfig, clock: Clock) -> Access:
    """Who may call. Raises `Misconfigured` for a file that holds no tokens."""
    return Access(Path(config.tokens) if config.tokens else None, clock)


def open_pair(config: NodeConfig) -> Pair | None:
    """What this node shows others; None: it speaks in clear. Raises `Misconfigured`."""
    files = (config.tls_ca, config.tls_cert, config.tls_key)
    match files:
        case (None, None, None):
            return None
        case (str(ca), str(cert), str(key)):
            return read_pair(ca, cert, key)
    raise Misconfigured("tls_ca, tls_cert and tls_key go together")


def etcd_settings(config: NodeConfig) -> EtcdSettings:
    return EtcdSettings(
        endpoints=config.etcd,
        username=config.etcd_user,
        password=config.etcd_password,
        ca_file=config.etcd_ca,
        cert_file=config.etcd_cert,
        key_file=config.etcd_key,
    )


def open_etcd(stack: AsyncExitStack, config: NodeConfig, clock: Clock) -> Etcd:
    etcd = Etcd(etcd_settings(config), clock)
    stack.push_async_callback(etcd.close)
    return etcd


async def warn_of_login(etcd: Etcd, config: NodeConfig) -> None:
    """Say so where a login to etcd protects nothing. May raise `Unavailable`."""
    if config.etcd_user is None:
        return
    words = (await etcd.status()).version
    version = read_version(words)
    if version is not None and not keeps_strangers_out(version):
        log.warning(
            "users and roles of this etcd keep nobody out",
            version=words,
            why="calls pass them by (CVE-2026-33343, CVE-2026-33413)",
            do="keep it on a private network with client certificates, or install 3.5.30 or newer",
        )


async def serve_http(
    stack: AsyncExitStack,
    app: Any,
    config: NodeConfig,
    access: Access,
    children: Children | None = None,
) -> Listen:
    """Serve the API, and profiles where asked for, those of ``children``, too; the address with its
    true port."""
    pair = open_pair(config)
    tls = server_context(pair) if pair is not None else None
    port = await stack.enter_async_context(
        web_server.serve(app, config.http.host, config.http.port, tls=tls)
    )
    if config.pprof is not None:
        await stack.enter_async_context(serve_profiles(config.pprof, access, children))
    return Listen(config.http.host, port)


def describe_node(
    config: NodeConfig, service: str, grpc: Listen, http: Listen, clock: Clock
) -> Node:
    """This process as the registry tells of it, with the time of its start in Unix seconds."""

    def reached(listen: Listen, advertise: str) -> str:
        return advertise_address(
            listen.host, listen.port, advertise=advertise, podip=config.podip or ""
        )

    advertise = config.advertise or ""
    metadata = native_metadata(__version__, http=reached(http, advertised_host(advertise)))
    metadata["started"] = f"{clock.wall():.0f}"
    return Node(node_id(service, config.id), service, reached(grpc, advertise), metadata)
