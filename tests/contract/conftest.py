"""Stores for the contract suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from crawler.store.contract import Store
from tests.contract.backends import DATABASES, Opener, opener
from tests.contract.rows import SetClock


@pytest.fixture(params=DATABASES)
def backend(request: pytest.FixtureRequest) -> str:
    """The backend's name. Modules of what the fakes do too say so with `EVERYWHERE`."""
    return str(request.param)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def open_another(backend: str, tmp_path: Path, clock: SetClock) -> AsyncIterator[Opener]:
    """Opens one more store on the same database, as another process would."""
    async with AsyncExitStack() as stack:
        open_one = opener(backend, tmp_path, clock)

        async def opened() -> Store:
            store = await open_one()
            stack.push_async_callback(store.close)
            return store

        yield opened


@pytest.fixture
async def store(open_another: Opener) -> Store:
    return await open_another()
