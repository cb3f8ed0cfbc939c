"""What one request comes to: an answer from what is kept, or one that is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from crawler.cache.answers import Stored
from crawler.cache.fields import Fields
from crawler.cache.reuse import Use, judge, wishes
from crawler.cache.shelf import Shelf
from crawler.clock import Clock
from crawler.errors import FetchFailed
from crawler.proxy.exchange import Exchange, Ways
from crawler.proxy.flights import Flights
from crawler.proxy.messages import Client, Nobody, Request
from crawler.proxy.notes import Note, Result
from crawler.proxy.refusals import Refusal, uncached
from crawler.proxy.replies import Replies

log = structlog.get_logger(__name__)

_MOST_RENEWALS = 32
# Conditions that only the origin can judge (RFC 9111, 4.3.2).
_FOR_THE_ORIGIN = ("if-match", "if-unmodified-since")
_RESULTS = {
    Use.SERVE: Result.HIT,
    Use.SERVE_STALE: Result.STALE,
    Use.SERVE_AND_RENEW: Result.STALE,
}


class Gateway:
    """Answers requests. ``count`` is told what each came to. Its tasks end with `close`."""

    def __init__(
        self, ways: Ways, shelf: Shelf, clock: Clock, name: str, count: Callable[[Result], None]
    ) -> None:
        self._ways = ways
        self._shelf = shelf
        self._clock = clock
        self._count = count
        self._replies = Replies(shelf, name)
        self._exchange = Exchange(ways, shelf, self._replies, clock, name)
        self._flights = Flights()
        self._renewals: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """End what goes on behind clients' backs."""
        tasks = list(self._renewals.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def answer(self, request: Request, client: Client) -> None:
        """Raises `Refusal`, `ClientGone`, and `FetchFailed` where an answer broke off."""
        if request.method in ("GET", "HEAD") and request.body is None:
            await self._look(request, client)
            return
        note = Note(Result.PASSED, fwd="method")
        await self._exchange.run(request, None, client, note, _nothing)
        self._count(Result.PASSED)

    async def _look(self, request: Request, client: Client) -> None:
        if any(name in request.fields for name in _FOR_THE_ORIGIN):
            await self._ask(request, None, client, Note(fwd="request"))
            return
        stored = await self._shelf.find(request.url, request.fields)
        if stored is not None and await self._served(request, stored, client, Note()):
            return
        if "only-if-cached" in wishes(request.fields) and self._asks_origin(request):
            raise uncached()
        note = Note(fwd=_why(request, stored))
        if self._flights.under_way(request.url) and "no-cache" not in wishes(request.fields):
            await self._follow(request, stored, client, note)
        elif not _leads(request):
            await self._ask(request, stored, client, note)
        else:
            with self._flights.lead(request.url) as landed:
                await self._ask(request, stored, client, note, landed.set)

    def _asks_origin(self, request: Request) -> bool:
        return request.by_peer or self._ways.peers.owner(request.url) is None

    async def _follow(
        self, request: Request, stored: Stored | None, client: Client, note: Note
    ) -> None:
        """What another request brings, where it fits; otherwise ask, too."""
        await self._flights.wait(request.url)
        news = await self._shelf.find(request.url, request.fields)
        if news is not None and news != stored:
            collapsed = Note(fwd=note.fwd, collapsed=True)
            if await self._served(request, news, client, collapsed):
                return
        await self._ask(request, news, client, note)

    async def _served(self, request: Request, stored: Stored, client: Client, note: Note) -> bool:
        """Whether it could be answered with what is kept, without asking anybody first."""
        judged = judge(request.fields, stored, self._clock.wall())
        renew = judged.use is Use.SERVE_AND_RENEW
        if judged.use is Use.VALIDATE or (renew and not self._asks_origin(request)):
            return False
        note.result = _RESULTS[judged.use]
        if renew:
            self._renew(request, stored)
        if not await self._replies.send(stored, judged, request, client, note):
            return False
        self._count(note.result)
        return True

    async def _ask(
        self,
        request: Request,
        stored: Stored | None,
        client: Client,
        note: Note,
        known: Callable[[], None] | None = None,
    ) -> None:
        await self._exchange.run(request, stored, client, note, known or _nothing)
        self._count(note.result)

    def _renew(self, request: Request, stored: Stored) -> None:
        """Ask the origin behind the client's back (RFC 5861, 3), once for all who are served."""
        if request.url in self._renewals or len(self._renewals) >= _MOST_RENEWALS:
            return
        quiet = replace(request, method="GET", fields=_unconditional(request.fields), body=None)
        task = asyncio.create_task(self._renewed(quiet, stored), name="proxy: renew")
        self._renewals[request.url] = task
        task.add_done_callback(lambda _: self._renewals.pop(request.url, None))

    async def _renewed(self, request: Request, stored: Stored) -> None:
        try:
            note = Note(fwd="stale")
            await self._exchange.run(request, stored, Nobody(), note, _nothing)
        except (Refusal, FetchFailed) as error:
            log.info("not renewed", url=request.url, reason=str(error))


def _why(request: Request, stored: Stored | None) -> str:
    """RFC 9211, 2.2."""
    if stored is None:
        return "miss"
    return "request" if "no-cache" in wishes(request.fields) else "stale"


def _leads(request: Request) -> bool:
    """Whether the answer to this request could be that to others, too."""
    alone = "authorization" in request.fields or "range" in request.fields
    return request.method == "GET" and not alone and "no-store" not in wishes(request.fields)


def _unconditional(fields: Fields) -> Fields:
    names = ("range", "if-range", "if-none-match", "if-modified-since")
    return fields.without(frozenset(names))


def _nothing() -> None:
    return None
