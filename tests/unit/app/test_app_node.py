"""What a node does before it takes part, and what it tells others of itself."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from crawler.app.node import describe_node, open_node_store
from crawler.clock import SystemClock
from crawler.config import master_config
from crawler.model import MASTER_SERVICE


async def test_a_stop_while_the_store_is_away_is_no_failure() -> None:
    config = master_config({"store": "postgresql://crawler@127.0.0.1:1/crawler"}, {})
    stop = asyncio.Event()
    async with AsyncExitStack() as stack, asyncio.timeout(10.0):
        opening = open_node_store(stack, config, MASTER_SERVICE, SystemClock(), stop)
        asyncio.get_running_loop().call_later(0.2, stop.set)
        assert await opening is None


@pytest.mark.parametrize(
    ("advertise", "grpc", "http"),
    [
        ("10.2.2.2", "10.2.2.2:9091", "10.2.2.2:8081"),
        ("10.2.2.2:7000", "10.2.2.2:7000", "10.2.2.2:8081"),
        ("[fd00::1]:7000", "[fd00::1]:7000", "[fd00::1]:8081"),
        ("", "127.0.0.1:9091", "127.0.0.1:8081"),
    ],
)
def test_the_advertised_port_is_grpcs_alone(advertise: str, grpc: str, http: str) -> None:
    flags = {"http": ":8081", "grpc": ":9091", "advertise": advertise}
    config = master_config(flags, {})
    node = describe_node(config, MASTER_SERVICE, config.grpc, config.http, SystemClock())
    assert (node.address, node.metadata["http"]) == (grpc, http)
