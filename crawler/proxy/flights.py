"""Requests for the same URL wait for the one that is under way, instead of asking again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 10.0  # behind a client that reads slowly, say


class Flights:
    """By URL, those under way."""

    def __init__(self) -> None:
        self._landed: dict[str, asyncio.Event] = {}

    @contextmanager
    def lead(self, url: str) -> Iterator[asyncio.Event]:
        """Be the one; the event, once set, lets the others go on."""
        landed = asyncio.Event()
        self._landed[url] = landed
        try:
            yield landed
        finally:
            landed.set()
            if self._landed.get(url) is landed:
                del self._landed[url]

    def under_way(self, url: str) -> bool:
        """Whether there is one to wait for."""
        return url in self._landed and not self._landed[url].is_set()

    async def wait(self, url: str) -> None:
        """Until that one has landed, or for too long."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._landed[url].wait()
        except TimeoutError:
            return
