"""A small cluster on loopback for one directed fault, recorded and judged."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.acceptance.chaos.history import Call, Kind, Outcome
from tests.acceptance.chaos.liveness import Bounds
from tests.acceptance.chaos.recorders import install_log, read_commits
from tests.acceptance.chaos.verdict import Needs, Verdict, verdict
from tests.acceptance.cluster import Cluster, Process, eventually
from tests.acceptance.nemesis.callers import Definition, call, canonical
from tests.acceptance.nemesis.ground import Tree
from tests.acceptance.nemesis.record import Record, finished, recorded, truth_of
from tests.etcd_server import EtcdServer
from tests.lab.proxy import Proxy, open_proxy
from tests.ports import free_port
from tests.postgres_server import PostgresServer

DELAY_S = 0.03
SEED = 1
TTL_S = 2  # the least that etcd grants
STUCK_S = 10 * TTL_S  # without a page: it does not go on
DEFECTS = Path(__file__).with_name("defects")

# A directed run is about its one fault; how long things take is told elsewhere.
NEEDS = Needs(terms=1, refusals=0, unknown=0, ambiguous=0, compactions=0, busy=0.0)
LOOSE = Bounds(leaderless_s=1e6, orphaned_s=1e6, moves=1000, overlaps=1000, converged_s=1e6)


class SceneCluster(Cluster):
    """A cluster whose worker may reach etcd through a proxy."""

    proxied: dict[str, str]

    def endpoints_of(self, node: str) -> tuple[str, ...]:
        proxied = self.proxied.get(node)
        return (proxied,) if proxied else super().endpoints_of(node)


class Scene:
    """Nodes are started with the ``defect``, if there is one, those that ``carriers`` name or
    (None) all; ``calls`` is what was asked."""

    def __init__(
        self, cluster: SceneCluster, record: Record, tree: Tree, defect: str, stack: AsyncExitStack
    ) -> None:
        self.cluster = cluster
        self.tree = tree
        self.calls: list[Call] = []
        self.carriers: Sequence[str] | None = None
        self._record = record
        self._defect = defect
        self._stack = stack
        self._crawls = False
        self._logged = False

    def start(self, node: str, **environment: str) -> Process:
        """``master-1``, say."""
        role, _, number = node.partition("-")
        if self._defect and (self.carriers is None or node in self.carriers):
            environment |= {"PYTHONPATH": str(DEFECTS), "CRAWLER_DEFECT": self._defect}
        start = self.cluster.start_master if role == "master" else self.cluster.start_worker
        return start(number, **environment)

    async def start_masters(self, *numbers: str, **environment: str) -> None:
        """One after the other, so that the first one leads."""
        for number in numbers:
            self.start(f"master-{number}", **environment)
            await self.cluster.wait_ready(number)
        if not self._logged:
            install_log(self.cluster.store)
            self._logged = True

    async def call(
        self, kind: Kind, name: str, *, master: str = "1", url: str = "", crawl: bool = False
    ) -> Call:
        """Through that master, or whoever answers at ``url``; with ``crawl``, the definition of the
        site's crawl."""
        definition: Definition | None = self.tree.definition(DELAY_S) if crawl else None
        resource = f"{url or self.cluster.url(master)}/crawler/resource"
        self.calls.append(await call("c", resource, kind, name, definition))
        self._crawls = self._crawls or crawl
        return self.calls[-1]

    async def crawl(self, name: str = "site") -> None:
        """Begin a crawl of the site."""
        put = await self.call(Kind.PUT, name, crawl=True)
        assert put.outcome is Outcome.OK

    async def committed(self, pages: int, node: str = "", timeout_s: float = 30.0) -> None:
        """Wait until so many pages were committed, by that worker or by any."""

        async def enough() -> bool | None:
            commits = read_commits(self.cluster.store)
            return sum(each.node.endswith(node) for each in commits) >= pages or None

        await eventually(enough, f"{pages} pages", timeout_s)

    async def claimed(self, node: str, timeout_s: float) -> None:
        """Wait until that worker has the claim of a crawl."""

        async def has_it() -> bool | None:
            with self.cluster.sql() as sql:
                owners = sql.execute("SELECT node FROM fences WHERE open").fetchall()
            return any(owner.endswith(node) for (owner,) in owners) or None

        await eventually(has_it, f"claim of {node}", timeout_s)

    async def etcd_proxy(self, node: str) -> Proxy:
        """That node reaches etcd through it."""
        port = int(self.cluster.etcd.endpoints[0].rpartition(":")[2])
        proxy = await self._stack.enter_async_context(open_proxy("127.0.0.1", port))
        self.cluster.proxied[node] = f"http://127.0.0.1:{proxy.port}"
        return proxy

    async def sql_proxy(self) -> tuple[Proxy, str]:
        """And the database's URL through it."""
        server = self.cluster.postgres
        assert server is not None
        proxy = await self._stack.enter_async_context(open_proxy("127.0.0.1", server.port))
        return proxy, self.cluster.store.replace(f":{server.port}/", f":{proxy.port}/")

    async def judge(self) -> Verdict:
        """Wait for the end of the crawl, if there is one, and judge."""
        if self._crawls:
            await finished(self.cluster, STUCK_S)
        history = await self._record.history(self.calls)
        truth = truth_of(history, {canonical(self.tree.definition(DELAY_S)): self.tree})
        return verdict(history, truth, LOOSE, NEEDS)


@asynccontextmanager
async def open_scene(
    folder: Path, etcd: EtcdServer, server: PostgresServer, defect: str, pages: int
) -> AsyncIterator[Scene]:
    """A scene without nodes yet, beside a site of so many pages."""
    cluster = SceneCluster(folder, etcd, TTL_S, server)
    cluster.proxied = {}
    tree = Tree(f"http://127.0.0.1:{free_port()}", pages, SEED)
    command = [sys.executable, "-m", "tests.acceptance.nemesis.ground", "127.0.0.1"]
    command += [str(folder / "site.jsonl"), str(SEED), tree.origin.rpartition(":")[2]]
    site = Process("site", command, folder / "site.log")
    try:
        async with AsyncExitStack() as stack:
            record = await stack.enter_async_context(recorded(cluster, cluster.store))
            yield Scene(cluster, record, tree, defect, stack)
    finally:
        cluster.stop()
        site.kill_group()
