"""The watch against a scripted server: where it resumes, what it joins, when it gives up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from grpc import StatusCode, aio

from crawler.clock import SystemClock
from crawler.coordination.calls import Calls
from crawler.coordination.endpoints import EtcdSettings
from crawler.coordination.pb import etcd_pb2 as pb
from crawler.coordination.pb import etcd_pb2_grpc as stubs
from crawler.coordination.watch import SILENT_PROBES, Watch
from crawler.errors import Compacted, InvalidInput

PROBE_S = 0.1


def header(revision: int) -> pb.ResponseHeader:
    return pb.ResponseHeader(revision=revision)


def created(revision: int) -> pb.WatchResponse:
    return pb.WatchResponse(header=header(revision), created=True)


def told(*revisions: int, head: int = 0, fragment: bool = False) -> pb.WatchResponse:
    """Events of these revisions, under a header that may be further on."""
    events = [
        pb.Event(kv=pb.KeyValue(key=b"/w/%d" % each, mod_revision=each)) for each in revisions
    ]
    return pb.WatchResponse(header=header(head or revisions[-1]), events=events, fragment=fragment)


def progress(revision: int, watch_id: int = 0) -> pb.WatchResponse:
    return pb.WatchResponse(header=header(revision), watch_id=watch_id)


def canceled(reason: str, compacted: int = 0) -> pb.WatchResponse:
    return pb.WatchResponse(
        header=header(9),
        created=True,
        canceled=True,
        cancel_reason=reason,
        compact_revision=compacted,
    )


BREAK = "break"
HANG = "hang"
REFUSE = "refuse"
Script = Sequence[pb.WatchResponse | str]


class ScriptedWatch(stubs.WatchServicer):
    """Plays one script per stream, and notes what it was asked."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self._scripts = list(scripts)
        self.starts: list[int] = []
        self.probes = 0

    async def Watch(  # noqa: N802 - gRPC's name
        self, request_iterator: AsyncIterator[pb.WatchRequest], context: Any
    ) -> AsyncGenerator[pb.WatchResponse, None]:
        request = await anext(request_iterator)
        assert request.create_request.fragment
        assert request.create_request.progress_notify
        self.starts.append(request.create_request.start_revision)
        for step in self._scripts.pop(0):
            if step == BREAK:
                await context.abort(StatusCode.UNAVAILABLE, "broken on purpose")
            if step == REFUSE:
                await context.abort(StatusCode.INVALID_ARGUMENT, "refused on purpose")
            if step == HANG:
                async for _ in request_iterator:
                    self.probes += 1
            assert isinstance(step, pb.WatchResponse)
            yield step


@asynccontextmanager
async def scripted(
    *scripts: Script, start: int = 5, current: int = 100
) -> AsyncIterator[tuple[ScriptedWatch, AsyncGenerator[list[int], None]]]:
    """A server with these scripts, and the revisions that a watch of it tells, batch by batch."""
    servicer = ScriptedWatch(scripts)
    server = aio.server()
    stubs.add_WatchServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    calls = Calls(EtcdSettings((f"127.0.0.1:{port}",)), SystemClock())

    async def revision() -> int:
        return current

    watch = Watch(calls, revision, SystemClock(), ("/w/", "/w0"), start, probe_s=PROBE_S)

    async def batches() -> AsyncGenerator[list[int], None]:
        async with aclosing(watch.batches()) as events:
            async for batch in events:
                yield [event.kv.mod_revision for event in batch]

    try:
        async with aclosing(batches()) as told_batches:
            yield servicer, told_batches
    finally:
        await calls.close()
        await server.stop(None)


async def test_it_resumes_behind_the_last_event_told_not_behind_a_header() -> None:
    async with scripted([created(8), told(6, 7, head=50), BREAK], [told(9)]) as (server, batches):
        assert await anext(batches) == [6, 7]
        assert await anext(batches) == [9]
        assert server.starts == [5, 8]


async def test_from_now_means_behind_the_header_of_the_creation() -> None:
    async with scripted([created(8), BREAK], [told(9)], start=0) as (server, batches):
        assert await anext(batches) == [9]
        assert server.starts == [0, 9]


async def test_fragments_are_joined_and_a_broken_one_is_told_again_whole() -> None:
    parts = [told(6, fragment=True), progress(8, watch_id=-1), told(6, fragment=True)]
    async with scripted([created(8), *parts, BREAK], [*parts, told(7)]) as (server, batches):
        assert await anext(batches) == [6, 6, 7]
        assert server.starts == [5, 5]


async def test_progress_of_this_watch_counts_and_that_of_all_watches_does_not() -> None:
    async with scripted(
        [created(8), progress(20, watch_id=-1), BREAK], [progress(30), BREAK], [told(31)]
    ) as (server, batches):
        assert await anext(batches) == [31]
        assert server.starts == [5, 5, 31]


async def test_a_silent_stream_is_probed_and_then_left() -> None:
    async with scripted([created(8), told(6), HANG], [told(7)]) as (server, batches):
        assert await anext(batches) == [6]
        assert await asyncio.wait_for(anext(batches), 5) == [7]
        assert server.probes == SILENT_PROBES
        assert server.starts == [5, 7]


async def test_a_slow_listener_is_not_a_silent_stream() -> None:
    async with scripted([created(8), told(6), told(7), HANG]) as (server, batches):
        assert await anext(batches) == [6]
        await asyncio.sleep(PROBE_S * (SILENT_PROBES + 3))
        assert await anext(batches) == [7]
        assert server.starts == [5]


async def test_a_compaction_is_an_error() -> None:
    async with scripted([canceled("", compacted=77)]) as (_, batches):
        with pytest.raises(Compacted) as failure:
            await anext(batches)
        assert failure.value.revision == 77


async def test_a_start_in_the_future_is_waited_for_or_given_up() -> None:
    # A member that lags: a linearizable read knows that the history is there.
    async with scripted([created(3), told(6)], current=9) as (_, batches):
        assert await anext(batches) == [6]
    # The history is not there: etcd was restored to an older state.
    async with scripted([created(3), HANG], start=50, current=9) as (_, batches):
        with pytest.raises(Compacted):
            await asyncio.wait_for(anext(batches), 5)


async def test_a_watch_that_another_server_ended_begins_again() -> None:
    async with scripted([canceled("etcdserver: no leader")], [told(6)]) as (_, batches):
        assert await anext(batches) == [6]


async def test_a_refusal_is_final() -> None:
    async with scripted([REFUSE]) as (_, batches):
        with pytest.raises(InvalidInput):
            await anext(batches)
