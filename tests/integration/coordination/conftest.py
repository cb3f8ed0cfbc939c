"""Clients of a real etcd."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from crawler.clock import SystemClock
from crawler.coordination.etcd import Etcd, EtcdSettings
from tests.etcd_server import EtcdServer


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
