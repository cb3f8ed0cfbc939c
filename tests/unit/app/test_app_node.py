"""What a node does before it takes part."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from crawler.app.node import open_node_store
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
