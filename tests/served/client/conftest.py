"""A client of the API for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crawler.client import Client
from tests.fakes.api import FakeCluster


@pytest.fixture
async def client(cluster: FakeCluster) -> AsyncIterator[Client]:
    async with Client(cluster.url, retry_for_s=0.0) as client:
        yield client
