"""A running API for every test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes.api import FakeCluster, serve_api


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with serve_api() as cluster:
        yield cluster
