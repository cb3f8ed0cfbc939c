"""Stores for the contract suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from crawler.store.contract import Store
from tests.contract.backends import EVERYWHERE, Backend, Opener
from tests.contract.rows import SetClock


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test once per backend."""
    if "backend" in metafunc.fixturenames:
        names = [metafunc.config.getoption("store")]
        if names == ["sqlite"] and metafunc.definition.get_closest_marker(EVERYWHERE.name):
            names.append("memory")
        metafunc.parametrize("backend", names, indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    """Where the test runs."""
    server = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    return Backend(request.param, server)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def open_another(backend: Backend, tmp_path: Path, clock: SetClock) -> AsyncIterator[Opener]:
    """Opens one more store on the same database, as another process would."""
    async with AsyncExitStack() as stack:
        open_one = backend.opener(tmp_path, clock)

        async def opened() -> Store:
            store = await open_one()
            stack.push_async_callback(store.close)
            return store

        yield opened


@pytest.fixture
async def store(open_another: Opener) -> Store:
    return await open_another()
