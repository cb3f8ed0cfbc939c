"""Databases, and actors on them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.integration.store.audit import Ask, ask, ask_server, count, examine
from tests.integration.store.troupe import Troupe, on_stage


@dataclass(frozen=True, slots=True)
class Stage:
    """Actors on one database, and an independent view of it."""

    troupe: Troupe
    ask: Ask
    examine: Callable[[], dict[str, int]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def troupe(path: Path) -> AsyncIterator[Troupe]:
    async with on_stage(f"sqlite://{path}") as stage:
        yield stage


@pytest.fixture(params=["sqlite", "postgresql"])
async def stage(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[Stage]:
    """Each backend in turn."""
    if request.param == "sqlite":
        async with on_stage(f"sqlite://{path}") as troupe:
            yield Stage(troupe, partial(ask, path), partial(examine, path))
        return
    url = request.getfixturevalue("postgres").fresh_url()
    async with on_stage(url) as troupe:
        yield Stage(troupe, partial(ask_server, url), lambda: count(partial(ask_server, url)))
