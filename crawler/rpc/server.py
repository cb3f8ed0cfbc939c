"""A gRPC server that owns its port: bound before anybody is told of it, given back in order."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from crawler.access import Access
from crawler.clock import SystemClock
from crawler.errors import Hindered, Misconfigured
from crawler.listening import refused
from crawler.rates import Rates
from crawler.rpc.admission import Admission
from crawler.rpc.limits import MAX_REPLY_BYTES, MAX_REQUEST_BYTES
from crawler.rpc.services import Service
from crawler.tasks import bounded
from crawler.tls import Pair

log = structlog.get_logger(__name__)

MAX_CONCURRENT = 4096
# Callers without a token can connect too; see the HTTP server, which takes as many.
MAX_CONNECTIONS = 400
HANDSHAKE_MS = 10_000

_OPTIONS: tuple[tuple[str, int], ...] = (
    # Otherwise two servers share one port, and each gets half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", MAX_REPLY_BYTES),
    # Our callers ping every 5 s, idle or not. Without this a server takes three pings within five
    # minutes for abuse and sends the caller away (GOAWAY too_many_pings).
    ("grpc.http2.min_ping_interval_without_data_ms", 500),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server listens. ``port`` is the real one where port 0 was asked for."""

    host: str
    port: int

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def near(self) -> str:
        """The address from within this machine: nobody is called by a wildcard."""
        near = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - compared with
        return f"{near.get(self.host, self.host)}:{self.port}"


@asynccontextmanager
async def serve(
    address: str,
    services: Sequence[Service],
    *,
    access: Access | None = None,
    rates: Rates | None = None,
    counted: Callable[[str], bool] = lambda _: False,
    pair: Pair | None = None,
    flag: str = "--grpc",
    grace_s: float = 2.0,
) -> AsyncIterator[Listening]:
    """Serve on ``host:port`` with health and reflection until the block ends. ``access`` says who
    may call what; without it everybody may. ``rates`` says how often, and ``counted`` which marks
    are of masters that have counted their calls already. With ``pair`` it speaks TLS and wants a
    certificate of the same authority from callers.

    The end tells health checks first, takes no more calls, and lets the running ones go on for
    ``grace_s``. Raises `Misconfigured`, naming the flag, where it cannot listen.
    """
    doors = (
        (Admission(access, rates or Rates(SystemClock()), counted),)
        if access is not None and access.closed
        else ()
    )
    server = grpc.aio.server(
        interceptors=doors, options=_OPTIONS, maximum_concurrent_rpcs=MAX_CONCURRENT
    )
    for service in services:
        server.add_generic_rpc_handlers(service.handlers())
    health_service = health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    plain = [service.names[0] for service in services]
    reflection.enable_server_reflection(
        (*plain, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    listening = _bind(server, address, flag, pair)
    for name in (health.OVERALL_HEALTH, *(n for service in services for n in service.names)):
        await health_service.set(name, health_pb2.HealthCheckResponse.SERVING)
    await server.start()
    log.info("grpc server listens", address=listening.address, services=plain)
    try:
        yield listening
    finally:
        try:
            await bounded(health_service.enter_graceful_shutdown(), 1.0, "grpc health")
        finally:
            await bounded(server.stop(grace_s), grace_s + 1.0, "grpc server")


def _bind(server: grpc.aio.Server, address: str, flag: str, pair: Pair | None) -> Listening:
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdecimal():
        raise Misconfigured(f"{flag}={address}: expected HOST:PORT")
    try:
        if pair is None:
            bound = server.add_insecure_port(address)
        else:
            keys = [(pair.key, pair.cert)]
            wanted = grpc.ssl_server_credentials(keys, pair.ca, require_client_auth=True)
            bound = server.add_secure_port(address, wanted)
    except RuntimeError as error:
        raise _refused(f"{flag}={address}", host, int(port)) from error
    return Listening(host, bound)


def _refused(what: str, host: str, port: int) -> Misconfigured:
    """With the reason in words; gRPC itself only says that it failed."""
    try:
        (family, kind, _, _, where), *_ = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen()
    except OverflowError as error:
        return Misconfigured(f"{what}: {error}")
    except OSError as error:
        return refused(what, error)
    return Hindered(f"{what}: the port was taken a moment ago; try again")
