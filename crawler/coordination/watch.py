"""One watch that outlives streams, members and logins, and misses no event."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import NoReturn

import structlog
from grpc import aio

from crawler.clock import Backoff, Clock
from crawler.coordination.calls import Calls
from crawler.coordination.operations import WatchEvent, from_wire, to_bytes
from crawler.coordination.pb import etcd_pb2 as pb
from crawler.coordination.verdicts import Code, Verdict, details_of, judge, to_error
from crawler.errors import Compacted, EtcdUnavailable

log = structlog.get_logger(__name__)

# A stream that says nothing for PROBE_S seconds is asked for its progress; one that has not
# answered SILENT_PROBES of these is given up. HTTP/2 pings cannot see a watch that hangs alone.
PROBE_S = 3.0
SILENT_PROBES = 2

# How often a watch logs in again, one time after the other, before it believes "permission
# denied": just after a restart etcd may forget a new token, too.
MAX_LOGINS = 3

_SHARED_WATCH_ID = -1

Stream = aio.StreamStreamCall[pb.WatchRequest, pb.WatchResponse]


class _StreamEnded(Exception):
    """This stream is over, the watch is not."""


class _LoginStale(Exception):
    """The server wants a newer token, or has just been given other users."""


class Watch:
    """Events of ``[start_key, end_key)`` from ``start_revision`` on (0: from now), in order.

    Each batch is whole revisions, so the events of one transaction arrive together. A lost
    stream is opened again from the last *delivered* event's revision + 1: a header's revision
    may run ahead of events that are still to come. While etcd is away the iteration just waits.
    Raises `Compacted` when the history in between is gone, or when etcd has gone back behind it.
    """

    def __init__(
        self,
        calls: Calls,
        current_revision: Callable[[], Awaitable[int]],
        clock: Clock,
        span: tuple[str, str],
        start_revision: int,
        *,
        probe_s: float = PROBE_S,
    ) -> None:
        self._calls = calls
        self._current_revision = current_revision
        self._clock = clock
        self._span = span
        self._next = start_revision
        self._probe_s = probe_s
        self._chance = random.Random()
        self._failures = 0
        self._logins = 0

    async def batches(self) -> AsyncGenerator[tuple[WatchEvent, ...], None]:
        """The events; ends only by an error or `aclose`."""
        backoff = Backoff(base_s=0.05, cap_s=1.0)
        while True:
            endpoint, token = self._calls.preferred(), None
            try:
                metadata = await self._calls.prepare(endpoint, self._probe_s)
                token = dict(metadata).get("token")
                stream: Stream = endpoint.watch.Watch(None, metadata=metadata)
                async with aclosing(self._follow(stream)) as batches:
                    async for batch in batches:
                        yield batch
                reason = "ended"
            except _LoginStale as error:
                if self._logins == MAX_LOGINS:
                    raise to_error(Code.PERMISSION_DENIED, str(error)) from error
                self._logins, reason = self._logins + 1, str(error)
                self._calls.forget(token)
            except (EtcdUnavailable, _StreamEnded) as error:
                reason = str(error)
                self._calls.avoid(endpoint)
            self._failures += 1
            say = log.info if self._failures == 1 else log.debug  # aloud once per interruption
            say("watch interrupted", endpoint=endpoint.url, reason=reason, next=self._next)
            await self._clock.sleep(backoff.delay(self._failures, self._chance))

    async def _follow(self, stream: Stream) -> AsyncGenerator[tuple[WatchEvent, ...], None]:
        """Batches of one stream until it ends."""
        parts: list[pb.Event] = []
        try:
            creation = pb.WatchRequest(create_request=self._creation())
            await _write(stream, creation, self._probe_s)
            async with aclosing(_responses(stream, self._probe_s)) as responses:
                async for response in responses:
                    if response.canceled:
                        _raise_canceled(response)
                    if response.created:
                        self._note_creation(response)
                    if not response.events:
                        await self._note_progress(response)
                        continue
                    parts.extend(response.events)
                    if response.fragment:
                        continue
                    batch, parts = tuple(map(_to_event, parts)), []
                    self._next = batch[-1].kv.mod_revision + 1
                    yield batch
        finally:
            stream.cancel()

    def _creation(self) -> pb.WatchCreateRequest:
        start, end = self._span
        return pb.WatchCreateRequest(
            key=to_bytes(start),
            range_end=to_bytes(end),
            start_revision=self._next,
            progress_notify=True,
            fragment=True,
        )

    def _note_creation(self, response: pb.WatchResponse) -> None:
        self._failures = self._logins = 0
        self._next = self._next or response.header.revision + 1

    async def _note_progress(self, response: pb.WatchResponse) -> None:
        if response.header.revision < self._next - 1:
            # Either this member lags, or etcd was restored to an older state; then a watch from
            # the future would hang in silence. A linearizable read knows.
            revision = await self._current_revision()
            if revision < self._next - 1:
                raise Compacted(revision)
        elif not response.created and response.watch_id != _SHARED_WATCH_ID:
            self._next = response.header.revision + 1


async def _responses(stream: Stream, probe_s: float) -> AsyncGenerator[pb.WatchResponse, None]:
    """Responses; asks for progress in silence, and raises `_StreamEnded` on too much of it.

    Silence is counted in probes while waiting here, so neither a slow consumer nor a pause of
    this process looks like a dead stream.
    """
    silent, reading = 0, asyncio.create_task(_read(stream), name="watch: read")
    try:
        while True:
            done, _ = await asyncio.wait({reading}, timeout=probe_s)
            if done:
                silent, response = 0, reading.result()
                reading = asyncio.create_task(_read(stream), name="watch: read")
                yield response
                continue
            silent += 1
            if silent > SILENT_PROBES:
                raise _StreamEnded("the stream is silent")
            probe = pb.WatchRequest(progress_request=pb.WatchProgressRequest())
            await _write(stream, probe, probe_s)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _read(stream: Stream) -> pb.WatchResponse:
    try:
        response = await stream.read()
    except aio.AioRpcError as error:
        _raise_ended(error)
    if isinstance(response, pb.WatchResponse):
        return response
    raise _StreamEnded("the server closed the stream")


async def _write(stream: Stream, request: pb.WatchRequest, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await stream.write(request)
    except TimeoutError as error:
        raise _StreamEnded("the stream takes no requests") from error
    except asyncio.InvalidStateError as error:
        raise _StreamEnded("the stream has ended") from error
    except aio.AioRpcError as error:
        _raise_ended(error)


def _raise_ended(error: aio.AioRpcError) -> NoReturn:
    verdict = judge(error.code(), details_of(error))
    if verdict is Verdict.LOGIN:
        raise _LoginStale(details_of(error)) from error
    if verdict is Verdict.FINAL:
        raise to_error(error.code(), details_of(error)) from error
    raise _StreamEnded(details_of(error) or error.code().name) from error


def _raise_canceled(response: pb.WatchResponse) -> NoReturn:
    """What the end of the watch inside a living stream means."""
    if response.compact_revision:
        raise Compacted(response.compact_revision)
    # etcd answers a watch under a stale token, too, with "permission denied".
    if "permission denied" in response.cancel_reason or "auth" in response.cancel_reason:
        raise _LoginStale(response.cancel_reason)
    raise _StreamEnded(response.cancel_reason or "canceled by the server")


def _to_event(event: pb.Event) -> WatchEvent:
    return WatchEvent(from_wire(event.kv), event.type == pb.Event.DELETE)
