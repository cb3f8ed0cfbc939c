"""One Chromium for all crawls of a process, and the tabs that they borrow of it.

It is started for the first page, again when it has died or has grown too large, and ended with the
last crawl that may need it. A crawl sees no tab that another one has used.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import structlog

from crawler.address import Guard
from crawler.engine.browser.process import Chromium, find_browser, start_browser
from crawler.engine.browser.proxy import BrowserProxy
from crawler.engine.browser.tab import Tab
from crawler.engine.settings import EngineSettings
from crawler.tasks import bounded

log = structlog.get_logger(__name__)

_WATCH_S = 1.0
_CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """``tabs``: pages that are shown at a time, and so the most tabs. ``max_bytes``: of memory that
    all processes of the browser have for themselves; above that it is started anew once no page
    is shown, at twice that at once."""

    tabs: int = 4
    pages_per_tab: int = 50
    max_bytes: int = 1 << 30


class Browser:
    """An asynchronous context manager. Costs nothing before a crawl takes part."""

    def __init__(self, settings: EngineSettings, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._program = settings.browser
        self._guard = Guard(settings.allow_private, settings.typed_hosts)
        self._proxy: BrowserProxy | None = None
        self._chromium: Chromium | None = None
        self._watching: asyncio.Task[None] | None = None
        self._members: set[object] = set()
        self._idle: list[Tab] = []  # the one that was used last is last
        self._busy = 0
        self._worn = False
        self._closing: set[asyncio.Task[bool]] = set()
        self._changed = asyncio.Condition()
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._members.clear()
        try:
            await bounded(self._shut(), _CLOSE_S, "browser")
        finally:
            await asyncio.gather(*self._closing, return_exceptions=True)

    def check(self) -> None:
        """Raise `Misconfigured` where nothing can be shown here, saying what is missing."""
        find_browser(self._program)

    @asynccontextmanager
    async def joined(self, owner: object) -> AsyncIterator[None]:
        """A crawl that may borrow tabs. None of them outlives it for long; it does not wait for
        that, as a crawl that moves is waited for elsewhere."""
        self._members.add(owner)
        try:
            yield
        finally:
            self._members.discard(owner)
            for tab in [each for each in self._idle if each.owner is owner]:
                self._idle.remove(tab)
                self._later(tab.close())
            if not self._members:
                self._later(self._shut())

    @asynccontextmanager
    async def tab(self, owner: object, agent: str) -> AsyncIterator[Tab]:
        """Borrow a tab, once there is one. Raises `FetchFailed` where the browser does not start.

        What is borrowed is given up unless it comes back sound.
        """
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            self._busy += 1
        try:
            tab = await self._take(owner, agent)
            try:
                yield tab
                await tab.rest()
            except BaseException:
                tab.sound = False
                raise
            finally:
                self._return(tab)
        finally:
            await bounded(self._freed(), _CLOSE_S, "turn in the browser")

    def _has_room(self) -> bool:
        """A browser that is worn out is let run empty, and started anew."""
        return self._busy < self._bounds.tabs and not (self._worn and self._busy)

    async def _freed(self) -> None:
        async with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    async def _take(self, owner: object, agent: str) -> Tab:
        async with self._opening:
            chromium, proxy = await self._running()
            for tab in reversed(self._idle):
                if (tab.owner, tab.agent) == (owner, agent):
                    self._idle.remove(tab)
                    return tab
            while self._idle and len(self._idle) + self._busy > self._bounds.tabs:
                self._later(self._idle.pop(0).close())
        tab = Tab(owner, agent, chromium, proxy)
        try:
            await tab.open()
        except BaseException:
            self._later(tab.close())
            raise
        return tab

    async def _running(self) -> tuple[Chromium, BrowserProxy]:
        if self._proxy is None:
            self._proxy = await BrowserProxy(self._guard).__aenter__()
        if self._chromium is not None and not self._fit(self._chromium):
            await self._end()
        if self._chromium is None:
            self._chromium = await start_browser(find_browser(self._program), self._proxy.url)
            self._worn = False
            self._watching = asyncio.create_task(self._watch(self._chromium), name="browser")
        return self._chromium, self._proxy

    def _fit(self, chromium: Chromium) -> bool:
        """Whether it serves one more page; one that is worn out as long as others are there."""
        return chromium.alive and not (self._worn and self._busy == 1)

    def _return(self, tab: Tab) -> None:
        if tab.owner not in self._members or tab.chromium is not self._chromium:
            tab.sound = False
        if tab.sound and tab.pages < self._bounds.pages_per_tab:
            self._idle.append(tab)
        else:
            self._later(tab.close())

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this piece of clean-up meanwhile; the end waits for it."""
        task = asyncio.create_task(bounded(work, _CLOSE_S, "browser"), name="browser's clean-up")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _watch(self, chromium: Chromium) -> None:
        """See how large it grows."""
        while chromium.alive:
            size = await asyncio.to_thread(chromium.memory_bytes)
            self._worn = self._worn or size > self._bounds.max_bytes
            if size > 2 * self._bounds.max_bytes:
                log.warning("browser too large; killed", bytes=size)
                chromium.kill()
            await asyncio.sleep(_WATCH_S)

    async def _shut(self) -> None:
        """End all, unless somebody has come meanwhile."""
        async with self._opening:
            if self._members:
                return
            await self._end()
            if self._proxy is not None:
                proxy, self._proxy = self._proxy, None
                await proxy.__aexit__(None, None, None)

    async def _end(self) -> None:
        """End the browser that runs, with all its tabs."""
        self._idle.clear()
        if self._watching is not None:
            watching, self._watching = self._watching, None
            watching.cancel()
            await asyncio.wait({watching})
        if self._chromium is not None:
            chromium, self._chromium = self._chromium, None
            await chromium.close()
