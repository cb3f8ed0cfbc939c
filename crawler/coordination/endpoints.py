"""Where etcd is: settings, and one gRPC channel per endpoint with the options that it needs."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from grpc import aio

from crawler.coordination.pb import etcd_pb2_grpc as stubs
from crawler.errors import EtcdUnavailable, Misconfigured

DEFAULT_PORT = 2379

_MAX_RECEIVE_BYTES = 512 * 1024 * 1024

# Names and defaults: grpc/impl/channel_arg_names.h of gRPC core.
OPTIONS: tuple[tuple[str, int], ...] = (
    # etcd answers pings that come more often than every 5 s with GOAWAY (its
    # --grpc-keepalive-min-time), and an interval of exactly 5 s would lose to jitter.
    ("grpc.keepalive_time_ms", 5_500),
    ("grpc.keepalive_timeout_ms", 2_000),
    # Without it a server that hangs was noticed after 60 s.
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", _MAX_RECEIVE_BYTES),
    ("grpc.max_send_message_length", -1),  # etcd's own limit answers with a clear error
    # What may be repeated is decided in `calls`, not in the channel.
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # also how long one attempt to connect may take
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

_ENDPOINT = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d+))?/?"
)


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """How to reach etcd. ``endpoints`` are URLs or ``host:port``; ``https`` or a CA file mean TLS.

    ``call_timeout_s`` bounds every call as a whole, with all its attempts. Raises `Misconfigured`.
    """

    endpoints: tuple[str, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    call_timeout_s: float = 3.0

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise Misconfigured("etcd: no endpoint given; use --etcd URL[,URL]")
        for each in self.endpoints:
            if _ENDPOINT.fullmatch(each) is None:
                raise Misconfigured(
                    f"etcd: cannot read the endpoint {each!r}; use http://host:port"
                )
        if (self.username is None) != (self.password is None):
            raise Misconfigured("etcd: user and password go together")
        if (self.cert_file is None) != (self.key_file is None):
            raise Misconfigured("etcd: client certificate and key go together")
        if self.call_timeout_s <= 0:
            raise Misconfigured("etcd: the call timeout must be positive")


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint, read. ``address`` is what gRPC dials."""

    url: str
    address: str
    secure: bool


def read_target(url: str, *, tls: bool) -> Target:
    """Read one endpoint that `EtcdSettings` has accepted; ``tls`` where it names no scheme."""
    match = _ENDPOINT.fullmatch(url)
    assert match is not None, url
    secure = match["scheme"] == "https" or (match["scheme"] is None and tls)
    return Target(url, f"{match['host']}:{match['port'] or DEFAULT_PORT}", secure)


def _read_pem(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Misconfigured(f"etcd: cannot read {path}: {error.strerror}") from error


class Endpoint:
    """A channel to one member and its stubs. Built inside the running event loop."""

    def __init__(self, target: Target, credentials: grpc.ChannelCredentials | None) -> None:
        self.url = target.url
        self._channel = (
            aio.insecure_channel(target.address, options=OPTIONS)
            if credentials is None
            else aio.secure_channel(target.address, credentials, options=OPTIONS)
        )
        self.kv = stubs.KVStub(self._channel)
        self.watch = stubs.WatchStub(self._channel)
        self.lease = stubs.LeaseStub(self._channel)
        self.auth = stubs.AuthStub(self._channel)
        self.cluster = stubs.ClusterStub(self._channel)
        self.maintenance = stubs.MaintenanceStub(self._channel)

    async def connect(self, timeout_s: float) -> None:
        """Return once calls can be sent; `EtcdUnavailable`, so that nothing was sent, otherwise."""
        state = self._channel.get_state(try_to_connect=True)
        try:
            async with asyncio.timeout(timeout_s):
                while state is not grpc.ChannelConnectivity.READY:
                    if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                        raise EtcdUnavailable(f"etcd: no connection to {self.url}")
                    await self._channel.wait_for_state_change(state)
                    state = self._channel.get_state(try_to_connect=True)
        except TimeoutError as error:
            raise EtcdUnavailable(f"etcd: no connection to {self.url} in time") from error

    async def close(self) -> None:
        """Cancel what runs on the channel and free it."""
        await self._channel.close(None)


def open_endpoints(settings: EtcdSettings) -> tuple[Endpoint, ...]:
    """One `Endpoint` per address; nothing is dialled before it is used."""
    tls = settings.ca_file is not None
    targets = [read_target(url, tls=tls) for url in settings.endpoints]
    if not any(target.secure for target in targets):
        return tuple(Endpoint(target, None) for target in targets)
    credentials = grpc.ssl_channel_credentials(
        _read_pem(settings.ca_file), _read_pem(settings.key_file), _read_pem(settings.cert_file)
    )
    return tuple(Endpoint(each, credentials if each.secure else None) for each in targets)
