"""Log lines of a crawl, for whoever may read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from crawler.model import check_name
from crawler.rpc.incoming import Context
from crawler.rpc.pb import logs_pb2, logs_pb2_grpc
from crawler.telemetry.recent import Recent

LONGEST_S = 600.0  # then the caller comes back, and is asked again who it is


class Logs(logs_pb2_grpc.CrawlerLogsServicer):
    """The servicer that every node offers."""

    def __init__(self, recent: Recent, longest_s: float = LONGEST_S) -> None:
        self._recent = recent
        self._longest_s = longest_s

    async def WatchLogs(  # noqa: N802 -- the wire's name
        self, request: logs_pb2.LogsRequest, context: Context
    ) -> AsyncGenerator[logs_pb2.LogLine]:
        del context
        name = check_name(request.name)
        watching = self._recent.watch(name, request.since, follow=request.follow)
        until = asyncio.get_running_loop().time() + self._longest_s
        async with aclosing(watching) as lines:
            with suppress(TimeoutError):
                while True:
                    async with asyncio.timeout_at(until):
                        line = await anext(lines, None)
                    if line is None:
                        return
                    yield logs_pb2.LogLine(at=line.at, text=line.text)
