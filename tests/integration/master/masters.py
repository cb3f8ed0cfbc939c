"""Masters and workers on a real etcd, each with a session of its own, inside the test's loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from crawler.access import Access
from crawler.clock import Clock, SystemClock
from crawler.coordination.catalog import Catalog, read_entry
from crawler.coordination.election import DEFAULT_PREFIX, Election, election_value
from crawler.coordination.entry import Entry
from crawler.coordination.etcd import Etcd, EtcdSettings
from crawler.coordination.records import Status
from crawler.coordination.registry import bears_mark, native_metadata, node_id, register
from crawler.coordination.session import Session, open_session
from crawler.coordination.statuses import write_statuses
from crawler.definition import from_json
from crawler.errors import NoLeader
from crawler.master.feed import Feed
from crawler.master.fence import Fence
from crawler.master.leader import Leader
from crawler.master.master import Master
from crawler.master.service import ControlService, MasterService, Router
from crawler.model import WORKER_SERVICE, Node, State
from crawler.rates import Rates
from crawler.rpc.calls import Channels, MasterCalls
from crawler.rpc.server import serve
from crawler.rpc.services import crawler_control, crawler_master
from tests.etcd_server import EtcdServer

CLOCK = SystemClock()
LIMIT_S = 15.0
TTL_S = 5


def definition(host: str = "shop.example", **more: object) -> str:
    """A canonical definition that starts at this host."""
    return from_json(json.dumps({"start_urls": [f"https://{host}/"], **more})).canonical()


@asynccontextmanager
async def client(server: EtcdServer) -> AsyncIterator[Etcd]:
    etcd = Etcd(EtcdSettings(server.endpoints), CLOCK)
    try:
        yield etcd
    finally:
        await etcd.close()


@dataclass
class Running:
    """A master under way. ``error`` is what it ended with, if it did."""

    etcd: Etcd
    catalog: Catalog
    session: Session
    election: Election
    master: Master
    address: str
    calls: MasterCalls
    task: asyncio.Task[None]
    keepalive: asyncio.Task[None]

    async def leads(self) -> Leader:
        """Wait until it leads and has taken over."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                if self.task.done():
                    self.task.result()
                with suppress(NoLeader):
                    leader = await self.master.route(forward=False)
                    assert isinstance(leader, Leader)
                    return leader

    async def sees(self, true: Callable[[Catalog], object]) -> None:
        """Wait until the catalog is so."""
        async with asyncio.timeout(LIMIT_S):
            while not true(self.catalog):
                await self.catalog.changed(self.catalog.version)

    async def stop(self) -> None:
        """Stop cleanly, as a process does on SIGTERM."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.etcd.revoke(self.session.lease)

    def freeze(self) -> None:
        """Cut the keepalives and the watches, as for a process that was stopped."""
        self.keepalive.cancel()


@asynccontextmanager
async def a_master(
    server: EtcdServer,
    fence: Fence,
    number: int = 1,
    *,
    ttl_s: int = TTL_S,
    access: Access | None = None,
    rates: Rates | None = None,
    mark: str = "",
    clock: Clock = CLOCK,
) -> AsyncIterator[Running]:
    """A master with its gRPC server, campaigning; the first one that is opened comes first.
    ``access``: who may call it, ``rates``: how often; ``mark``: of the calls that it sends
    on; ``clock``: what it takes for the time."""
    channels = Channels()
    async with client(server) as etcd, open_session(etcd, ttl_s, CLOCK) as session:
        catalog = Catalog(etcd, CLOCK)
        master = Master(etcd, catalog, fence, clock)
        router = Router(master, channels, mark)
        feed = Feed(catalog, CLOCK, kept=200, heartbeat_s=0.5)
        services = (
            crawler_master(MasterService(router)),
            crawler_control(ControlService(router, master, feed, CLOCK)),
        )
        async with serve(
            "127.0.0.1:0",
            services,
            access=access,
            rates=rates,
            counted=lambda given: bears_mark(catalog.masters.values(), given),
            grace_s=0.2,
        ) as listening:
            value = election_value(str(number), listening.address)
            election = Election(etcd, session, DEFAULT_PREFIX, value)
            following = asyncio.create_task(catalog.run())
            keepalive = asyncio.create_task(session.run())
            await catalog.synced()
            task = asyncio.create_task(master.run(session, election))
            telling = asyncio.create_task(feed.run())
            running = Running(
                etcd,
                catalog,
                session,
                election,
                master,
                listening.address,
                MasterCalls(channels, listening.address),
                task,
                keepalive,
            )
            try:
                await running.sees(lambda c: c.leader is not None)
                yield running
            finally:
                feed.close()
                loops = (task, keepalive, following, telling)
                for each in loops:
                    each.cancel()
                await asyncio.gather(*loops, return_exceptions=True)
                await channels.close()


@dataclass
class Worker:
    """A registered worker that does nothing by itself."""

    etcd: Etcd
    node: Node
    session: Session

    async def report(self, name: str, state: State, run: int = 1) -> None:
        """Report on a resource that it has."""
        entry = await read_entry(self.etcd, name)
        assert entry.resource is not None
        token = entry.resource.revision
        status = Status(state, "", run, entry.resource.id, token, self.node.id, CLOCK.wall())
        assert not await write_statuses(self.etcd, [(entry.resource, status)])

    async def vanish(self) -> None:
        """Go, as when the lease runs out."""
        await self.etcd.revoke(self.session.lease)


@asynccontextmanager
async def a_worker(
    server: EtcdServer, number: int = 1, *, native: bool = True
) -> AsyncIterator[Worker]:
    """A worker under a lease that outlives the test."""
    async with client(server) as etcd, open_session(etcd, 60, CLOCK) as session:
        metadata = native_metadata("1") if native else {}
        address = f"10.0.0.{number}:9090"
        node = Node(node_id(WORKER_SERVICE, str(number)), WORKER_SERVICE, address, metadata)
        yield Worker(etcd, await register(etcd, session, node), session)


async def entry_of(etcd: Etcd, name: str) -> Entry:
    """The resource as etcd has it now."""
    return await read_entry(etcd, name)


def home_of(entry: Entry | None) -> str:
    """The id of the worker that has it; "" for none."""
    if entry is None or entry.resource is None or entry.resource.assignment is None:
        return ""
    return entry.resource.assignment.node_id
