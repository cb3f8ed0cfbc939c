"""A server of watches that plays scripts, and a watch of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from grpc import StatusCode, aio

from crawler.coordination.calls import Calls
from crawler.coordination.endpoints import EtcdSettings
from crawler.coordination.pb import etcd_pb2 as pb
from crawler.coordination.pb import etcd_pb2_grpc as stubs
from crawler.coordination.watch import PROBE_S, Watch
from tests.fakes.clock import SleepClock

SPAN = ("/w/", "/w0")


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
    *scripts: Script, start: int = 5, current: int = 100, probe_s: float = PROBE_S
) -> AsyncIterator[tuple[ScriptedWatch, AsyncGenerator[list[int], None]]]:
    """A server with these scripts, and the revisions that a watch of it tells, batch by batch; what
    the watch calls silence is counted in ``probe_s``."""
    servicer = ScriptedWatch(scripts)
    server = aio.server()
    stubs.add_WatchServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    calls = Calls(EtcdSettings((f"127.0.0.1:{port}",)), SleepClock())

    async def revision() -> int:
        return current

    watch = Watch(calls, revision, SleepClock(), SPAN, start, probe_s=probe_s)

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
