"""The log lines of a crawl, from the nodes that deal with it: the workers that have it, and the
masters, of which one decided on it."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from crawler.definition.schedule import duration, seconds_of
from crawler.errors import CrawlerError, Exhausted, InvalidInput, NotFound
from crawler.model import MASTER_SERVICE, check_name
from crawler.rpc.calls import Channels, LogCalls, MasterCalls
from crawler.rpc.pb import control_pb2 as control
from crawler.rpc.pb.logs_pb2 import LogLine, LogsRequest
from crawler.web.lives import owned_by
from crawler.web.models import LogEntry, LogPage, LogQuery, Nothing
from crawler.web.resources import ONE
from crawler.web.route import LOOKS_AT_ONE, Answer, AnyRoute, Asked, Route, Streamed
from crawler.web.stream import MEDIA, RETRY_MS

ANSWER_S = 3.0  # a node that is paused or gone keeps nobody waiting
LOOK_S = 1.0  # how soon a crawl is followed to where it has moved
HEARTBEAT_S = 10.0
MAX_LINES = 10_000  # of one page, the newest
QUEUED = 1_000  # lines that were had and not taken yet; then the nodes wait

Source = tuple[str, str]  # id and address of a node
Told = tuple[str, LogLine]


@dataclass(slots=True)
class LogLines:
    """``nodes`` opens channels to those of the cluster."""

    calls: MasterCalls
    nodes: Callable[[], Channels]
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def routes(self) -> tuple[AnyRoute, ...]:
        """Both doors."""
        return (
            Route(
                "GET", ONE + "/logs", "Show its log lines", self.show,
                Nothing, LogQuery, LogPage, check=check_name, fails=LOOKS_AT_ONE,
            ),
            Route(
                "GET", ONE + "/logs/follow", "Tell its log lines as they are written", self.tell,
                Nothing, LogQuery, LogEntry, check=check_name, fails=LOOKS_AT_ONE, media=MEDIA,
            ),
        )  # fmt: skip

    async def close(self, _: object) -> None:
        """The server stops."""
        self.closing.set()

    async def show(self, asked: Asked[Nothing, LogQuery]) -> Answer:
        """What its nodes have kept, in the order of their clocks."""
        since, channels = read_since(asked.query.since), self.nodes()
        try:
            told, trouble = await self._kept(channels, asked.name, since)
        finally:
            await channels.close()
        lines = tuple(_entry(*each) for each in told[-MAX_LINES:])
        return Answer(LogPage(lines=lines, trouble=trouble))

    async def _kept(
        self, channels: Channels, name: str, since: float
    ) -> tuple[list[Told], tuple[str, ...]]:
        told: list[Told] = []
        trouble: list[str] = []

        async def ask(node: str, address: str) -> None:
            request = LogsRequest(name=name, since=since)
            try:
                async with asyncio.timeout(ANSWER_S):
                    lines = LogCalls(channels, address).watch_logs(request)
                    told.extend([(node, line) async for line in lines])
            except CrawlerError as error:
                trouble.append(f"{node}: {error}")
            except TimeoutError:
                trouble.append(f"{node}: no answer within {ANSWER_S:g} s")

        await asyncio.gather(*(ask(*source) for source in await self.sources(name)))
        return sorted(told, key=lambda each: each[1].at), tuple(sorted(trouble))

    async def sources(self, name: str) -> list[Source]:
        """The nodes that deal with it. Raises `NotFound`."""
        view, nodes = await asyncio.gather(
            self.calls.get_resource(control.NameRequest(name=name)), self.calls.list_nodes()
        )
        masters = [
            (each.id, each.address)
            for each in nodes.nodes
            if each.service == MASTER_SERVICE and each.native and not each.unsigned
        ]
        workers = [(node, address) for _, _, node, address in owned_by(view)]
        return list(dict.fromkeys((*masters, *workers)))

    async def tell(self, asked: Asked[Nothing, LogQuery]) -> Streamed:
        """First what was kept; a browser that connects again goes on where it was."""
        since = read_since(asked.last_event_id or asked.query.since)
        await self.sources(asked.name)  # what is not there is an ordinary answer
        return Streamed(f"retry: {RETRY_MS}\n\n".encode(), self._chunks(asked.name, since), MEDIA)

    async def _chunks(self, name: str, since: float) -> AsyncGenerator[bytes]:
        channels = self.nodes()
        following = _Following(self, channels, name)
        try:
            told, _ = await self._kept(channels, name, since)
            for node, line in told:
                following.note(node, line)
                yield _encode(node, line)
            async with aclosing(following.lines(since)) as coming:
                async for each in coming:
                    yield b": heartbeat\n\n" if each is None else _encode(*each)
        except CrawlerError as error:
            data = json.dumps({"message": str(error), "help": error.help})
            yield f"event: dropped\ndata: {data}\n\n".encode()
        finally:
            await channels.close()


class _Following:
    """One reader, and a stream from each node that deals with the crawl at the moment."""

    def __init__(self, logs: LogLines, channels: Channels, name: str) -> None:
        self._logs = logs
        self._channels = channels
        self._name = name
        self._seen: dict[str, float] = {}  # by node, when its last line was written
        self._queue: asyncio.Queue[Told] = asyncio.Queue(QUEUED)
        self._streams: dict[Source, asyncio.Task[None]] = {}
        self._overtaken: Exhausted | None = None

    def note(self, node: str, line: LogLine) -> None:
        """That line was told."""
        self._seen[node] = line.at

    async def lines(self, since: float) -> AsyncGenerator[Told | None]:
        """Lines as they come; None: there was none for a while. Raises `Exhausted` where the reader
        is too slow; ends where the crawl is deleted or the server stops."""
        looking = asyncio.create_task(self._look(since), name=f"log sources of {self._name}")
        closing = asyncio.create_task(self._logs.closing.wait(), name="server stops")
        coming: asyncio.Task[Told] | None = None
        try:
            while True:
                coming = coming or asyncio.create_task(self._queue.get(), name="next log line")
                await asyncio.wait(
                    {coming, looking, closing},
                    timeout=HEARTBEAT_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if coming.done():
                    node, line = coming.result()
                    coming = None
                    self.note(node, line)
                    yield node, line
                elif looking.done() or closing.done():
                    if looking.done():
                        looking.result()
                    return
                else:
                    yield None
        finally:
            tasks = [looking, closing, *self._streams.values(), *([coming] if coming else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, since: float) -> None:
        """Keep a stream from each source; return when there is no such crawl any more."""
        while self._overtaken is None:
            try:
                sources = await self._logs.sources(self._name)
            except NotFound:
                return
            except CrawlerError:
                sources = []  # no news of where it is; what is followed goes on
            self._streams = {at: task for at, task in self._streams.items() if not task.done()}
            for source in sources:
                if source not in self._streams:
                    self._streams[source] = asyncio.create_task(
                        self._pump(*source, self._seen.get(source[0], since)),
                        name=f"log lines of {source[0]}",
                    )
            await asyncio.sleep(LOOK_S)
        raise self._overtaken

    async def _pump(self, node: str, address: str, since: float) -> None:
        request = LogsRequest(name=self._name, since=since, follow=True)
        try:
            async for line in LogCalls(self._channels, address).watch_logs(request):
                await self._queue.put((node, line))
        except Exhausted as error:
            self._overtaken = error
        except CrawlerError:
            return  # it is asked again as long as it has the crawl


def read_since(text: str) -> float:
    """Unix seconds: as such, or as a time that has passed since. Raises `InvalidInput`."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds) and seconds >= 0:
        return seconds
    try:
        return time.time() - seconds_of(duration(text))
    except ValueError as error:
        raise InvalidInput(
            'since: a time like "90s", "5m" or "2h", or Unix seconds', field="since"
        ) from error


def _entry(node: str, line: LogLine) -> LogEntry:
    try:
        said = json.loads(line.text)
    except ValueError:
        said = {"msg": line.text}
    return LogEntry(at=line.at, node=node, line=said if isinstance(said, dict) else {"msg": said})


def _encode(node: str, line: LogLine) -> bytes:
    data = _entry(node, line).model_dump_json()
    return f"id: {line.at!r}\nevent: line\ndata: {data}\n\n".encode()
