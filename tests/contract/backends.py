"""The backends that the contract suite runs on; each test runs once per backend.

Without ``--store`` those that need nothing installed; ``--store=postgresql`` runs the suite on a
real PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest

from crawler.clock import Clock, SystemClock
from crawler.store import open_store
from crawler.store.contract import Store
from crawler.store.postgres.server import Connection
from crawler.store.postgres.store import open_postgres
from tests.contract.memory import MemoryStore
from tests.postgres_server import PostgresServer

Opener = Callable[[], Awaitable[Store]]

# What the fakes do too.
EVERYWHERE = pytest.mark.everywhere


@dataclass(frozen=True, slots=True)
class Backend:
    """One of them. ``server``: what postgresql runs on."""

    name: str
    server: PostgresServer | None = None

    def opener(self, directory: Path, clock: Clock) -> Opener:
        """What opens the same database, empty at first, again and again."""
        if self.name == "memory":
            return _memory(clock)
        if self.server is not None:
            return _postgres(self.server.fresh_url(), clock)
        return _sqlite(directory, clock)


def _memory(clock: Clock) -> Opener:
    memory = MemoryStore(clock)

    async def opened() -> Store:
        return cast("Store", memory)

    return opened


def _sqlite(directory: Path, clock: Clock) -> Opener:
    file = directory / "store.db"

    async def opened() -> Store:
        if not file.exists():
            file.write_bytes(await _new_database())
        return await open_store(f"sqlite://{file}", clock)

    return opened


_made: list[bytes] = []


async def _new_database() -> bytes:
    """The file as SQLite leaves it once it is made, which costs more than most tests: made once."""
    if not _made:
        with TemporaryDirectory() as directory:
            file = Path(directory) / "store.db"
            await (await open_store(f"sqlite://{file}", SystemClock())).close()
            _made.append(file.read_bytes())
    return _made[0]


def _postgres(url: str, clock: Clock) -> Opener:
    async def now(_: Connection) -> float:
        return clock.elapsed()  # the tests set the time; the server's is no node's

    async def opened() -> Store:
        return await open_postgres(url, clock, locked_for_s=5.0, now=now)

    return opened
