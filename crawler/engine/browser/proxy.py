"""The only way out for a browser: a forward proxy on loopback that asks the address guard.

A browser resolves no names and opens no connections by itself: it names a host here, and the guard
judges the very address that is then connected to, so that a name which changes its address gains
nothing. It serves nobody without a pass, so other users of the machine cannot go out through it.

It speaks HTTP/1.1: CONNECT for TLS and websockets, and the absolute form for plain requests (RFC
9110, 9.3.6; RFC 9112, 3.2.2), of which each connection takes one only.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from base64 import b64encode
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from crawler.address import Guard
from crawler.engine.browser.heads import (
    Head,
    NotForwarded,
    body_length,
    own_answer,
    parse_head,
    split_target,
)
from crawler.engine.dialing import dial
from crawler.errors import FetchFailed

OWN_URL = "http://proxy.invalid/"  # answered by the proxy itself (RFC 2606: nobody's name)
_MAX_HEAD_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 16
_HEAD_S = 10.0
_CONNECT_S = 20.0
_IDLE_S = 30.0  # without a byte in either direction
_STATUSES = {"address refused": 403, "connect timeout": 504}  # of what is not connected to
_MOST_CONNECTIONS = 64  # of one pass; Chromium opens 32 to a proxy at most


@dataclass(slots=True, eq=False)
class Pass:
    """What lets one tab of a browser through, and what it may still transfer.

    ``received_bytes`` since the last `renew`; ``left_bytes`` counts both directions.
    """

    name: str
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    received_bytes: int = 0
    left_bytes: int = 0
    connections: int = 0

    def renew(self, max_bytes: int) -> None:
        """Another page begins."""
        self.received_bytes, self.left_bytes = 0, max_bytes

    @property
    def spent(self) -> bool:
        """Whether the page has transferred all that it may."""
        return self.left_bytes <= 0

    @property
    def credentials(self) -> bytes:
        """As Proxy-Authorization has them (RFC 7617)."""
        return b"Basic " + b64encode(f"{self.name}:{self.password}".encode())

    def count(self, size: int, *, received: bool) -> None:
        """So many bytes went by. Raises `_Ended` where they were the last."""
        self.left_bytes -= size
        if received:
            self.received_bytes += size
        if self.spent:
            raise _Ended


class _Ended(Exception):
    """Nothing more goes over this connection."""


class BrowserProxy:
    """An asynchronous context manager; its connections end with it."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._passes: dict[bytes, Pass] = {}
        self._numbers = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=_MAX_HEAD_BYTES
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def admit(self) -> Pass:
        """A pass for one more tab, with nothing to transfer yet."""
        self._numbers += 1
        fresh = Pass(f"tab{self._numbers}")
        self._passes[fresh.credentials] = fresh
        return fresh

    def dismiss(self, known: Pass) -> None:
        """It lets nobody through any more."""
        self._passes.pop(known.credentials, None)
        known.left_bytes = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("browser's connection")
        self._tasks.add(task)
        try:
            await self._forward(reader, writer)
        except NotForwarded as refusal:
            writer.write(own_answer(refusal.status, str(refusal)))
        except (_Ended, OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # either side went away, or was told to
        except asyncio.CancelledError:
            pass  # by `__aexit__`, and Python 3.11 takes a cancelled connection for an error
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_S):
            head = parse_head(await reader.readuntil(b"\r\n\r\n"))
        holder = self._holder(head.values(b"proxy-authorization"))
        if holder.connections >= _MOST_CONNECTIONS:
            raise NotForwarded(403, "too many connections")
        holder.connections += 1
        try:
            await self._go(head, holder, reader, writer)
        finally:
            holder.connections -= 1

    def _holder(self, given: list[bytes]) -> Pass:
        for credentials, holder in self._passes.items():
            if len(given) == 1 and hmac.compare_digest(credentials, given[0]):
                return holder
        raise NotForwarded(407, "no pass")

    async def _go(
        self,
        head: Head,
        holder: Pass,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        method, _, rest = head.first.decode("latin-1").partition(" ")
        target = rest.rpartition(" ")[0]
        if target.startswith(OWN_URL):  # also for the icon that the browser wants of every site
            writer.write(own_answer(200, ""))
            return
        if holder.spent:
            raise NotForwarded(403, "the page has transferred all that it may")
        if method == "CONNECT":
            far = await self._connect(*split_target(target, None))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            far = await self._request(method, target, head)
        try:
            if method == "CONNECT":
                await _relay(reader, writer, *far, holder)
            else:
                await _exchange(head, reader, writer, *far, holder)
        finally:
            far[1].close()

    async def _request(
        self, method: str, target: str, head: Head
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Ask the origin of a plain request."""
        if target[:7].lower() != "http://":
            raise NotForwarded(400, "malformed target")
        if head.values(b"transfer-encoding"):
            raise NotForwarded(501, "a body of unknown length")
        authority, _, path = target[7:].partition("/")  # browsers leave no path empty
        far = await self._connect(*split_target(authority, 80))
        first = f"{method} /{path} HTTP/1.1".encode("latin-1")
        fields = tuple(each for each in head.fields if each[0] != b"host")
        host = (b"host", authority.encode("latin-1"))
        far[1].write(Head(first, (host, *fields)).forwarded())
        return far

    async def _connect(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to one of the addresses of the host that the guard allows."""
        try:
            return await dial(self._guard, host, port, _CONNECT_S)
        except FetchFailed as failure:
            status = _STATUSES.get(failure.reason, 502)
            raise NotForwarded(status, failure.reason) from failure


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
    holder: Pass,
) -> None:
    """Bytes both ways, until either side ends or both are silent."""
    async with asyncio.timeout(_IDLE_S) as idle:
        await _first_end(
            _pump(reader, far_writer, holder, idle, received=False),
            _pump(far_reader, writer, holder, idle, received=True),
        )


async def _exchange(
    head: Head,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
    holder: Pass,
) -> None:
    """The body of one request, and its answer. What else the browser says is not forwarded: it
    would be for whoever it asks next."""
    length = body_length(head)
    async with asyncio.timeout(_IDLE_S) as idle:
        await _first_end(
            _send_body(reader, far_writer, length, holder, idle),
            _bring_answer(far_reader, writer, holder, idle),
        )


async def _first_end(*works: Coroutine[Any, Any, None]) -> None:
    """Run them together until one ends, and raise what that raises."""
    tasks = {asyncio.create_task(work, name="browser's bytes") for work in works}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    holder: Pass,
    idle: asyncio.Timeout,
    *,
    received: bool,
) -> None:
    while chunk := await source.read(_CHUNK_BYTES):
        await _pass_on(chunk, sink, holder, idle, received=received)


async def _pass_on(
    chunk: bytes,
    sink: asyncio.StreamWriter,
    holder: Pass,
    idle: asyncio.Timeout,
    *,
    received: bool,
) -> None:
    holder.count(len(chunk), received=received)
    idle.reschedule(asyncio.get_running_loop().time() + _IDLE_S)
    sink.write(chunk)
    await sink.drain()


async def _send_body(
    reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
    size: int,
    holder: Pass,
    idle: asyncio.Timeout,
) -> None:
    """Exactly the body. What comes after it, or the browser's end, is the end."""
    while size > 0:
        chunk = await reader.read(min(size, _CHUNK_BYTES))
        if not chunk:
            raise _Ended
        size -= len(chunk)
        await _pass_on(chunk, far_writer, holder, idle, received=False)
    await reader.read(1)


async def _bring_answer(
    far_reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    holder: Pass,
    idle: asyncio.Timeout,
) -> None:
    """The answer, after which the browser may not use its connection for another."""
    while True:
        answer = parse_head(await far_reader.readuntil(b"\r\n\r\n"))
        status = [*answer.first.split(b" ", 2), b""][1]
        if status == b"101":
            raise NotForwarded(501, "an upgrade")
        if status[:1] != b"1":  # RFC 9110, 15.2: after those another answer follows
            break
    await _pass_on(answer.forwarded(), writer, holder, idle, received=True)
    await _pump(far_reader, writer, holder, idle, received=True)
