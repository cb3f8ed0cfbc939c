"""Connections to a gRPC server that only cost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from crawler.rpc.calls import Channels, MasterCalls
from crawler.rpc.server import MAX_CONNECTIONS, serve
from tests.fakes.control import FakeMaster


@pytest.mark.threat(26)
async def test_there_is_room_for_so_many_and_who_is_in_goes_on() -> None:
    async with (
        serve("127.0.0.1:0", FakeMaster().services, grace_s=0.1) as at,
        AsyncExitStack() as held,
    ):
        channels = Channels()
        held.push_async_callback(channels.close)
        calls = MasterCalls(channels, at.address)
        await calls.list_nodes()
        for _ in range(MAX_CONNECTIONS - 1):
            _, writer = await asyncio.open_connection("127.0.0.1", at.port)
            held.callback(writer.close)
        async with asyncio.timeout(5):
            # Those that were let in are silent for longer than this before they are sent away.
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
            held.callback(writer.close)
            assert await reader.read() == b""
        await calls.list_nodes()
