"""What is kept on this machine's disk, for callers that must not wait for it on their loop.

A cache is never a reason to fail: where the disk or the index does not do its part, nothing is
found and nothing is kept, and the log says why.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from crawler.cache.answers import Stored, pick
from crawler.cache.bodies import Bodies, Body, Spoilt, Writer
from crawler.cache.fields import Fields
from crawler.cache.index import Index
from crawler.clock import Clock
from crawler.errors import Misconfigured, TooLarge

log = structlog.get_logger(__name__)

T = TypeVar("T")

_YOUNG_S = 600.0  # a body that nobody knows yet may be on its way into the index
_THREADS = 4
_SPILL_BYTES = 1 << 18  # held in memory before the disk gets it


@dataclass(frozen=True, slots=True)
class Space:
    """``max_bytes`` of all that is kept, ``max_body_bytes`` of one body."""

    directory: Path
    max_bytes: int
    max_body_bytes: int = 64 << 20


class Shelf:
    """Answers by URL, with bodies of ``max_body_bytes`` at most. Several processes may use the same
    directory. Raises `Misconfigured` where that is none to write to."""

    def __init__(self, space: Space, clock: Clock) -> None:
        self._clock = clock
        # Its own: who waits for a disk or a name in the common ones would hold up everything else.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="cache")
        self.max_body_bytes = min(space.max_body_bytes, space.max_bytes // 4)
        try:
            self._bodies = Bodies(space.directory / "bodies")
            self._index = Index(space.directory / "index.db", space.max_bytes, self._bodies)
        except (OSError, sqlite3.Error) as error:
            raise Misconfigured(f"proxy_data: {space.directory}: {error}") from error

    async def sweep(self) -> None:
        """Remove what processes left that were killed."""

        def sweep() -> int:
            return self._bodies.sweep(self._index.hashes(), self._clock.wall() - _YOUNG_S)

        if removed := await self._try("sweep", sweep, 0):
            log.info("bodies without answers removed", files=removed)

    def close(self) -> None:
        """Idempotent."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._index.close()

    async def find(self, url: str, request: Fields) -> Stored | None:
        """The answer that this request selects."""
        return pick(await self.all(url), request)

    async def all(self, url: str) -> Sequence[Stored]:
        """All answers of this URL."""
        return await self._try("find", lambda: self._index.find(url), ())

    async def open(self, stored: Stored) -> AsyncGenerator[bytes, None] | None:
        """Its body in pieces; None: it is spoilt, and forgotten now."""

        def look() -> Iterator[bytes]:
            pieces = self._bodies.open(stored.body)
            self._index.touch(stored, self._clock.wall())
            return pieces

        try:
            found = await self._apart(look)
        except (Spoilt, OSError, sqlite3.Error) as error:
            log.warning("body of the cache lost", url=stored.url, error=str(error))
            await self._try("lose", lambda: self._index.lose(stored.body), None)
            return None
        return self._pieces(found)

    async def _pieces(self, found: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
        while (piece := await self._apart(lambda: next(found, b""))) != b"":
            yield piece

    def spool(self) -> Spool:
        """Takes a body that is to be kept, beside its way to somebody else."""
        most = self.max_body_bytes
        return Spool(lambda: self._bodies.write(most), most, self._apart)

    async def put(self, stored: Stored, body: Body | None = None) -> bool:
        """Keep it; False where that failed. ``body`` None: it is kept already."""

        def put() -> bool:
            self._index.put(stored, self._clock.wall(), body)
            return True

        return await self._try("put", put, False)

    async def drop(self, urls: Sequence[str]) -> None:
        """Forget the answers of these URLs."""

        await self._try("drop", lambda: self._index.drop(urls), None)

    async def size(self) -> tuple[int, int]:
        """How many answers are kept, and the bytes that they take."""
        return await self._try("size", self._index.size, (0, 0))

    async def _apart(self, work: Callable[[], T]) -> T:
        """Do it on a thread. Raises `OSError` after `close`."""
        try:
            doing = self._threads.submit(work)
        except RuntimeError as error:
            raise OSError("the cache is closed") from error
        return await asyncio.wrap_future(doing)

    async def _try(self, what: str, work: Callable[[], T], otherwise: T) -> T:
        try:
            return await self._apart(work)
        except (OSError, sqlite3.OperationalError, sqlite3.ProgrammingError) as error:
            log.warning("cache did without its disk", step=what, error=str(error))
        except (sqlite3.DatabaseError, ValueError, TypeError) as error:
            await self._begin_anew(error)
        return otherwise

    async def _begin_anew(self, error: Exception) -> None:
        try:
            await self._apart(lambda: self._index.begin_anew(error))
        except (OSError, sqlite3.Error) as worse:
            log.error("cache without an index", error=str(worse))


class Apart(Protocol):
    """Does something on a thread."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


class Spool:
    """One body. Small ones touch the disk once they are whole."""

    def __init__(self, begin: Callable[[], Writer], max_bytes: int, apart: Apart) -> None:
        self._begin = begin
        self._apart = apart
        self._left = max_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._writer: Writer | None = None
        self._failed = False

    async def feed(self, chunk: bytes) -> None:
        """More of it. What is too large, or finds no disk, is not kept, silently."""
        self._left -= len(chunk)
        if self._failed or self._left < 0:
            await self.discard()
            return
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        if self._held_bytes >= _SPILL_BYTES:
            await self._spill(end=False)

    async def finish(self) -> Body | None:
        """It is whole, and on disk now, to be put; None: it is not kept."""
        return None if self._failed else await self._spill(end=True)

    async def discard(self) -> None:
        """It is not wanted. Idempotent, and without effect once it is kept."""
        self._failed, self._held = True, []
        writer, self._writer = self._writer, None
        if writer is not None:
            await self._apart(writer.discard)

    async def _spill(self, *, end: bool) -> Body | None:
        held, self._held, self._held_bytes = self._held, [], 0

        def spill() -> Body | None:
            if self._writer is None:
                self._writer = self._begin()
            for chunk in held:
                self._writer.feed(chunk)
            return self._writer.finish() if end else None

        try:
            body = await self._apart(spill)
        except (OSError, TooLarge) as error:
            log.warning("body not kept", error=str(error))
            await self.discard()
            return None
        return body
