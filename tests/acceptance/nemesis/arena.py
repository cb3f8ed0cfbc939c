"""A whole cluster on hosts of its own, its database behind a gate, and a site to crawl."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.acceptance.cluster import Process
from tests.acceptance.hosted import MASTERS, MEMBERS, HostedCluster
from tests.acceptance.nemesis.ground import Tree
from tests.etcd_server import EtcdServer
from tests.lab.gate import Gate
from tests.lab.network import Network
from tests.lab.wallclock import WallClock
from tests.lab.window import open_window
from tests.ports import free_port
from tests.postgres_server import PostgresServer

WORKERS = ("w1", "w2", "w3")
NODES = (*MASTERS, *WORKERS)
HOSTS = (*MEMBERS, *NODES, "sql", "site", "desk")


class Arena(HostedCluster):
    """Three members, three masters, three workers, one database, ``sites`` sites.

    ``database_here`` is the database as it is reached from here, past the gate.
    """

    def __init__(
        self, folder: Path, network: Network, etcd: EtcdServer, server: PostgresServer, sites: int
    ) -> None:
        super().__init__(folder, etcd, network)
        schema = server.fresh_url().partition("?")[2]
        self.server = server
        self.gate = Gate(network["sql"], free_port(), server.port)
        self.store = f"postgresql://postgres@{self.gate.url}/postgres?{schema}"
        port = open_window(network["sql"], "127.0.0.1", server.port)
        self.database_here = f"postgresql://postgres@127.0.0.1:{port}/postgres?{schema}"
        self.clocks = {node: _clock(folder, node) for node in NODES}
        self.site_log = folder / "site.jsonl"
        self.site_log.touch()
        self._origins = [f"http://{network['site'].address}:{port}" for port in _ports(sites)]

    def start_site(self, seed: int) -> None:
        """Serve trees of that seed."""
        host = self.network["site"]
        ports = [origin.rpartition(":")[2] for origin in self._origins]
        command = [sys.executable, "-m", "tests.acceptance.nemesis.ground", host.address]
        command += [str(self.site_log), str(seed), *ports]
        host.start(command, cwd=Path(__file__).parents[3])

    def tree(self, site: int, size: int, seed: int) -> Tree:
        return Tree(self._origins[site], size, seed)

    def start(self, host: str, **environment: str) -> Process:
        """Start the node of that host."""
        environment = {**self.clocks[host].environment, **environment}
        start = self.start_master if host in MASTERS else self.start_worker
        return start(host[1:], **environment)

    def process(self, host: str) -> Process:
        """The newest process of that host."""
        return (self.masters if host in MASTERS else self.workers)[host[1:]]

    def mend(self) -> None:
        """Heal the network, let everything go on, and start what is down."""
        self.network.heal()
        self.gate.lose("")
        self.gate.heal()
        self.etcd.resume()
        self.etcd.start()
        for host in NODES:
            self.clocks[host].step(0)
            self.process(host).resume()
            if not self.process(host).running:
                self.start(host)


@contextmanager
def open_arena(folder: Path, sites: int) -> Iterator[Arena]:
    """Everything but the nodes runs; all of it is gone at the end of the block."""
    with ExitStack() as stack:
        network = stack.enter_context(Network(*HOSTS))
        etcd = stack.enter_context(EtcdServer(places=[network[name] for name in MEMBERS]))
        prefix = tuple(network["sql"].command([]))
        server = stack.enter_context(PostgresServer(durable=True, prefix=prefix))
        arena = Arena(folder, network, etcd, server, sites)
        stack.callback(arena.stop)
        yield arena


def _clock(folder: Path, node: str) -> WallClock:
    (folder / "clocks" / node).mkdir(parents=True)
    return WallClock(folder / "clocks" / node)


def _ports(count: int) -> list[int]:
    return [free_port() for _ in range(count)]
