"""Clients of a real etcd, on loopback and on hosts whose network can be broken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from crawler.clock import SystemClock
from crawler.coordination.etcd import Etcd, EtcdSettings
from tests.etcd_server import EtcdServer
from tests.integration.coordination.stage import CLIENTS, MEMBERS, Stage
from tests.lab.network import Network


@pytest.fixture
async def client(etcd: EtcdServer) -> AsyncIterator[Etcd]:
    """A client of the fresh etcd."""
    opened = Etcd(EtcdSettings(etcd.endpoints), SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
def trio() -> Iterator[EtcdServer]:
    """Three members."""
    with EtcdServer(members=3) as server:
        yield server


@pytest.fixture(scope="module")
def theatre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Hosts with three members, for many tests."""
    with Network(*MEMBERS, *CLIENTS) as network:
        places = [network[name] for name in MEMBERS]
        with EtcdServer(places=places) as etcd:
            yield Stage(network, etcd, tmp_path_factory.mktemp("actors"))


@pytest.fixture
def stage(theatre: Stage) -> Iterator[Stage]:
    """The hosts healthy and etcd empty; whoever acted is gone afterwards."""
    yield theatre
    for client in CLIENTS:
        theatre.network[client].clear()
    theatre.settle()
    theatre.etcd.ctl("del", "--prefix", "/")
