"""What the parts of the proxy hand to one another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from crawler.cache.fields import Fields


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is forwarded: ``fields`` without what was meant for this connection.

    ``body`` None: it has none; it can be read once. ``by_peer``: another worker's proxy asks, so
    that nobody but the origin is asked for its sake.
    """

    method: str
    url: str
    host: str
    fields: Fields
    body: AsyncIterator[bytes] | None = None
    by_peer: bool = False


class Client(Protocol):
    """Takes one answer. ``started``: its head is sent, so that no other can be."""

    @property
    def started(self) -> bool: ...
    async def inform(self, status: int, fields: Fields) -> None:
        """The head of an interim answer (RFC 9110, 15.2), before that of the real one."""

    async def start(self, status: int, fields: Fields) -> None: ...
    async def write(self, chunk: bytes) -> None: ...
    async def finish(self) -> None: ...


class Nobody:
    """For an answer that is fetched to be kept, with no client waiting."""

    started = False

    async def inform(self, status: int, fields: Fields) -> None:
        del status, fields

    async def start(self, status: int, fields: Fields) -> None:
        del status, fields
        self.started = True

    async def write(self, chunk: bytes) -> None:
        del chunk

    async def finish(self) -> None:
        return None
