"""Calls over a long line."""

from __future__ import annotations

from crawler.rpc.calls import Channels, MasterCalls
from crawler.rpc.server import serve
from tests.fakes.control import FakeMaster
from tests.lab.proxy import open_proxy


async def test_a_slow_connection_is_a_connection() -> None:
    """gRPC's own patience is as long as its shortest pause between attempts, where that is set."""
    async with (
        serve("127.0.0.1:0", FakeMaster().services, grace_s=0.2) as listening,
        open_proxy("127.0.0.1", listening.port) as proxy,
    ):
        proxy.latency_s = 0.2
        channels = Channels()
        calls = MasterCalls(channels, f"127.0.0.1:{proxy.port}")
        assert len((await calls.list_nodes()).nodes) == 2
        await channels.close()
