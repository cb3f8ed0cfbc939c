"""A cluster per test, stopped by pid whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.cluster import Cluster, Site
from tests.etcd_server import EtcdServer


@pytest.fixture
def cluster(etcd: EtcdServer, tmp_path: Path) -> Iterator[Cluster]:
    """An empty cluster: the test starts the masters and workers it needs."""
    running = Cluster(tmp_path, etcd)
    yield running
    running.stop()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    """The bundled shop, large enough for several incidents in one crawl."""
    site = Site(tmp_path, 450)
    yield site
    site.process.kill_group()


@pytest.fixture
def small_shop(tmp_path: Path) -> Iterator[Site]:
    """The bundled shop, large enough for one incident."""
    site = Site(tmp_path, 300)
    yield site
    site.process.kill_group()
