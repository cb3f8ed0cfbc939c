"""Sends what is kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from crawler.cache.answers import Stored
from crawler.cache.reuse import Judgement
from crawler.cache.selecting import select
from crawler.cache.shelf import Shelf
from crawler.proxy.hops import passed_by
from crawler.proxy.messages import Client, Request
from crawler.proxy.notes import Note


class Replies:
    """``name``: what this proxy calls itself towards others."""

    def __init__(self, shelf: Shelf, name: str) -> None:
        self._shelf = shelf
        self._name = name

    async def send(
        self, stored: Stored, judged: Judgement, request: Request, client: Client, note: Note
    ) -> bool:
        """Answer with it; False: its body is spoilt, and nothing was said."""
        whole = request.method == "HEAD"
        wanted = request.fields.without(frozenset({"range"})) if whole else request.fields
        chosen = select(wanted, stored)
        pieces = await self._shelf.open(stored)
        if pieces is None:
            return False
        note.ttl_s = judged.left_s
        fields = chosen.fields.without(frozenset({"age"})).plus(("Age", str(int(judged.age_s))))
        await client.start(chosen.status, note.added(passed_by(fields, self._name), self._name))
        if not whole and chosen.end > chosen.start:
            await _part(pieces, chosen.start, chosen.end, client)
        await client.finish()
        return True


async def _part(pieces: AsyncGenerator[bytes, None], start: int, end: int, client: Client) -> None:
    at = 0
    async with aclosing(pieces) as reading:
        async for piece in reading:
            if at + len(piece) > start:
                await client.write(piece[max(0, start - at) : end - at])
            at += len(piece)
            if at >= end:
                return
