"""One run in memory, as `crawler.store.contract` wants a frontier: for tests, and as its model."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from operator import attrgetter

from crawler.clock import Clock
from crawler.errors import Fenced
from crawler.model import Before, Event, Item, PageState, Progress, Request, Visit
from crawler.store.contract import Window

STRIKES = 3
LONGEST_WAIT_S = 24 * 3600.0

Step = Callable[[str], Awaitable[None]]


async def no_step(_: str) -> None:
    """Nothing happens between the steps."""


@dataclass(slots=True)
class Row:
    """What is kept of one URL. ``visited_at`` 0.0: nobody tried it yet."""

    request: Request
    order: int
    state: PageState = PageState.PENDING
    reason: str = ""
    not_before: float = 0.0
    visit: Visit | None = None
    visited_at: float = 0.0

    def is_due(self, now: float) -> bool:
        """A wait that began in the future was set by a clock that has stepped back since."""
        return self.not_before <= now or self.visited_at > now

    @property
    def refused(self) -> bool:
        """Excluded when it was found."""
        return self.state is PageState.EXCLUDED and self.visit is None

    @property
    def stays(self) -> bool:
        """Whether a later run takes it over although nobody leads to it."""
        if self.request.bound or self.state is PageState.EXCLUDED:
            return False
        gone = self.visit is not None and self.visit.status in (404, 410)
        return self.state is PageState.DONE or (self.request.parent != b"" and not gone)


class MemoryRun:
    """The rows of one run: what survives its claims.

    ``completions`` counts how often each URL was completed, for tests that look for doubles.
    """

    def __init__(self, clock: Clock, base: MemoryRun | None = None) -> None:
        self.clock = clock
        self.base = base
        self.unswept = base is not None
        self.recipe: str | None = ""  # what pages are read by; None: the run was cut short
        self.begun_at = 0.0  # when it was seeded
        self.rows: dict[bytes, Row] = {}
        self.items: dict[bytes, tuple[Item, ...]] = {}
        self.events: list[Event] = []
        self.completions: dict[bytes, int] = defaultdict(int)
        self.fetched_bytes = 0
        self.seeded = False
        self.finished = ""
        self.revision = 0
        self.claim_number = 0
        self._orders = itertools.count(1)

    def claim(self, revision: int = 1, step: Step = no_step, node: str = "") -> MemoryFrontier:
        """A new claim; every older one is fenced. `Fenced` below the highest revision."""
        if revision < self.revision:
            raise Fenced(f"revision {self.revision} stands")
        self.revision = revision
        self.claim_number += 1
        return MemoryFrontier(self, self.claim_number, step, node)

    def raise_fence(self, revision: int) -> None:
        """No claim at or below ``revision`` commits any more."""
        if revision >= self.revision:
            self.revision = revision + 1
            self.claim_number += 1

    def insert(self, request: Request, parent: bytes | None = None) -> None:
        """A pending row, unless the URL is known; one refused as a link is taken up again."""
        request = self._fresh(request, parent)
        row = self.rows.setdefault(request.fingerprint, Row(request, next(self._orders)))
        if row.state is PageState.EXCLUDED and row.visit is None:
            row.request, row.state, row.reason = request, PageState.PENDING, ""

    @staticmethod
    def _fresh(request: Request, parent: bytes | None) -> Request:
        known = request.parent if request.parent is not None else parent
        return replace(request, parent=known, attempts=0, strikes=0, before=None)

    def exclude(self, request: Request, parent: bytes, reason: str) -> None:
        """An excluded row for a link, unless it is known."""
        request = self._fresh(request, parent)
        row = Row(request, next(self._orders), PageState.EXCLUDED, reason)
        self.rows.setdefault(request.fingerprint, row)

    def record(self, row: Row, visit: Visit) -> None:
        """What a visit to a pending row came to, but for its links."""
        mark, now = row.request.fingerprint, self.clock.wall()
        before = row.request.attempts
        made = visit.state is not PageState.EXCLUDED and not visit.due_at
        attempts = max(before, visit.request.attempts + made)
        row.request = replace(row.request, attempts=attempts)
        row.visit, row.reason, row.state = visit, visit.reason, visit.state
        row.visited_at, row.not_before = now, 0.0
        if visit.state is PageState.PENDING:
            if visit.retry_after_s > 0.0:
                row.not_before = now + min(visit.retry_after_s, LONGEST_WAIT_S)
            self.fetched_bytes += visit.size_bytes if attempts > before else 0
            return
        self.completions[mark] += 1
        self.fetched_bytes += visit.size_bytes
        items = self.base.items.get(mark, ()) if visit.unchanged and self.base else visit.items
        if items:
            self.items.setdefault(mark, items)

    def recalled(self, request: Request) -> Request:
        """The request with what the base says of it."""
        old = self.base.rows.get(request.fingerprint) if self.base else None
        if old is None or old.visit is None or old.visit.imprint is None:
            return request
        same = (old.request.rule, old.request.carry) == (request.rule, request.carry)
        if old.state is not PageState.DONE or not same:
            return request
        visit, imprint = old.visit, old.visit.imprint
        due_at = visit.due_at or (imprint.interval_s and old.visited_at + imprint.interval_s)
        waits = due_at - imprint.interval_s <= self.begun_at < due_at
        before = Before(
            imprint,
            old.request.depth,
            visit.rule,
            visit.content_type,
            len(self.inherited(request.fingerprint)),
            due_at if waits else 0.0,
        )
        return replace(request, before=before)

    def inherited(self, mark: bytes, first: int = 0, most: int | None = None) -> list[Row]:
        """What was first found on a page of the base: from the ``first`` on so many."""
        rows = self.base.rows.values() if self.base else ()
        found = [row for row in rows if row.request.parent == mark and not row.request.bound]
        return found[first:] if most is None else found[first : first + most]

    def sweep(self) -> None:
        """Take over what nobody has found."""
        for row in self.base.rows.values() if self.base and self.unswept else ():
            if row.stays and row.request.fingerprint not in self.rows:
                self.insert(replace(row.request, parent=b"", bound=False))
        self.unswept = False

    def retry(self, orders: Collection[int]) -> int:
        """Failed rows are pending again, as they were found; how many."""
        failed = [row for row in self.rows.values() if row.state is PageState.FAILED]
        again = [row for row in failed if row.order in orders]
        for row in again:
            row.request = replace(row.request, attempts=0, strikes=0)
            row.state, row.reason, row.not_before = PageState.PENDING, "", 0.0
            row.visit, row.visited_at = None, 0.0
        if again:
            self.finished = ""
        return len(again)

    def tell(self, kind: str, detail: str, node: str) -> None:
        """Add an event."""
        self.events.append(Event(len(self.events) + 1, self.clock.wall(), kind, detail, node))

    def progress(self) -> Progress:
        """The counters."""
        states = [row.state for row in self.rows.values()]
        done = [row for row in self.rows.values() if row.state is PageState.DONE]
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
            unchanged=sum(row.visit is not None and row.visit.unchanged for row in done),
        )

    def urls(self, state: PageState) -> set[str]:
        """URLs in that state."""
        return {row.request.url for row in self.rows.values() if row.state is state}


class MemoryFrontier:
    """The run under one claim. ``step`` is awaited before and after each change."""

    def __init__(self, run: MemoryRun, number: int, step: Step, node: str) -> None:
        self._run = run
        self._number = number
        self._step = step
        self._node = node
        self._last_host = ""

    def _check(self) -> None:
        if self._number != self._run.claim_number:
            raise Fenced("a newer claim stands")

    async def seed(self, requests: Sequence[Request]) -> Progress:
        await self._step("seed: before")
        self._check()
        if not self._run.seeded:
            for request in requests:
                self._run.insert(request)
            self._run.seeded, self._run.begun_at = True, self._run.clock.wall()
        await self._step("seed: after")
        return self._run.progress()

    async def window(self, limit: int, per_host: int, skip: AbstractSet[bytes]) -> Window:
        await self._step("window")
        self._check()
        now, pending = self._run.clock.wall(), PageState.PENDING
        hosts: dict[str, list[Row]] = defaultdict(list)
        waits: list[float] = []
        for fingerprint, row in self._run.rows.items():
            if row.state is not pending:
                continue
            if not row.is_due(now):
                waits.append(row.not_before - now)
            elif fingerprint not in skip:
                hosts[row.request.host].append(row)
        chosen = sorted(hosts, key=lambda host: (host <= self._last_host, host))[:limit]
        self._last_host = chosen[-1] if chosen else self._last_host
        firsts = (sorted(hosts[host], key=_priority, reverse=True)[:per_host] for host in chosen)
        rounds = itertools.zip_longest(*firsts)  # sorting keeps rows of one priority in order
        turns = (row for each in rounds for row in sorted(filter(None, each), key=_rank))
        due = itertools.islice(turns, limit)
        requests = tuple(self._run.recalled(row.request) for row in due)
        return Window(requests, min(waits, default=None))

    async def commit(self, visits: Sequence[Visit]) -> Progress:
        await self._step("commit: before")
        self._check()
        run = self._run
        effective = [visit for visit in visits if self._record(visit)]
        for visit in effective:
            for link in visit.links:
                run.insert(link, visit.request.fingerprint)
        inherited = [
            row
            for visit in effective
            if visit.unchanged
            for row in run.inherited(visit.request.fingerprint, *visit.share)
        ]
        for row in inherited:
            if not row.refused:
                run.insert(row.request)
        for visit in effective:
            for link, reason in visit.excluded:
                run.exclude(link, visit.request.fingerprint, reason)
        for row in inherited:
            if row.refused:
                run.exclude(row.request, row.request.parent or b"", row.reason)
        await self._step("commit: after")
        return run.progress()

    def _record(self, visit: Visit) -> bool:
        row = self._run.rows.get(visit.request.fingerprint)
        if row is None or row.state is not PageState.PENDING:
            return False
        self._run.record(row, visit)
        return True

    async def strike(self, fingerprint: bytes, reason: str) -> Progress:
        await self._step("strike")
        self._check()
        row = self._run.rows.get(fingerprint)
        if row is not None and row.state is PageState.PENDING:
            row.request = replace(row.request, strikes=row.request.strikes + 1)
            row.reason, row.not_before = reason, 0.0
            if row.request.strikes >= STRIKES and not row.request.bound:
                row.state = PageState.FAILED
        return self._run.progress()

    async def sweep(self) -> bool:
        await self._step("sweep: before")
        self._check()
        self._run.sweep()
        await self._step("sweep: after")
        return False

    async def finish(self, reason: str, *, limit: bool = False) -> Progress:
        await self._step("finish: before")
        self._check()
        progress = self._run.progress()
        over = progress.seeded and not progress.pending and not self._run.unswept
        if not self._run.finished and (limit or over):
            self._run.finished = reason
            self._run.recipe = self._run.recipe if progress.done else None
            self._run.tell("finished", reason, self._node)
        await self._step("finish: after")
        return self._run.progress()

    async def targets(self, fingerprints: Sequence[bytes]) -> Sequence[str]:
        self._check()
        rows = [self._run.rows[each] for each in fingerprints if each in self._run.rows]
        return [
            row.visit.final_url
            for row in rows
            if row.state is PageState.DONE
            and row.visit is not None
            and row.visit.final_url not in ("", row.request.url)
        ]

    async def progress(self) -> Progress:
        self._check()
        return self._run.progress()

    async def note(self, kind: str, detail: str) -> None:
        self._check()
        self._run.tell(kind, detail, self._node)


_priority = attrgetter("request.priority")


def _rank(row: Row) -> tuple[int, int]:
    return -row.request.priority, row.order
