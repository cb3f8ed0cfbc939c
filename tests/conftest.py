"""What many tests stand on: a real etcd. Every test has the time limit set in pyproject.toml."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.etcd_server import EtcdServer


@pytest.fixture
def etcd() -> Iterator[EtcdServer]:
    """A fresh single-member etcd, running."""
    with EtcdServer() as server:
        yield server
