"""A master's API for real, over sockets, on a fake master and fake records."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from crawler.access import Access
from crawler.clock import SystemClock
from crawler.engine.urls import page_key
from crawler.rates import Rates
from crawler.rpc.calls import CallSettings, Channels, MasterCalls
from crawler.rpc.server import serve as serve_grpc
from crawler.telemetry.health import Health
from crawler.web.app import build_app
from crawler.web.server import serve as serve_http
from tests.fakes.control import FakeMaster
from tests.fakes.results import FakeResults

MARK = "the mark of this master"


@dataclass
class FakeCluster:
    """What stands behind the API, and where it is."""

    master: FakeMaster = field(default_factory=FakeMaster)
    results: FakeResults = field(default_factory=FakeResults)
    health: Health = field(default_factory=lambda: Health(deadline_s=0.2))
    url: str = ""
    rpc: str = ""


@asynccontextmanager
async def serve_api(
    *,
    loopback: bool = True,
    timeout_s: float = 60.0,
    access: Access | None = None,
    rates: Rates | None = None,
    definition_schema: Mapping[str, Any] | None = None,
) -> AsyncIterator[FakeCluster]:
    """A running cluster of fakes; gRPC and HTTP are real."""
    cluster = FakeCluster()
    channels, rates = Channels(), rates or Rates(SystemClock())
    async with serve_grpc(
        "127.0.0.1:0",
        cluster.master.services,
        access=access,
        rates=rates,
        counted=MARK.__eq__,
        grace_s=0.1,
    ) as listening:
        cluster.rpc = listening.address
        settings = CallSettings(timeout_s=timeout_s, connect_s=timeout_s)
        calls = MasterCalls(channels, listening.address, settings=settings, mark=MARK)
        app = build_app(
            calls,
            cluster.results,
            cluster.health,
            fingerprint=page_key,
            loopback=loopback,
            access=access,
            rates=rates,
            definition_schema=definition_schema,
        )
        async with serve_http(app, "127.0.0.1", 0, grace_s=0.1) as port:
            cluster.url = f"http://127.0.0.1:{port}"
            yield cluster
        await channels.close()
