"""A running API and a client of it for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crawler.client import Client
from tests.fakes.api import FakeCluster, serve_api


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with serve_api() as cluster:
        yield cluster


@pytest.fixture
async def client(cluster: FakeCluster) -> AsyncIterator[Client]:
    async with Client(cluster.url, retry_for_s=0.0) as client:
        yield client
