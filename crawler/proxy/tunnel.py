"""CONNECT: bytes both ways to a place that the allow-list and the address guard let pass."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from crawler.address import Guard
from crawler.engine.dialing import Streams, dial
from crawler.errors import FetchFailed
from crawler.proxy.hosts import Hosts
from crawler.proxy.refusals import Refusal, unreachable
from crawler.proxy.targets import Opening, check_tunnel, counted, parse_authority
from crawler.proxy.wire import Wire
from crawler.tasks import TaskGroup

MOST_PER_HOST = 16  # what browsers open at most, twice
_CONNECT_S = 20.0
_IDLE_S = 120.0  # without a byte in either direction
_CHUNK_BYTES = 1 << 16


class Tunnels:
    """Those of one proxy."""

    def __init__(self, openings: Sequence[Opening], guard: Guard, hosts: Hosts) -> None:
        self._openings = openings
        self._guard = guard
        self._hosts = hosts
        self._open: Counter[str] = Counter()

    async def serve(
        self,
        target: str,
        wire: Wire,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Open one, and stay until it ends. Raises `Refusal` where it is not opened."""
        host, port = parse_authority(target)
        check_tunnel(self._openings, host, port)
        name = counted(host)
        self._hosts.check(name)
        if self._open[name] >= MOST_PER_HOST:
            raise Refusal(
                503,
                f"there are {MOST_PER_HOST} tunnels to {host}, as many as it gets from here; close "
                "some, or try again",
                "connection_limit_reached",
                retry_after_s=5,
            )
        self._open[name] += 1
        try:
            far_reader, far_writer = await self._dial(host, port)
            try:
                far_writer.write(await wire.tunnel())
                await _relay((reader, far_writer), (far_reader, writer))
            finally:
                far_writer.close()
        finally:
            self._open[name] -= 1
            if not self._open[name]:
                del self._open[name]

    async def _dial(self, host: str, port: int) -> Streams:
        try:
            return await dial(self._guard, host, port, _CONNECT_S)
        except FetchFailed as failure:
            raise unreachable(host, failure.reason) from failure


async def _relay(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Until both sides have ended, or both are silent."""
    try:
        async with asyncio.timeout(_IDLE_S) as idle, TaskGroup() as group:
            for source, sink in ways:
                group.create_task(_pump(source, sink, idle), name="proxy: tunnel")
    except* (OSError, TimeoutError):
        pass  # either side went away, or both were silent


async def _pump(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, idle: asyncio.Timeout
) -> None:
    while chunk := await source.read(_CHUNK_BYTES):
        idle.reschedule(asyncio.get_running_loop().time() + _IDLE_S)
        sink.write(chunk)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
    else:
        raise ConnectionResetError("one side of TLS has ended, and cannot be half open")
