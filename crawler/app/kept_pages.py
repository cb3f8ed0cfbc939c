"""The cache of a worker's proxy as its crawls use it: on the same disk, beside the proxy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from crawler.cache.answers import Stored, asked_for
from crawler.cache.changes import confirms, freshened
from crawler.cache.fields import Fields
from crawler.cache.reuse import Use, judge
from crawler.cache.shelf import Shelf, Space
from crawler.cache.storing import why_not
from crawler.clock import Clock
from crawler.engine.fetch.kept import Answer, joined

# What goes no further than one connection (RFC 9110, 7.6.1) is not kept.
_ONE_HOP = frozenset({"connection", "keep-alive", "trailer", "transfer-encoding", "upgrade"})
_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})


class KeptPages:
    """Implements the engine's `PageCache`."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock

    async def fresh(self, url: str, sent: CIMultiDict[str]) -> Answer | None:
        """See `PageCache`. A lifetime that the origin did not state is none for a crawl, which
        comes to see what has changed."""
        request = _asked(sent)
        stored = await self._shelf.find(url, request)
        if stored is None or stored.status != 200:
            return None
        if judge(request, stored, self._clock.wall(), guess=False).use is not Use.SERVE:
            return None
        pieces = await self._shelf.open(stored)
        if pieces is None:
            return None
        body = b"".join([piece async for piece in pieces])
        headers = joined([(name, _text(value)) for name, value in stored.fields.pairs])
        return Answer(stored.status, headers, body, stored.asked_at, stored.came_at)

    async def keep(self, url: str, sent: CIMultiDict[str], answer: Answer) -> None:
        """See `PageCache`."""
        request, fields = _asked(sent), _fields(answer.headers).without(_ONE_HOP)
        if answer.status == 304:
            await self._confirm(url, request, fields, answer)
            return
        if why_not("GET", request, answer.status, fields, answer.came_at):
            return
        spool = self._shelf.spool()
        try:
            await spool.feed(answer.body)
            body = await spool.finish()
            if body is not None:
                asked = asked_for(request, fields)
                times = answer.asked_at, answer.came_at
                stored = Stored(url, answer.status, fields, asked, *times, body.hash, body.size)
                await self._shelf.put(stored, body)
        finally:
            await spool.discard()

    async def _confirm(self, url: str, request: Fields, fields: Fields, answer: Answer) -> None:
        stored = await self._shelf.find(url, request)
        if stored is None or "etag" not in fields or not confirms(stored, fields):
            return  # the crawl asked about an answer of its own, which this need not be
        await self._shelf.put(freshened(stored, fields, answer.asked_at, answer.came_at))


def open_kept(settings: Mapping[str, Any], clock: Clock) -> KeptPages:
    """From what a child is told of the proxy beside it."""
    space = Space(Path(settings["directory"]), settings["max_bytes"])
    return KeptPages(Shelf(space, clock), clock)


def _asked(sent: CIMultiDict[str]) -> Fields:
    return _fields(sent).without(_CONDITIONS)


def _fields(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> Fields:
    """A byte a character, as the proxy has them; aiohttp has read them as UTF-8."""
    pairs = (
        (name, value.encode("utf-8", "surrogateescape").decode("latin-1"))
        for name, value in headers.items()
    )
    return Fields(tuple(pairs))


def _text(value: str) -> str:
    return value.encode("latin-1").decode("utf-8", "surrogateescape")
