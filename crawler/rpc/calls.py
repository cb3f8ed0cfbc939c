"""Calls to a node: each with a deadline, over one kept channel per address.

gRPC's own retry policy is off on purpose: after it, a failure to connect could hide an earlier try
that was sent, and nobody could say any more whether the call had an effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc

from crawler.access import acting_for
from crawler.clock import Backoff, Clock, SystemClock
from crawler.errors import Unavailable
from crawler.rpc.admission import KEY
from crawler.rpc.errors import from_rpc_error
from crawler.rpc.incoming import HOP_KEY, MARK_KEY
from crawler.rpc.limits import MAX_REPLY_BYTES, MAX_REQUEST_BYTES
from crawler.rpc.pb import communicate_pb2 as communicate
from crawler.rpc.pb import (
    communicate_pb2_grpc,
    control_pb2_grpc,
    crawler_pb2_grpc,
    logs_pb2_grpc,
    worker_pb2_grpc,
)
from crawler.rpc.pb import control_pb2 as control
from crawler.rpc.pb import crawler_pb2 as crawler
from crawler.rpc.pb import logs_pb2 as logs
from crawler.rpc.pb import worker_pb2 as worker
from crawler.telemetry.correlation import KEY as REQUEST_KEY
from crawler.telemetry.correlation import current_id
from crawler.telemetry.traces import KEY as TRACE_KEY
from crawler.telemetry.traces import traceparent
from crawler.tls import Pair

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    # Without it, a peer that hangs is noticed after a minute whatever keepalive says.
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # also how long one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", MAX_REPLY_BYTES),
    ("grpc.max_send_message_length", MAX_REQUEST_BYTES),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
)


@dataclass(frozen=True, slots=True)
class CallSettings:
    """``timeout_s`` is a call's whole deadline, ``connect_s`` the part of it for connecting.

    With ``repeat``, a call that definitely had no effect (no leader, no connection) is made again
    until the deadline.
    """

    timeout_s: float = 5.0
    connect_s: float = 2.0
    repeat: Backoff | None = None


class Channels:
    """One channel per address, kept open and reconnecting by itself; with ``pair`` over TLS, to
    servers that show a certificate of its authority for their address."""

    def __init__(self, pair: Pair | None = None) -> None:
        self._open: dict[str, grpc.aio.Channel] = {}
        self._credentials = (
            grpc.ssl_channel_credentials(pair.ca, pair.key, pair.cert) if pair else None
        )

    def to(self, address: str) -> grpc.aio.Channel:
        """The channel to ``host:port``; made at its first use."""
        channel = self._open.get(address)
        if channel is None:
            channel = self._open[address] = self._make(address)
        return channel

    def _make(self, address: str) -> grpc.aio.Channel:
        if self._credentials is None:
            return grpc.aio.insecure_channel(address, options=_OPTIONS)
        return grpc.aio.secure_channel(address, self._credentials, options=_OPTIONS)

    async def keep(self, addresses: set[str]) -> None:
        """Close the channels to all other addresses."""
        for address in self._open.keys() - addresses:
            await self._open.pop(address).close(None)

    async def close(self) -> None:
        """Close all; idempotent."""
        await self.keep(set())


async def connected(channel: grpc.aio.Channel, address: str, seconds: float) -> None:
    """Return once the channel is connected; otherwise raise `Unavailable`: nothing was sent."""
    try:
        async with asyncio.timeout(seconds):
            while (state := channel.get_state(True)) is not grpc.ChannelConnectivity.READY:
                if state in _HOPELESS:
                    raise Unavailable(f"cannot connect to {address}")
                await channel.wait_for_state_change(state)
    except TimeoutError as error:
        raise Unavailable(f"no connection to {address} within {seconds:g} s") from error


_HOPELESS = (
    grpc.ChannelConnectivity.TRANSIENT_FAILURE,
    grpc.ChannelConnectivity.SHUTDOWN,
)


class Calls:
    """Calls to the node at one address. ``hop`` 1 marks forwarded calls: they go no further;
    ``mark`` is that of the master that makes them, and has counted them.

    Every method raises errors of ours: `Unavailable` where the call was definitely without effect,
    `OutcomeUnknown` where it was sent and no answer came.
    """

    def __init__(
        self,
        channels: Channels,
        address: str,
        *,
        settings: CallSettings | None = None,
        hop: int = 0,
        mark: str = "",
        clock: Clock | None = None,
    ) -> None:
        self._channels = channels
        self._address = address
        self._settings = settings or CallSettings()
        marks = ((HOP_KEY, str(hop) if hop else ""), (MARK_KEY, mark))
        self._metadata = tuple((key, value) for key, value in marks if value)
        self._clock = clock or SystemClock()

    async def _call(
        self,
        method: Callable[[grpc.aio.Channel], grpc.aio.UnaryUnaryMultiCallable[Q, R]],
        request: Q,
        timeout_s: float | None,
    ) -> R:
        """Make the call, again where that is allowed, until the deadline."""
        most_s = self._settings.timeout_s if timeout_s is None else timeout_s
        until = self._clock.elapsed() + most_s
        repeat = self._settings.repeat
        delays = repeat.delays() if repeat is not None else iter(())
        while True:
            left_s = until - self._clock.elapsed()
            try:
                return await self._once(method, request, left_s)
            except Unavailable:
                delay_s = next(delays, None)
                if delay_s is None or self._clock.elapsed() + delay_s >= until:
                    raise
                await self._clock.sleep(delay_s)

    async def _once(
        self,
        method: Callable[[grpc.aio.Channel], grpc.aio.UnaryUnaryMultiCallable[Q, R]],
        request: Q,
        timeout_s: float,
    ) -> R:
        channel = self._channels.to(self._address)
        before = self._clock.elapsed()
        await connected(channel, self._address, min(timeout_s, self._settings.connect_s))
        left_s = timeout_s - (self._clock.elapsed() - before)
        try:
            return await method(channel)(
                request, timeout=max(left_s, 0.001), metadata=(*self._metadata, *_identity())
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error


class MasterCalls(Calls):
    """What can be asked of a master."""

    async def add_resource(
        self, request: crawler.ResourceSpec, *, timeout_s: float | None = None
    ) -> crawler.NodeSpec:
        return await self._call(lambda c: _master(c).AddResource, request, timeout_s)

    async def delete_resource(
        self, request: crawler.ResourceSpec, *, timeout_s: float | None = None
    ) -> Empty:
        return await self._call(lambda c: _master(c).DeleteResource, request, timeout_s)

    async def put_resource(
        self, request: control.PutRequest, *, timeout_s: float | None = None
    ) -> control.PutReply:
        return await self._call(lambda c: _control(c).PutResource, request, timeout_s)

    async def set_desired(
        self, request: control.DesireRequest, *, timeout_s: float | None = None
    ) -> control.DesireReply:
        return await self._call(lambda c: _control(c).SetDesired, request, timeout_s)

    async def retry_pages(
        self, request: control.RetryRequest, *, timeout_s: float | None = None
    ) -> control.RetryReply:
        return await self._call(lambda c: _control(c).RetryPages, request, timeout_s)

    async def list_resources(
        self, request: control.ListRequest | None = None, *, timeout_s: float | None = None
    ) -> control.ResourceList:
        """Without a request all of them."""
        request = request or control.ListRequest()
        return await self._call(lambda c: _control(c).ListResources, request, timeout_s)

    async def get_resource(
        self, request: control.NameRequest, *, timeout_s: float | None = None
    ) -> control.ResourceView:
        return await self._call(lambda c: _control(c).GetResource, request, timeout_s)

    async def list_nodes(
        self, request: control.NodesRequest | None = None, *, timeout_s: float | None = None
    ) -> control.NodeList:
        """Without a request all of them."""
        request = request or control.NodesRequest()
        return await self._call(lambda c: _control(c).ListNodes, request, timeout_s)

    async def drain_node(
        self, request: control.DrainRequest, *, timeout_s: float | None = None
    ) -> Empty:
        return await self._call(lambda c: _control(c).DrainNode, request, timeout_s)

    async def watch(self, request: control.WatchRequest) -> AsyncGenerator[control.Notice]:
        """What the master tells, until it ends the stream."""
        channel = self._channels.to(self._address)
        await connected(channel, self._address, self._settings.connect_s)
        metadata = (*self._metadata, *_identity())
        try:
            async for notice in _control(channel).Watch(request, metadata=metadata):
                yield notice
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error

    async def create_task(
        self, request: communicate.Task, *, timeout_s: float | None = None
    ) -> communicate.OptResult:
        return await self._call(lambda c: _tasks(c).CreateTask, request, timeout_s)

    async def del_task(
        self, request: communicate.ID, *, timeout_s: float | None = None
    ) -> communicate.OptResult:
        return await self._call(lambda c: _tasks(c).DelTask, request, timeout_s)

    async def kill_task(
        self, request: communicate.ID, *, timeout_s: float | None = None
    ) -> communicate.OptResult:
        return await self._call(lambda c: _tasks(c).KillTask, request, timeout_s)

    async def request_election(
        self, request: communicate.Secret, *, timeout_s: float | None = None
    ) -> communicate.OptResult:
        return await self._call(lambda c: _elections(c).RequestElection, request, timeout_s)


class NodeCalls(Calls):
    """What can be asked of any node."""

    async def serves(self, *, timeout_s: float | None = None) -> bool:
        """Whether it says itself that it serves."""
        request = health_pb2.HealthCheckRequest()
        found = await self._call(_health, request, timeout_s)
        return bool(found.status == health_pb2.HealthCheckResponse.SERVING)


class LogCalls(Calls):
    """What any node has kept of what it logged."""

    async def watch_logs(self, request: logs.LogsRequest) -> AsyncGenerator[logs.LogLine]:
        """Lines until there are no more, or with ``follow`` until the node ends the stream."""
        channel = self._channels.to(self._address)
        await connected(channel, self._address, self._settings.connect_s)
        stub: logs_pb2_grpc.CrawlerLogsAsyncStub = logs_pb2_grpc.CrawlerLogsStub(channel)
        try:
            async for line in stub.WatchLogs(request, metadata=(*self._metadata, *_identity())):
                yield line
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error


class WorkerCalls(Calls):
    """What can be asked of a worker."""

    async def get_live(
        self, request: worker.UnitRequest, *, timeout_s: float | None = None
    ) -> worker.LiveView:
        return await self._call(lambda c: _worker(c).GetLive, request, timeout_s)

    async def try_page(
        self, request: worker.TryRequest, *, timeout_s: float | None = None
    ) -> worker.TryReply:
        return await self._call(lambda c: _worker(c).TryPage, request, timeout_s)

    async def propose_definition(
        self, request: worker.ProposeRequest, *, timeout_s: float | None = None
    ) -> worker.ProposeReply:
        return await self._call(lambda c: _worker(c).ProposeDefinition, request, timeout_s)


def _identity() -> tuple[tuple[str, str], ...]:
    """The caller for whose sake this call is made, and the id of its request; the other side looks
    at its token again."""
    marks = ((KEY, acting_for.get()), (REQUEST_KEY, current_id()), (TRACE_KEY, traceparent()))
    return tuple((key, value) for key, value in marks if value)


def _master(channel: grpc.aio.Channel) -> crawler_pb2_grpc.CrawlerMasterAsyncStub:
    return crawler_pb2_grpc.CrawlerMasterStub(channel)


def _control(channel: grpc.aio.Channel) -> control_pb2_grpc.CrawlerControlAsyncStub:
    return control_pb2_grpc.CrawlerControlStub(channel)


def _tasks(channel: grpc.aio.Channel) -> communicate_pb2_grpc.TasksAsyncStub:
    return communicate_pb2_grpc.TasksStub(channel)


def _elections(channel: grpc.aio.Channel) -> communicate_pb2_grpc.ElectionsAsyncStub:
    return communicate_pb2_grpc.ElectionsStub(channel)


def _health(channel: grpc.aio.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel).Check


def _worker(channel: grpc.aio.Channel) -> worker_pb2_grpc.CrawlerWorkerAsyncStub:
    return worker_pb2_grpc.CrawlerWorkerStub(channel)
