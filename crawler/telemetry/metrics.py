"""Figures of a process in the Prometheus text format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from crawler import __version__

LOG_LINES = Counter("crawler_log_lines", "Log lines written, by level.", ["level"])
_NODE = Gauge("crawler_node_info", "Always 1; who this process is.", ["node", "version"])


def name_node(node: str) -> None:
    """Say which node this process is, ``go.micro.server.worker-2`` for instance."""
    _NODE.clear()
    _NODE.labels(node=node, version=__version__).set(1)


@contextmanager
def collected(*collectors: Collector) -> Iterator[None]:
    """Ask these, too, while the block lasts."""
    for each in collectors:
        REGISTRY.register(each)
    try:
        yield
    finally:
        for each in collectors:
            REGISTRY.unregister(each)


def exposition() -> tuple[bytes, str]:
    """All figures of this process, and their content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
