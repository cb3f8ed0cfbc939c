"""Where other workers' crawls come for what is kept here, and leave what is to be kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from crawler.cache.fields import Fields
from crawler.cache.keeping import confirm, keep
from crawler.cache.shelf import Shelf
from crawler.clock import Clock
from crawler.errors import InvalidInput
from crawler.proxy.hops import PEER
from crawler.proxy.marks import Sealing, prove
from crawler.proxy.messages import Client, Request
from crawler.proxy.parcels import ANSWER, MOST_BYTES, pack, unpack
from crawler.proxy.refusals import Refusal

_NOTHING = Fields((("Content-Length", "0"),))


class Lending:
    """Serves requests of which it is known that they come from a worker of this cluster."""

    def __init__(self, shelf: Shelf, seal: Callable[[], Sealing], clock: Clock) -> None:
        self._shelf = shelf
        self._seal = seal
        self._clock = clock

    async def lend(self, request: Request, given: str, client: Client) -> bool:
        """Answer with what is kept, as it is; whether anything is. ``given``: the mark of the
        request."""
        stored = await self._shelf.find(request.url, request.fields)
        text = "" if stored is None else pack(stored)
        pieces = None
        if stored is not None and len(text) <= MOST_BYTES:
            pieces = await self._shelf.open(stored)
        if stored is None or pieces is None:
            await client.start(404, _NOTHING)
            await client.finish()
            return False
        proof = prove(self._seal(), given, request.url, text)
        length = ("Content-Length", str(stored.size))
        await client.start(200, Fields(((ANSWER, text), (PEER, proof), length)))
        async for piece in pieces:
            await client.write(piece)
        await client.finish()
        return True

    async def take(self, request: Request, text: str, client: Client) -> None:
        """Keep what is handed in, where the rules allow it. Raises `Refusal`."""
        if self._seal().secret is None:
            raise Refusal(403, "without a secret nothing is taken from others", "other")
        try:
            stored = unpack(request.url, text)
        except InvalidInput as error:
            raise Refusal(400, str(error), "http_request_error") from error
        now = self._clock.wall()
        asked_at, came_at = min(stored.asked_at, now), min(stored.came_at, now)
        stored = replace(stored, asked_at=asked_at, came_at=came_at)
        if stored.status == 304:
            times = asked_at, came_at
            kept = await confirm(self._shelf, request.fields, request.url, stored.fields, *times)
        else:
            kept = await keep(self._shelf, request.fields, stored, _body(request))
        async for _ in _body(request):
            pass  # what was not wanted, so that the connection stays
        await client.start(204 if kept else 409, Fields() if kept else _NOTHING)
        await client.finish()


async def _body(request: Request) -> AsyncIterator[bytes]:
    if request.body is not None:
        async for chunk in request.body:
            yield chunk
