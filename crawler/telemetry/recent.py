"""The latest log lines that are about crawls, kept in memory for whoever asks for those of one.

A ring: the newest push the oldest out. Whoever follows too slowly is overtaken, and told so.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import takewhile

from crawler.errors import Exhausted

MAX_LINES = 10_000
MAX_CHARS = 8_000_000  # of all lines together
MAX_LINE = 16_000  # characters; a longer one is not kept
FOLLOWERS = 100


@dataclass(frozen=True, slots=True)
class Line:
    """``text``: one JSON object; ``resource``: the unit that it is about; ``at``: Unix seconds."""

    number: int
    at: float
    resource: str
    text: str


class Recent:
    """Lines are added from any thread, and followed on one loop."""

    def __init__(self, most: int = MAX_LINES, most_chars: int = MAX_CHARS) -> None:
        self._most = most
        self._most_chars = most_chars
        self._lines: deque[Line] = deque()
        self._chars = 0
        self._next = 0
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def add(self, resource: str, text: str, at: float) -> None:
        """Keep a line."""
        if len(text) > MAX_LINE:
            return
        with self._lock:
            self._lines.append(Line(self._next, at, resource, text))
            self._next += 1
            self._chars += len(text)
            while len(self._lines) > self._most or self._chars > self._most_chars:
                self._chars -= len(self._lines.popleft().text)
            waiting = list(self._waiting.items())
        for event, loop in waiting:
            loop.call_soon_threadsafe(event.set)

    async def watch(
        self, name: str = "", since: float = 0.0, *, follow: bool = False
    ) -> AsyncGenerator[Line]:
        """Lines about that resource and its parts ("": about any) that were written after
        ``since`` (Unix seconds), the oldest first; with ``follow`` also those that come.

        Raises `Exhausted` where too many follow, or lines have gone before they were taken.
        """
        if follow and len(self._waiting) >= FOLLOWERS:
            raise Exhausted(f"{FOLLOWERS} follow log lines already; try again later")
        event = asyncio.Event()
        if follow:
            self._waiting[event] = asyncio.get_running_loop()
        try:
            lines, number = self._behind(0)
            while True:
                for line in lines:
                    if self._is_wanted(line, name) and line.at > since:
                        yield line
                if not follow:
                    return
                await event.wait()
                event.clear()
                before = number
                lines, number = self._behind(before)
                if lost := number - before - len(lines):
                    raise Exhausted(f"read too slowly: {lost} lines are gone; begin anew")
        finally:
            self._waiting.pop(event, None)

    def _behind(self, number: int) -> tuple[list[Line], int]:
        """What is left of the lines from that number on, and the number of the next one."""
        with self._lock:
            newest = takewhile(lambda line: line.number >= number, reversed(self._lines))
            return list(newest)[::-1], self._next

    @staticmethod
    def _is_wanted(line: Line, name: str) -> bool:
        return not name or line.resource.partition("/")[0] == name


RECENT = Recent()  # of this process; see `crawler.telemetry.logs`
