"""Idle connections that are pinged, for as long as it takes a server to lose its patience."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from crawler.rpc.server import serve
from tests.fakes.control import FakeMaster


async def test_callers_that_ping_are_not_sent_away() -> None:
    """With a server's default patience the third ping without a call, which gRPC sends after three
    seconds at the earliest, ends the connection."""
    master = FakeMaster()
    pinging = (
        ("grpc.keepalive_time_ms", 250),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    )
    async with (
        serve("127.0.0.1:0", master.services, grace_s=0.2) as listening,
        grpc.aio.insecure_channel(listening.address, options=pinging) as channel,
    ):
        health = health_pb2_grpc.HealthStub(channel)
        await health.Check(health_pb2.HealthCheckRequest())
        assert channel.get_state() is grpc.ChannelConnectivity.READY
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4.5):
                await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
