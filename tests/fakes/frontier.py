"""One run in memory, as `crawler.store.contract` wants a frontier: for tests, and as its model."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from crawler.clock import Clock
from crawler.errors import Fenced
from crawler.model import Item, PageState, Progress, Request, Visit
from crawler.store.contract import Window

STRIKES = 3

Step = Callable[[str], Awaitable[None]]


async def no_step(_: str) -> None:
    """Nothing happens between the steps."""


@dataclass(slots=True)
class Row:
    """What is kept of one URL."""

    request: Request
    order: int
    state: PageState = PageState.PENDING
    reason: str = ""
    not_before: float = 0.0
    visit: Visit | None = None


class MemoryRun:
    """The rows of one run: what survives its claims.

    ``completions`` counts how often each URL was completed, for tests that look for doubles.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.rows: dict[bytes, Row] = {}
        self.items: dict[bytes, tuple[Item, ...]] = {}
        self.events: list[tuple[str, str]] = []
        self.completions: dict[bytes, int] = defaultdict(int)
        self.fetched_bytes = 0
        self.seeded = False
        self.finished = ""
        self.revision = 0
        self.claim_number = 0
        self._orders = itertools.count()

    def claim(self, revision: int = 1, step: Step = no_step) -> MemoryFrontier:
        """A new claim; every older one is fenced. `Fenced` below the highest revision."""
        if revision < self.revision:
            raise Fenced(f"revision {self.revision} stands")
        self.revision = revision
        self.claim_number += 1
        return MemoryFrontier(self, self.claim_number, step)

    def raise_fence(self, revision: int) -> None:
        """No claim at or below ``revision`` commits any more."""
        if revision >= self.revision:
            self.revision = revision + 1
            self.claim_number += 1

    def insert(
        self, request: Request, state: PageState = PageState.PENDING, reason: str = ""
    ) -> None:
        """A row, unless the URL is known."""
        if request.fingerprint not in self.rows:
            self.rows[request.fingerprint] = Row(request, next(self._orders), state, reason)

    def progress(self) -> Progress:
        """The counters."""
        states = [row.state for row in self.rows.values()]
        items = [item for each in self.items.values() for item in each]
        return Progress(
            known=len(states),
            done=states.count(PageState.DONE),
            failed=states.count(PageState.FAILED),
            excluded=states.count(PageState.EXCLUDED),
            items=len(items),
            incomplete_items=sum(bool(item.missing) for item in items),
            fetched_bytes=self.fetched_bytes,
            seeded=self.seeded,
            finished=self.finished,
        )

    def urls(self, state: PageState) -> set[str]:
        """URLs in that state."""
        return {row.request.url for row in self.rows.values() if row.state is state}


class MemoryFrontier:
    """The run under one claim. ``step`` is awaited before and after each change."""

    def __init__(self, run: MemoryRun, number: int, step: Step) -> None:
        self._run = run
        self._number = number
        self._step = step

    def _check(self) -> None:
        if self._number != self._run.claim_number:
            raise Fenced("a newer claim stands")

    async def seed(self, requests: Sequence[Request]) -> Progress:
        await self._step("seed: before")
        self._check()
        if not self._run.seeded:
            for request in requests:
                self._run.insert(request)
            self._run.seeded = True
        await self._step("seed: after")
        return self._run.progress()

    async def window(self, limit: int, per_host: int, skip: AbstractSet[bytes]) -> Window:
        await self._step("window")
        self._check()
        now = self._run.clock.wall()
        pending = [
            row
            for mark, row in self._run.rows.items()
            if row.state is PageState.PENDING and mark not in skip
        ]
        hosts: dict[str, list[Row]] = defaultdict(list)
        for row in sorted(pending, key=_rank):
            if row.not_before <= now:
                hosts[row.request.host].append(row)
        rounds = itertools.zip_longest(*(rows[:per_host] for rows in hosts.values()))
        due = [row for each in rounds for row in each if row is not None]
        later = min((row.not_before for row in pending if row.not_before > now), default=None)
        return Window(tuple(row.request for row in due[:limit]), None if due else later)

    async def commit(self, visits: Sequence[Visit]) -> Progress:
        await self._step("commit: before")
        self._check()
        for visit in visits:
            row = self._run.rows.get(visit.request.fingerprint)
            if row is not None and row.state is PageState.PENDING:
                self._record(row, visit)
        await self._step("commit: after")
        return self._run.progress()

    def _record(self, row: Row, visit: Visit) -> None:
        mark = row.request.fingerprint
        row.visit, row.reason, row.state = visit, visit.reason, visit.state
        row.not_before = visit.retry_at
        if visit.state is not PageState.EXCLUDED:
            row.request = replace(row.request, attempts=row.request.attempts + 1)
        if visit.state is not PageState.PENDING:
            self._run.completions[mark] += 1
        self._run.fetched_bytes += visit.size_bytes
        if visit.items:
            self._run.items.setdefault(mark, visit.items)
        for link in visit.links:
            self._run.insert(link)
        for link, reason in visit.excluded:
            self._run.insert(link, PageState.EXCLUDED, reason)

    async def strike(self, fingerprint: bytes, reason: str) -> Progress:
        await self._step("strike")
        self._check()
        row = self._run.rows.get(fingerprint)
        if row is not None and row.state is PageState.PENDING:
            row.request = replace(row.request, strikes=row.request.strikes + 1)
            if row.request.strikes >= STRIKES:
                row.state, row.reason = PageState.FAILED, reason
        return self._run.progress()

    async def finish(self, reason: str, *, limit: bool = False) -> Progress:
        await self._step("finish: before")
        self._check()
        progress = self._run.progress()
        if not self._run.finished and (limit or (progress.seeded and not progress.pending)):
            self._run.finished = reason
        await self._step("finish: after")
        return self._run.progress()

    async def progress(self) -> Progress:
        self._check()
        return self._run.progress()

    async def note(self, kind: str, detail: str) -> None:
        self._check()
        self._run.events.append((kind, detail))


def _rank(row: Row) -> tuple[int, int]:
    return -row.request.priority, row.order
