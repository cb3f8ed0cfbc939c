"""What many tests stand on: real servers. Every test has the time limit set in pyproject.toml."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.etcd_server import EtcdServer
from tests.postgres_server import PostgresServer


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the contract suite of the store runs."""
    parser.addoption("--store", choices=["sqlite", "postgresql"], default="sqlite")


@pytest.fixture
def etcd() -> Iterator[EtcdServer]:
    """A fresh single-member etcd, running."""
    with EtcdServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for all tests that leave it as it is; each takes a schema of its own."""
    with PostgresServer() as server:
        yield server
