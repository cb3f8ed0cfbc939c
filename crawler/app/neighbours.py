"""A worker's caching proxy, and how it hears of those of other workers."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import structlog

from crawler.access import Access
from crawler.app.kept_pages import news_of
from crawler.app.node import open_pair
from crawler.cache.shelf import Space
from crawler.clock import Backoff, Clock
from crawler.config import WorkerConfig
from crawler.coordination.addresses import advertise_address, advertised_host, is_loopback
from crawler.coordination.catalog import Catalog
from crawler.coordination.etcd import Etcd
from crawler.coordination.records import Proxied
from crawler.coordination.registry import HOST, PROXY, REGISTRY_PREFIX, host_identity, node_id
from crawler.coordination.scope import Scope
from crawler.coordination.signing import Keyring
from crawler.errors import SessionLost
from crawler.model import WORKER_SERVICE, Node
from crawler.proxy.peers import Peer
from crawler.proxy.service import Proxy, ProxySettings, open_proxy
from crawler.proxy.targets import read_opening
from crawler.rates import Rates
from crawler.tasks import TaskGroup, leaves, start_loop
from crawler.telemetry.metrics import collected
from crawler.tls import client_context, server_context

log = structlog.get_logger(__name__)

_PREFIX = f"{REGISTRY_PREFIX}{WORKER_SERVICE}/"
_WORKERS = Scope(((_PREFIX, f"{_PREFIX[:-1]}0"),), (_PREFIX,))
_AGAIN = Backoff(base_s=0.1, cap_s=2.0)


def space_of(config: WorkerConfig) -> Space:
    """Where this worker keeps pages, and how many bytes of them."""
    return Space(config.proxy_data / f"worker-{config.id}", config.proxy_space << 20)


@asynccontextmanager
async def worker_proxy(
    config: WorkerConfig, access: Access, rates: Rates, keyring: Keyring, clock: Clock
) -> AsyncIterator[Proxy]:
    """The proxy that the settings ask for, counted in this process's figures."""
    assert config.proxy is not None
    pair = open_pair(config)
    settings = ProxySettings(
        node_id=node_id(WORKER_SERVICE, config.id),
        host=config.proxy.host,
        port=config.proxy.port,
        loopback=config.proxy.loopback,
        space=space_of(config),
        openings=tuple(map(read_opening, config.proxy_connect)),
        allow_private=config.allow_private,
        server_tls=server_context(pair) if pair is not None else None,
        peer_tls=client_context(config.tls_ca) if config.tls_ca is not None else None,
    )
    async with open_proxy(settings, access, rates, lambda: keyring.seal, clock) as proxy:
        if config.cluster and not proxy.meets:
            log.warning(
                "each worker's proxy caches by itself",
                why="workers that ask clients for tokens know each other by a secret, and there "
                "is none",
                do="give every worker the same --secret FILE",
            )
        with collected(proxy.figures):
            yield proxy


def announced(config: WorkerConfig, proxy: Proxy) -> dict[str, str]:
    """What a worker's record says of its proxy: where other workers reach it."""
    assert config.proxy is not None
    if not proxy.meets:
        return {}
    host = config.proxy.host
    if not is_loopback(host) and config.advertise:
        host = advertised_host(config.advertise)
    return {PROXY: advertise_address(host, proxy.port, podip=config.podip or "")}


def proxied(proxy: Proxy) -> Proxied:
    """What it did, as the cluster is told."""
    counts = proxy.figures.results
    return Proxied(counts["hit"], counts["miss"], counts["revalidated"], counts["stale"])


async def follow_neighbours(
    etcd: Etcd,
    keyring: Keyring,
    proxy: Proxy,
    tell: Callable[[Mapping[str, Any]], None],
    clock: Clock,
) -> NoReturn:
    """Tell the proxy who else there is, and, by ``tell``, the crawls beside it. While etcd is away
    they know those of before."""
    catalog = Catalog(etcd, clock, seal=keyring.seal, scope=_WORKERS)
    keyring.tell(catalog.reseal)
    delays = _AGAIN.delays(random.Random())
    while True:
        try:
            async with TaskGroup() as group:
                start_loop(group, "neighbours", catalog.run())
                start_loop(group, "neighbours: tell", _tell(catalog, keyring, proxy, tell))
        except ExceptionGroup as error:
            if not all(isinstance(each, SessionLost) for each in leaves(error)):
                raise
            await clock.sleep(next(delays))


async def _tell(
    catalog: Catalog, keyring: Keyring, proxy: Proxy, tell: Callable[[Mapping[str, Any]], None]
) -> NoReturn:
    version, told = -1, None
    while True:
        version = await catalog.changed(version)
        peers = tuple(peers_among(catalog.workers.values()))
        proxy.peers.tell(peers)
        if told != (told := (frozenset(peers), keyring.seal)):
            tell(news_of(peers, keyring.seal))


def peers_among(workers: Iterable[Node]) -> Iterator[Peer]:
    """Those with a proxy that can be reached from here."""
    here = host_identity()
    for node in workers:
        address = node.metadata.get(PROXY, "")
        host = address.rpartition(":")[0]
        if host and (not is_loopback(host) or node.metadata.get(HOST) == here):
            yield Peer(node.id, address)
