"""No failpoint outlives its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crawler import failpoint
from tests.fakes.fence import MemoryFence


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoint.arm("")


@pytest.fixture
def fence() -> MemoryFence:
    return MemoryFence()
