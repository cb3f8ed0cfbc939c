"""Takes finished visits to the store: in batches, in order, one commit at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NoReturn

import structlog

from crawler.clock import Backoff, Clock
from crawler.engine import figures
from crawler.engine.frontier import Frontier
from crawler.engine.settings import EngineSettings
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.failpoint import hit
from crawler.model import PageState, Progress, Visit
from crawler.telemetry.traces import span

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
        self.links = 0  # likewise

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
        self.links += _links(visit)
        self._filled.set()
        if self._is_full():
            self._urgent.set()

    def _is_full(self) -> bool:
        """Whether what is queued makes a batch."""
        return (
            len(self._queue) >= self._settings.batch_visits
            or self.links >= self._settings.batch_links
        )

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
            links = 0
            while self._queue and len(self._batch) < self._settings.batch_visits:
                links += _links(self._queue[0])
                if links > self._settings.batch_links and self._batch:
                    break
                self._batch.append(self._queue.popleft())
        if not self._queue:
            self._filled.clear()
        if not self._is_full():
            self._urgent.clear()

    async def _commit(self) -> None:
        """Commit one batch, however long it takes. Its outcome may be unknown in between: the
        same batch again is harmless, another one could overtake it."""
        self._load()
        most = self._settings.batch_links
        for part in _ahead(self._batch, most):
            await self._persist(part)
        progress = await self._persist([_ending(visit, most) for visit in self._batch])
        batch, self._batch = self._batch, []
        figures.count(batch)
        self.items -= sum(len(visit.items) for visit in batch)
        self.links -= sum(_links(visit) for visit in batch)
        self._committed(batch, progress)

    async def _persist(self, visits: Sequence[Visit]) -> Progress:
        """Commit these until the store has said yes."""
        delays = _BACKOFF.delays()
        while (progress := await self._attempt(visits)) is None:
            await self._clock.sleep(next(delays))
        self._failure = ""
        return progress

    async def _attempt(self, visits: Sequence[Visit]) -> Progress | None:
        """One try; None when it has to be repeated."""
        self._sent_at = self._clock.elapsed()
        try:
            await hit("engine.before_commit")
            with figures.COMMIT.time(), span("commit", pages=len(visits)):
                progress = await self._frontier.commit(visits)
            await hit("engine.after_commit")
        except (StoreUnavailable, OutcomeUnknown) as error:
            if not self._failure:
                log.warning("commit failed; repeating it", error=str(error))
            self._failure = str(error) or type(error).__name__
            return None
        finally:
            self._sent_at = None
        return progress


def _links(visit: Visit) -> int:
    """How many links come in with a visit, those included that are taken over."""
    before = visit.request.before
    return len(visit.links) + (before.links if before is not None and visit.unchanged else 0)


def _ahead(visits: Sequence[Visit], most: int) -> Iterator[Sequence[Visit]]:
    """What is committed before these visits: all but the last ``most`` links of each, while its
    page stays pending. Whoever dies in between has the page read again, and its links known."""
    for visit in visits:
        again = Visit(visit.request, PageState.PENDING, due_at=visit.due_at)
        for at in range(0, _links(visit) - most, most):
            if visit.unchanged:
                yield [replace(again, unchanged=True, share=(at, most))]
            else:
                yield [replace(again, links=visit.links[at : at + most])]


def _ending(visit: Visit, most: int) -> Visit:
    """The visit with what `_ahead` has left of its links."""
    ahead = len(range(0, _links(visit) - most, most)) * most
    if not ahead:
        return visit
    if visit.unchanged:
        return replace(visit, share=(ahead, None))
    return replace(visit, links=visit.links[ahead:])
