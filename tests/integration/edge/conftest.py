"""Entries, each with an etcd of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.etcd_server import EtcdServer
from tests.integration.edge.stage import Stage


def fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture
def nginx(tmp_path: Path, etcd: EtcdServer) -> Iterator[Stage]:
    stage = Stage(fresh(tmp_path / "nginx"), etcd, "nginx")
    yield stage
    stage.stop()


@pytest.fixture
def haproxy(tmp_path: Path, etcd: EtcdServer) -> Iterator[Stage]:
    stage = Stage(fresh(tmp_path / "haproxy"), etcd, "haproxy")
    yield stage
    stage.stop()
