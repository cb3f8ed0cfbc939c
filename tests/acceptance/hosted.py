"""A cluster whose every part has a host of its own, seen from a desk that no fault reaches."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from tests.acceptance.cluster import TTL_S, Cluster
from tests.etcd_server import EtcdServer
from tests.lab.network import Host, Network
from tests.lab.window import open_window

MEMBERS = ("e1", "e2", "e3")
MASTERS = ("m1", "m2", "m3")
WORKERS = ("w1", "w2")
HOSTS = (*MEMBERS, *MASTERS, *WORKERS, "site", "desk")


class HostedCluster(Cluster):
    """``master-1`` runs on ``m1``, ``worker-1`` on ``w1``, etcd's members on ``e1`` to ``e3``."""

    def __init__(
        self, folder: Path, etcd: EtcdServer, network: Network, ttl_s: int = TTL_S
    ) -> None:
        super().__init__(folder, etcd, ttl_s)
        self.network = network
        self._windows: dict[tuple[str, int], int] = {}
        self._endpoints = tuple(self._seen(url) for url in etcd.endpoints)

    def place(self, node: str) -> Host:
        role, _, number = node.partition("-")
        return self.network[f"{role[0]}{number}"]

    @property
    def endpoints(self) -> tuple[str, ...]:
        return self._endpoints

    def url(self, master: str) -> str:
        name = f"master-{master}"
        return self._seen(f"http://{self.place(name).address}:{self._http[name]}")

    def member_of(self, host: str) -> str:
        """The host of the one member that a process on ``host`` is connected to."""
        run = self.network[host].namespace.run
        table = run("ss", "--tcp", "--numeric", "--no-header", "state", "established")
        addresses = {self.network[member].address: member for member in MEMBERS}
        peers = re.findall(r"(10\.99\.0\.\d+)\]?:\d+\s*$", table, re.MULTILINE)
        (member,) = {addresses[peer] for peer in peers if peer in addresses}
        return member

    def _seen(self, url: str) -> str:
        """The same address as the desk makes it reachable from here."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        where = (parts.hostname, parts.port)
        if where not in self._windows:
            self._windows[where] = open_window(self.network["desk"], *where)
        return f"http://127.0.0.1:{self._windows[where]}"
