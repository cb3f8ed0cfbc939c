"""The proxy as a whole, from its settings."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

import structlog

from crawler.access import Access
from crawler.address import Guard
from crawler.cache.shelf import Shelf, Space
from crawler.clock import Clock
from crawler.proxy.exchange import Ways
from crawler.proxy.figures import Figures
from crawler.proxy.gateway import Gateway
from crawler.proxy.hosts import Hosts
from crawler.proxy.lending import Lending
from crawler.proxy.marks import Sealing
from crawler.proxy.origin import Origin
from crawler.proxy.peers import Peers
from crawler.proxy.server import Door, Server
from crawler.proxy.targets import Opening
from crawler.proxy.tunnel import Tunnels
from crawler.rates import Rates
from crawler.tasks import TaskGroup, every, start_loop

log = structlog.get_logger(__name__)

_MEASURE_S = 10.0
_SWEEP_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """``openings``: the tunnels that may be opened. ``allow_private``: networks besides public ones
    that may be reached. ``server_tls`` and ``peer_tls`` None: in clear."""

    node_id: str
    host: str
    port: int
    loopback: bool
    space: Space
    openings: tuple[Opening, ...]
    allow_private: tuple[str, ...] = ()
    server_tls: ssl.SSLContext | None = None
    peer_tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Proxy:
    """One that listens on ``port``. ``peers`` is to be told who else there is; ``meets``: whether
    this one can be told from strangers by others, and they by it."""

    port: int
    peers: Peers
    figures: Figures
    meets: bool
    shelf: Shelf
    clock: Clock

    async def run(self) -> NoReturn:
        """Measure what is kept, and tidy up after processes that were killed, until cancelled."""
        async with TaskGroup() as group:
            start_loop(group, "cache: sweep", every(_SWEEP_S, self.shelf.sweep, self.clock))
            start_loop(group, "cache: measure", every(_MEASURE_S, self.measure, self.clock))
        raise AssertionError("a group of endless loops ended")

    async def measure(self) -> None:
        """How much is kept."""
        answers, size = await self.shelf.size()
        self.figures.kept_answers, self.figures.kept_bytes = answers, size


@asynccontextmanager
async def open_proxy(
    settings: ProxySettings,
    access: Access,
    rates: Rates,
    seal: Callable[[], Sealing],
    clock: Clock,
) -> AsyncIterator[Proxy]:
    """Serve while the block lasts. Raises `Misconfigured`."""
    # Nobody else's, so that a request which comes back is known by it.
    name = f"crawler-{secrets.token_hex(4)}"
    figures, guard = Figures(), Guard(settings.allow_private)
    hosts, peers = Hosts(clock), Peers(settings.node_id, clock)
    shelf = Shelf(settings.space, clock)
    try:
        async with Origin(guard, settings.peer_tls) as origin:
            ways = Ways(origin, hosts, peers, seal)
            gateway = Gateway(ways, shelf, clock, name, figures.count)
            door = Door(access, rates, seal, settings.loopback)
            tunnels = Tunnels(settings.openings, guard, hosts)
            parts = (gateway, Lending(shelf, seal, clock), tunnels, figures, clock)
            server = Server(settings.node_id, name, door, *parts)
            listening = server.listen(settings.host, settings.port, settings.server_tls)
            async with listening as port:
                meets = door.open or seal().secret is not None
                log.info("proxy listens", host=settings.host, port=port, name=name)
                yield Proxy(port, peers, figures, meets, shelf, clock)
    finally:
        shelf.close()
