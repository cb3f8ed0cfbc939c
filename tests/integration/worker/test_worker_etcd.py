"""A supervisor on a real agreement: what it runs, what it writes, and an outage."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from crawler.clock import SystemClock
from crawler.coordination.catalog import (
    CLUSTER_KEY,
    Catalog,
    Cluster,
    Load,
    Wish,
    definition_key,
    encode_cluster,
    encode_resource,
    encode_wish,
    load_key,
    resource_key,
    wish_key,
)
from crawler.coordination.etcd import Etcd, EtcdSettings, delete, put
from crawler.coordination.keys import given_key
from crawler.coordination.registry import native_metadata, node_id, register
from crawler.coordination.scope import EVERYTHING, scope_of
from crawler.coordination.session import Session, open_session
from crawler.errors import SessionLost
from crawler.model import WORKER_SERVICE, Assignment, Desired, Node, Resource, State
from crawler.worker.report import EtcdWriter
from crawler.worker.supervisor import Supervisor
from tests.etcd_server import EtcdServer
from tests.integration.worker.scene import Witness, end, supervisor

TTL_S = 3
PATIENCE_S = 10.0 * TTL_S  # with a machine that is busy


class Worker:
    """A worker on a real etcd: children for life, one session after the other."""

    def __init__(self, etcd: Etcd, boss: Supervisor, witness: Witness) -> None:
        self.etcd = etcd
        self.boss = boss
        self.witness = witness
        self.registrations: asyncio.Queue[Node] = asyncio.Queue()
        self.losses = 0
        self.me = Node("", "", "")
        self.catalog = Catalog(etcd, SystemClock())

    async def serve(self) -> None:
        """Sessions until cancelled."""
        node = Node(
            node_id(WORKER_SERVICE, "2"), WORKER_SERVICE, "127.0.0.1:9090", native_metadata("test")
        )
        while True:
            try:
                async with open_session(self.etcd, TTL_S, SystemClock()) as session:
                    me = await register(self.etcd, session, node)
                    await self._follow(session, me)
            except* SessionLost:
                self.losses += 1

    async def _follow(self, session: Session, me: Node) -> None:
        # What tests look at is more than a worker is told of.
        catalog, given = (
            Catalog(self.etcd, SystemClock(), scope=scope) for scope in (EVERYTHING, scope_of(me))
        )
        writer = EtcdWriter(self.etcd, session.lease, me.id)
        async with asyncio.TaskGroup() as group:
            group.create_task(session.run())
            group.create_task(catalog.run())
            group.create_task(given.run())
            group.create_task(self.boss.follow(session, me, given, writer))
            await catalog.synced()
            self.me, self.catalog = me, catalog
            self.registrations.put_nowait(me)

    async def assign(self, name: str, script: dict[str, object]) -> int:
        """What a leader would write; returns the token."""
        resource = Resource(f"id-{name}", name, Assignment(self.me.id, self.me.address), 1)
        written = await self.etcd.txn(
            (),
            (
                put(definition_key(name), json.dumps(script).encode()),
                put(wish_key(name), encode_wish(Wish(Desired.RUNNING, 1, resource.id))),
                put(resource_key(name), encode_resource(resource)),
                put(given_key(self.me.id, name), b""),
            ),
        )
        return written.revision

    async def see(self, check: Callable[[Catalog], bool]) -> None:
        """Wait until the catalog shows it."""
        async with asyncio.timeout(PATIENCE_S):
            while not check(self.catalog):
                await self.catalog.changed(self.catalog.version)

    async def see_state(self, name: str, state: State) -> str:
        """Wait for a status; its reason."""

        def reported(catalog: Catalog) -> bool:
            status = catalog.entries[name].status if name in catalog.entries else None
            return status is not None and status.state is state

        await self.see(reported)
        status = self.catalog.entries[name].status
        assert status is not None
        return status.reason


@asynccontextmanager
async def working(server: EtcdServer, path: Path) -> AsyncIterator[Worker]:
    """A registered worker."""
    etcd = Etcd(EtcdSettings(server.endpoints), SystemClock())
    await etcd.txn((), (put(CLUSTER_KEY, encode_cluster(Cluster("c1", "store-1"))),))
    witness = Witness(path / "witness")
    worker = Worker(etcd, supervisor(witness.path), witness)
    tasks = [
        asyncio.create_task(each)
        for each in (witness.hear(), worker.boss.run_children(), worker.serve())
    ]
    try:
        async with asyncio.timeout(PATIENCE_S):
            await worker.registrations.get()
        yield worker
    finally:
        for task in reversed(tasks):
            await end(task)
        witness.close()
        await etcd.close()


async def test_what_is_assigned_in_etcd_runs_and_is_reported_there(
    etcd: EtcdServer, tmp_path: Path
) -> None:
    async with working(etcd, tmp_path) as scene:
        token = await scene.assign("shop", {"do": "crawl"})
        await scene.witness.see("claim", revision=token)
        await scene.see_state("shop", State.RUNNING)
        await scene.see(lambda catalog: catalog.loads.get(scene.me.id) == Load(1, 1))
        kept = await scene.etcd.get(load_key(scene.me.id))
        assert kept is not None
        assert kept.lease == scene.me.lease
        await scene.assign("shop", {"do": "finish"})
        assert await scene.see_state("shop", State.FINISHED) == "nothing pending"


async def test_hundreds_assigned_at_once_run_and_are_reported(
    etcd: EtcdServer, tmp_path: Path
) -> None:
    async with working(etcd, tmp_path) as scene:
        names = [f"r{n}" for n in range(200)]
        await asyncio.gather(*(scene.assign(name, {"do": "finish"}) for name in names))
        await scene.witness.see("claim", count=200, within_s=PATIENCE_S)
        for name in names:
            await scene.see_state(name, State.FINISHED)


async def test_without_etcd_crawls_go_on_and_reports_follow_when_it_is_back(
    etcd: EtcdServer, tmp_path: Path
) -> None:
    async with working(etcd, tmp_path) as scene:
        await scene.assign("shop", {"do": "crawl"})
        claim = await scene.witness.see("claim")
        await scene.see_state("shop", State.RUNNING)
        etcd.kill()
        os.kill(claim["pid"], signal.SIGKILL)
        again = await scene.witness.see("claim", count=2, within_s=PATIENCE_S)
        assert again["pid"] != claim["pid"]
        etcd.start()
        await scene.assign("other", {"do": "finish"})
        await scene.see_state("other", State.FINISHED)


async def test_a_deleted_resource_stops(etcd: EtcdServer, tmp_path: Path) -> None:
    async with working(etcd, tmp_path) as scene:
        await scene.assign("shop", {"do": "crawl"})
        await scene.witness.see("claim")
        keys = (resource_key("shop"), given_key(scene.me.id, "shop"))
        await scene.etcd.txn((), [delete(key) for key in keys])
        await scene.witness.see("cancelled", name="shop", within_s=PATIENCE_S)


async def test_after_a_lost_session_what_runs_goes_on_and_is_replaced_when_restamped(
    etcd: EtcdServer, tmp_path: Path
) -> None:
    async with working(etcd, tmp_path) as scene:
        for name in ("shop", "other"):
            await scene.assign(name, {"do": "crawl"})
            await scene.witness.see("claim", name=name)
        before = scene.me
        etcd.ctl("lease", "revoke", f"{before.lease:x}")
        async with asyncio.timeout(PATIENCE_S):
            now = await scene.registrations.get()
        assert now.revision > before.revision
        assert scene.losses == 1
        token = await scene.assign("shop", {"do": "finish"})
        await scene.witness.see("claim", name="shop", revision=token)
        assert not scene.witness.told("cancelled", name="other")
        await scene.witness.see("cancelled", name="other", within_s=2 * TTL_S + 2.0)
