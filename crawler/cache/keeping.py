"""How an answer that is whole already comes to be kept, and how what is kept is confirmed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from crawler.cache.answers import Stored
from crawler.cache.changes import confirms, freshened
from crawler.cache.fields import Fields
from crawler.cache.shelf import Shelf
from crawler.cache.storing import may_freshen, why_not


async def keep(shelf: Shelf, request: Fields, stored: Stored, body: AsyncIterator[bytes]) -> bool:
    """Keep what was answered to a request, where that is allowed and the body is the one that
    ``stored`` tells of; whether it is kept."""
    if why_not("GET", request, stored.status, stored.fields, stored.came_at):
        return False
    spool = shelf.spool()
    try:
        async for chunk in body:
            await spool.feed(chunk)
        found = await spool.finish()
        if found is None or (found.hash, found.size) != (stored.body, stored.size):
            return False
        return await shelf.put(stored, found)
    finally:
        await spool.discard()


async def confirm(
    shelf: Shelf, request: Fields, url: str, news: Fields, asked_at: float, came_at: float
) -> bool:
    """Take over what a 304 says of the answer that is kept, if it surely speaks of that one: who
    asked may have asked about another; whether it did."""
    stored = await shelf.find(url, request)
    if stored is None or "etag" not in news or not confirms(stored, news):
        return False
    if not may_freshen(request, stored.status, news, came_at):
        return False
    return await shelf.put(freshened(stored, news, asked_at, came_at))
