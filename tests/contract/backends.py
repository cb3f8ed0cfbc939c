"""The backends that the contract suite runs on; each test runs once per backend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from crawler.clock import Clock
from crawler.store import open_store
from crawler.store.contract import Store
from tests.contract.memory import MemoryStore

Opener = Callable[[], Awaitable[Store]]

DATABASES = ["sqlite"]
ALL = [*DATABASES, "memory"]
EVERYWHERE = pytest.mark.parametrize("backend", ALL)


def opener(backend: str, directory: Path, clock: Clock) -> Opener:
    """What opens the same empty database, again and again."""
    memory = MemoryStore(clock)

    async def opened() -> Store:
        if backend == "memory":
            return cast("Store", memory)
        return await open_store(f"{backend}://{directory}/store.db", clock)

    return opened
