"""Takes finished visits to the store: in batches, in order, one commit at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NoReturn

import structlog

from crawler.clock import Backoff, Clock
from crawler.engine.frontier import Frontier
from crawler.engine.settings import EngineSettings
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.failpoint import hit
from crawler.model import Progress, Visit

log = structlog.get_logger(__name__)

Committed = Callable[[Sequence[Visit], Progress], None]
_BACKOFF = Backoff()
_PATIENCE_S = 2.0  # a commit without an answer for so long counts as failing


class Commits:
    """The queue of visits on their way. ``committed`` is called after each commit."""

    def __init__(
        self, frontier: Frontier, settings: EngineSettings, clock: Clock, committed: Committed
    ) -> None:
        self._frontier = frontier
        self._settings = settings
        self._clock = clock
        self._committed = committed
        self._queue: deque[Visit] = deque()
        self._batch: list[Visit] = []  # what is being committed, until the store has said yes
        self._filled = asyncio.Event()
        self._urgent = asyncio.Event()
        self._failure = ""
        self._sent_at: float | None = None  # when the commit under way was sent
        self.items = 0  # found, and not committed yet

    @property
    def failing(self) -> str:
        """Why the store does not take commits at the moment; "": it does."""
        sent_at = self._sent_at
        if self._failure or sent_at is None:
            return self._failure
        waited_s = self._clock.elapsed() - sent_at
        return f"no answer for {waited_s:.0f} s" if waited_s > _PATIENCE_S else ""

    def __len__(self) -> int:
        """Visits that are not committed yet."""
        return len(self._queue) + len(self._batch)

    def add(self, visit: Visit) -> None:
        """Queue a visit."""
        self._queue.append(visit)
        self.items += len(visit.items)
        self._filled.set()
        if len(self._queue) >= self._settings.batch_visits:
            self._urgent.set()

    def hurry(self) -> None:
        """Commit what there is without waiting for more: nothing else can be done meanwhile."""
        if self._queue:
            self._urgent.set()

    async def run(self) -> NoReturn:
        """Commit batch after batch until cancelled. Raises `Fenced`."""
        while True:
            await self._filled.wait()
            await self._company()
            await self._commit()

    async def flush(self) -> None:
        """Commit everything queued. Not beside `run`: one commit at a time."""
        while len(self):
            await self._commit()

    async def _company(self) -> None:
        """Wait until the batch is full, or its first visit has waited long enough."""
        try:
            async with asyncio.timeout(self._settings.batch_s):
                await self._urgent.wait()
        except TimeoutError:
            return

    def _load(self) -> None:
        """Move visits into the batch, unless one is still in doubt: that one goes first."""
        if not self._batch:
            count = min(len(self._queue), self._settings.batch_visits)
            self._batch = [self._queue.popleft() for _ in range(count)]
        if not self._queue:
            self._filled.clear()
        if len(self._queue) < self._settings.batch_visits:
            self._urgent.clear()

    async def _commit(self) -> None:
        """Commit one batch, however long it takes. Its outcome may be unknown in between: the
        same batch again is harmless, another one could overtake it."""
        self._load()
        delays = _BACKOFF.delays()
        while (progress := await self._attempt()) is None:
            await self._clock.sleep(next(delays))
        self._failure = ""
        batch, self._batch = self._batch, []
        self.items -= sum(len(visit.items) for visit in batch)
        self._committed(batch, progress)

    async def _attempt(self) -> Progress | None:
        """One try; None when it has to be repeated."""
        self._sent_at = self._clock.elapsed()
        try:
            await hit("engine.before_commit")
            progress = await self._frontier.commit(self._batch)
            await hit("engine.after_commit")
        except (StoreUnavailable, OutcomeUnknown) as error:
            if not self._failure:
                log.warning("commit failed; repeating it", error=str(error))
            self._failure = str(error) or type(error).__name__
            return None
        finally:
            self._sent_at = None
        return progress
