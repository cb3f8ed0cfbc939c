"""The wire between supervisor and child: JSON lines over a socket pair that is nobody's stdout.

Orders go to the child, reports come from it. Unknown fields are dropped when read, so that a child
of a newer installation can follow an older supervisor. Neither side ever waits in `Channel.send`.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, TypeVar, get_args

import structlog

from crawler.model import HostWait, LiveRecord
from crawler.worker.order import JobOrder, Strike

MAX_LINE_BYTES = 16 << 20  # a definition is at most 1.5 MiB in etcd; JSON in JSON escapes it
T = TypeVar("T")

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """How a job ended."""

    FINISHED = "finished"
    STOPPED = "stopped"  # as ordered
    FENCED = "fenced"  # a newer owner exists
    ERROR = "error"  # it cannot go on before somebody changes something
    AGAIN = "again"  # something was away; the same order may be tried again
    CRASHED = "crashed"  # an error nobody foresaw


@dataclass(frozen=True, slots=True)
class Hello:
    """The first order. ``settings`` are the application's; ``parent`` is the supervisor's pid."""

    settings: Mapping[str, Any]
    parent: int
    memory_fd: int
    beat_s: float


@dataclass(frozen=True, slots=True)
class Start:
    """Run this. ``number`` names the job in all further messages, ``slot`` its place in memory."""

    number: int
    slot: int
    order: JobOrder


@dataclass(frozen=True, slots=True)
class Stop:
    """Cancel the job; after ``grace_s`` its clean-up too. Answered by `Ended`."""

    number: int
    grace_s: float


@dataclass(frozen=True, slots=True)
class Look:
    """Look into yourself, see `crawler.telemetry.sampling.look`. Answered by `Seen`."""

    number: int
    kind: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Told:
    """News of the cluster; ``news`` is the application's. What was told before counts no more."""

    news: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Drain:
    """Stop all jobs, take no more, and exit."""

    grace_s: float


@dataclass(frozen=True, slots=True)
class Beat:
    """The child's loop turns. ``active`` counts the pages in work, of all jobs."""

    active: int


@dataclass(frozen=True, slots=True)
class Started:
    """The claim stands and the strikes of the order are committed."""

    number: int


@dataclass(frozen=True, slots=True)
class Going:
    """How the job goes at this moment."""

    number: int
    live: LiveRecord


@dataclass(frozen=True, slots=True)
class Counted:
    """All that this process has counted since it began, as `crawler.telemetry.relay` has it."""

    families: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the log, as `crawler.telemetry.recent` keeps it."""

    resource: str
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What the look of that number has shown."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The job's task is gone."""

    number: int
    outcome: Outcome
    reason: str


Order = Hello | Start | Stop | Look | Told | Drain
Report = Beat | Started | Going | Counted | Said | Seen | Ended
_TYPES: dict[str, type[Any]] = {
    each.__name__.lower(): each for each in (*get_args(Order), *get_args(Report))
}


def _known(kind: type[T], values: Mapping[str, Any]) -> T:
    names = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in values.items() if name in names})


def _order(values: Mapping[str, Any]) -> JobOrder:
    strikes = tuple(_known(Strike, each) for each in values.get("strikes", ()))
    return _known(JobOrder, {**values, "strikes": strikes})


def _live(values: Mapping[str, Any]) -> LiveRecord:
    hosts = tuple(_known(HostWait, each) for each in values.get("hosts", ()))
    return _known(LiveRecord, {**values, "hosts": hosts})


def encode(message: Order | Report) -> bytes:
    """One line."""
    body = {"type": type(message).__name__.lower(), **asdict(message)}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Order | Report | None:
    """The message; None for a type that this version does not know."""
    values = json.loads(line)
    kind = _TYPES.get(values["type"])
    if kind is None:
        return None
    if kind is Start:
        values["order"] = _order(values["order"])
    if kind is Going:
        values["live"] = _live(values["live"])
    if kind is Ended:
        values["outcome"] = Outcome(values["outcome"])
    message: Order | Report = _known(kind, values)
    return message


class Channel:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Channel:
        """Take over ``end`` of a socket pair."""
        end.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=end, limit=MAX_LINE_BYTES)
        writer.transport.set_write_buffer_limits(high=0)  # `flush` then waits for the last byte
        return cls(reader, writer)

    @property
    def unsent_bytes(self) -> int:
        """What the other side has not taken yet."""
        return self._writer.transport.get_write_buffer_size()

    def send(self, message: Order | Report) -> None:
        """Queue a message; without effect once the other side is gone."""
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def receive(self) -> AsyncIterator[Order | Report]:
        """Messages until the other side is gone or cannot be understood. A line without its end is
        a death while writing."""
        while True:
            try:
                line = await self._reader.readline()
                message = decode(line) if line.endswith(b"\n") else None
            except ConnectionError:
                return
            except (ValueError, TypeError, KeyError) as error:
                log.warning("broken message", error=str(error))
                return
            if not line.endswith(b"\n"):
                return
            if message is not None:
                yield message

    async def flush(self) -> None:
        """Return when all is sent or the other side is gone."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def close(self) -> None:
        self._writer.close()
