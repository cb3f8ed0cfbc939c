"""The backends that the contract suite runs on; each test runs once per backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from crawler.store import open_store
from crawler.store.contract import Store
from tests.contract.rows import SetClock

Opener = Callable[[], Awaitable[Store]]


@pytest.fixture(params=["sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty database of the backend is."""
    return {"sqlite": f"sqlite://{tmp_path}/store.db"}[request.param]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def open_another(url: str, clock: SetClock) -> AsyncIterator[Opener]:
    """Opens one more store on the same database, as another process would."""
    async with AsyncExitStack() as stack:

        async def opened() -> Store:
            store = await open_store(url, clock)
            stack.push_async_callback(store.close)
            return store

        yield opened


@pytest.fixture
async def store(open_another: Opener) -> Store:
    return await open_another()
