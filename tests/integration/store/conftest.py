"""A store file and actors on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.store.troupe import Troupe, on_stage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def troupe(path: Path) -> AsyncIterator[Troupe]:
    async with on_stage(f"sqlite://{path}") as stage:
        yield stage
