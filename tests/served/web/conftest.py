"""A running API and a plain HTTP session for every test of the web."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.fakes.api import FakeCluster, serve_api


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with serve_api() as cluster:
        yield cluster


@pytest.fixture
async def http(cluster: FakeCluster) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cluster.url) as session:
        yield session
