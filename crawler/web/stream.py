"""What happens in the cluster as server-sent events (WHATWG HTML, 9.2), for browsers and curl.

``id`` is the cursor, which a browser sends back by itself as Last-Event-ID when it connects again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import structlog

from crawler.errors import CrawlerError
from crawler.rpc.calls import MasterCalls
from crawler.rpc.pb.control_pb2 import Notice, WatchRequest
from crawler.web.models import Happening, Nothing, WatchQuery
from crawler.web.route import LOOKS, AnyRoute, Asked, Route, Streamed

log = structlog.get_logger(__name__)

RETRY_MS = 1000
MEDIA = "text/event-stream"


class Happenings:
    """All through this master's own gRPC; `close` ends what is under way."""

    def __init__(self, calls: MasterCalls) -> None:
        self._calls = calls
        self._closing = asyncio.Event()

    def routes(self) -> tuple[AnyRoute, ...]:
        """The only door."""
        return (
            Route(
                "GET", "/crawler/events", "Tell what happens, as it happens", self.tell,
                Nothing, WatchQuery, Happening, fails=LOOKS, media=MEDIA,
            ),
        )  # fmt: skip

    async def close(self, _: object) -> None:
        """The server stops."""
        self._closing.set()

    async def tell(self, asked: Asked[Nothing, WatchQuery]) -> Streamed:
        """What the browser remembers goes before what the page asked for at first. What goes wrong
        before the first notice is an ordinary answer, and later an event ``dropped``."""
        chunks = self._chunks(asked.last_event_id or asked.query.since)
        return Streamed(await anext(chunks), chunks, MEDIA)

    async def _chunks(self, cursor: str) -> AsyncGenerator[bytes]:
        async with aclosing(self._calls.watch(WatchRequest(cursor=cursor))) as notices:
            yield f"retry: {RETRY_MS}\n".encode() + encode(await anext(notices))
            try:
                while (notice := await self._next(notices)) is not None:
                    yield encode(notice)
            except CrawlerError as error:
                log.info("event stream ends", why=str(error))
                data = json.dumps({"message": str(error), "help": error.help})
                yield f"event: dropped\ndata: {data}\n\n".encode()

    async def _next(self, notices: AsyncIterator[Notice]) -> Notice | None:
        """None: there are no more, or the server stops."""
        coming = asyncio.ensure_future(anext(notices, None))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({coming, closing}, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else None
        finally:
            for each in (coming, closing):
                each.cancel()
            await asyncio.wait({coming, closing})


def encode(notice: Notice) -> bytes:
    """One event; a heartbeat is none, but moves the cursor and keeps proxies awake."""
    head = f"id: {notice.cursor}\n" if notice.cursor else ""
    if notice.kind == Notice.HEARTBEAT:
        return f"{head}: heartbeat\n\n".encode()
    kind = Notice.Kind.Name(notice.kind).lower()
    happening = Happening(
        kind=kind,
        at=notice.at,
        name=notice.name,
        id=notice.id,
        state=notice.state,
        reason=notice.reason,
        run=notice.run,
        address=notice.address,
    )
    # JSON holds no line break, so that no text can begin an event of its own.
    return f"{head}event: {kind}\ndata: {happening.model_dump_json()}\n\n".encode()
