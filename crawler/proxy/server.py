"""Listens for clients, and answers one request of a connection after the other."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import h11
import structlog

from crawler.access import Access
from crawler.address import names_loopback
from crawler.cache.fields import Fields
from crawler.clock import Clock
from crawler.errors import FetchFailed
from crawler.listening import refused
from crawler.proxy.door import admit
from crawler.proxy.figures import Figures
from crawler.proxy.gateway import Gateway
from crawler.proxy.hops import (
    PEER,
    TARGET,
    body_of,
    check_framing,
    check_loop,
    forwarded,
    hops_left,
)
from crawler.proxy.lending import Lending
from crawler.proxy.marks import Sealing, check_mark
from crawler.proxy.messages import Request
from crawler.proxy.notes import Result
from crawler.proxy.parcels import ANSWER, FIND, KEEP, PAGE
from crawler.proxy.refusals import Refusal
from crawler.proxy.targets import parse_target
from crawler.proxy.tunnel import Tunnels
from crawler.proxy.wire import MAX_BODY_BYTES, ClientGone, Wire, too_large
from crawler.rates import Rates

log = structlog.get_logger(__name__)

# With those of the API and gRPC below the 1,024 files that a process may usually have open.
MOST_CONNECTIONS = 200
_HANDSHAKE_S = 10.0
_GRACE_S = 2.0  # for answers that are under way at the end


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in. ``seal``: the secrets of the cluster as they are now. ``loopback``: nobody
    else can reach it."""

    access: Access
    rates: Rates
    seal: Callable[[], Sealing]
    loopback: bool

    @property
    def open(self) -> bool:
        """Whether nobody is asked who he is."""
        return self.loopback and not self.access.closed


class Server:
    """``node_id``: that of the worker; ``name``: what the proxy calls itself towards others."""

    def __init__(
        self,
        node_id: str,
        name: str,
        door: Door,
        gateway: Gateway,
        lending: Lending,
        tunnels: Tunnels,
        figures: Figures,
        clock: Clock,
    ) -> None:
        self._node_id = node_id
        self._name = name
        self._door = door
        self._gateway = gateway
        self._lending = lending
        self._tunnels = tunnels
        self._figures = figures
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()  # between requests, without a claim on grace

    @asynccontextmanager
    async def listen(
        self, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[int]:
        """Serve until the block ends; yields the port, the real one where 0 was asked for. Raises
        `Misconfigured` where it is taken."""
        limit_s = _HANDSHAKE_S if tls is not None else None
        try:
            server = await asyncio.start_server(
                self._serve, host, port, ssl=tls, ssl_handshake_timeout=limit_s
            )
        except OSError as error:
            raise refused(f"--proxy={host}:{port}", error) from error
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._idle:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_GRACE_S)
            rest = list(self._tasks)
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            await self._gateway.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("proxy: connection")
        self._tasks.add(task)
        self._figures.connections = len(self._tasks)
        wire = Wire(reader, writer)
        try:
            await self._converse(task, wire, reader, writer)
        except (ClientGone, FetchFailed, OSError):
            writer.transport.abort()  # what was begun is not whole, and the client must see that
        except asyncio.CancelledError:
            pass  # by `listen`, and Python 3.11 takes a cancelled connection for an error
        finally:
            self._tasks.discard(task)
            self._figures.connections = len(self._tasks)
            self._figures.sent_bytes += wire.sent_bytes
            writer.close()

    async def _converse(
        self,
        task: asyncio.Task[None],
        wire: Wire,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        while True:
            try:
                self._idle.add(task)
                try:
                    event = await wire.request()
                finally:
                    self._idle.discard(task)
                if event is None:
                    return
                if len(self._tasks) > MOST_CONNECTIONS:
                    raise _crowded()
                if event.method == b"CONNECT":
                    fields = _fields(event)
                    check_framing(fields)
                    admit(self._door.access, self._door.rates, fields)
                    self._figures.count(Result.TUNNEL)
                    target = event.target.decode("ascii")
                    await self._tunnels.serve(target, wire, reader, writer)
                    return
                await self._answer(event, wire)
            except Refusal as refusal:
                await self._refuse(refusal, wire)
            if not wire.next():
                await wire.linger()
                return

    async def _refuse(self, refusal: Refusal, wire: Wire) -> None:
        refusal = wire.fault or refusal
        if wire.started:
            raise ClientGone from refusal
        self._figures.count(Result.REFUSED)
        log.info("refused", status=refusal.status, reason=str(refusal))
        await wire.start(refusal.status, refusal.fields(self._name))
        await wire.write(refusal.body)
        await wire.finish()

    async def _answer(self, event: h11.Request, wire: Wire) -> None:
        fields = _fields(event)
        method = event.method.decode("ascii")
        by_peer = PEER in fields
        check_framing(fields)
        if not by_peer:
            admit(self._door.access, self._door.rates, fields)
        of_crawl = by_peer and method in (FIND, KEEP)
        named = fields.get(PAGE if of_crawl else TARGET)
        target = parse_target(named if by_peer else event.target.decode("ascii"))
        if by_peer:
            self._know(method, target.url, fields)
        check_loop(fields, self._name)
        if method == "TRACE":
            raise Refusal(
                405,
                "TRACE would show what others added to the request; ask the origin directly",
                "http_request_denied",
            )
        framing, given, fields = body_of(fields), fields, forwarded(fields)
        if of_crawl:
            request = Request(method, target.url, target.host, fields, by_peer=True)
            await self._serve_crawl(_with_body(request, wire, framing), given, wire)
            return
        if method == "OPTIONS" and "max-forwards" in fields:
            left = hops_left(fields)
            if not left:
                await _own_options(wire)
                return
            fields = fields.with_one("Max-Forwards", str(left - 1))
        request = Request(method, target.url, target.host, fields, by_peer=by_peer)
        await self._gateway.answer(_with_body(request, wire, framing), wire)

    async def _serve_crawl(self, request: Request, given: Fields, wire: Wire) -> None:
        if request.method == KEEP:
            await self._lending.take(request, given.get(ANSWER), wire)
        elif await self._lending.lend(request, given.get(PEER), wire):
            self._figures.count(Result.HIT)

    def _know(self, method: str, url: str, fields: Fields) -> None:
        """Whether another worker's proxy asks. Raises `Refusal`."""
        door = self._door
        if door.open and not names_loopback(fields.get("host")):
            # A page in a browser on this machine, whose name has come to mean loopback.
            raise Refusal(403, "workers here ask for 127.0.0.1", "http_request_denied")
        now, given = self._clock.wall(), fields.get(PEER)
        text = fields.get(ANSWER)
        check_mark(door.seal(), self._node_id, method, url, now, given, text, anybody=door.open)


def _with_body(request: Request, wire: Wire, framing: int | None) -> Request:
    """Raises `Refusal` for a body that is too large."""
    if framing == 0:
        return request
    if framing is None:
        return replace(request, body=wire.body())
    if framing > MAX_BODY_BYTES:
        raise too_large()
    fields = request.fields.plus(("Content-Length", str(framing)))
    return replace(request, fields=fields, body=wire.body())


def _fields(event: h11.Request) -> Fields:
    pairs = event.headers.raw_items()
    return Fields(tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs))


async def _own_options(wire: Wire) -> None:
    allow = ("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH, CONNECT")
    await wire.start(200, Fields((allow, ("Content-Length", "0"))))
    await wire.finish()


def _crowded() -> Refusal:
    return Refusal(
        503,
        f"{MOST_CONNECTIONS} connections are open, as many as this proxy takes; try again",
        "connection_limit_reached",
        retry_after_s=5,
    )
