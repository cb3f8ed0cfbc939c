"""The fakes behind the door of a store, so that the suite can hold them to the contract too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crawler.clock import Clock
from crawler.errors import Conflict, Fenced
from crawler.model import (
    Event,
    Failures,
    ItemRecord,
    PageRecord,
    PageState,
    Progress,
    Retried,
    Stamp,
)
from crawler.store.contract import Job
from tests.fakes.frontier import MemoryFrontier, MemoryRun, Row
from tests.fakes.turns import HostBook, MemoryTurns


class MemoryStore:
    """As much of a `Store` as fakes are made for: one resource, one part, no epochs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._book = HostBook(clock)
        self._runs: dict[int, MemoryRun] = {}
        self._definition_revision = 0

    async def open_epoch(self, cluster: str, revision: int) -> int:
        return 1

    async def claim(self, stamp: Stamp, job: Job) -> MemoryFrontier:
        run = self._runs.get(job.run) or self._begin(job)
        self._definition_revision = job.definition_revision
        frontier = run.claim(stamp.revision, node=job.node)
        run.tell("claimed", "", job.node)
        return frontier

    def _begin(self, job: Job) -> MemoryRun:
        """The next run, which builds on the last one that ended by itself, if that is alike."""
        for old in self._runs.values():
            if not old.finished:
                old.finished, old.recipe = f"replaced by run {job.run}", None
        ended = [old for old in self._runs.values() if old.recipe is not None]
        alike = bool(ended and job.recipe and ended[-1].recipe == job.recipe)
        run = self._runs[job.run] = MemoryRun(self._clock, ended[-1] if alike else None)
        run.recipe, run.unswept = job.recipe, run.unswept and job.sweeps
        return run

    async def raise_fence(self, stamp: Stamp) -> None:
        for run in self._runs.values():
            run.raise_fence(stamp.revision)

    def budgets(self, holder: str) -> MemoryTurns:
        return self._book.budgets(holder)

    async def progress(self, resource_ids: Sequence[str]) -> Mapping[str, tuple[int, Progress]]:
        number = max(self._runs)
        return dict.fromkeys(resource_ids, (number, self._latest().progress()))

    async def pages(
        self, _: str, *, state: PageState | None = None, after: str = "", limit: int = 100
    ) -> tuple[Sequence[PageRecord], str]:
        rows = [row for row in self._latest().rows.values() if state in {None, row.state}]
        start = int(after or 0)
        records = [self._page(row) for row in rows[start : start + limit]]
        return records, str(start + limit) if start + limit < len(rows) else ""

    async def items(self, _: str) -> Sequence[ItemRecord]:
        run = self._latest()
        found = [(run.rows[mark], pair) for mark, of in run.items.items() for pair in enumerate(of)]
        return [
            ItemRecord(
                seq,
                row.request.url,
                item.rule,
                ordinal,
                self._definition_revision,
                item.fields,
                item.missing,
                row.visited_at,
            )
            for seq, (row, (ordinal, item)) in enumerate(found, start=1)
        ]

    async def events(self, resource: str, *, after: int = 0, limit: int = 100) -> Sequence[Event]:
        told = self._latest().events if resource != "unknown" else []
        return [event for event in told if event.seq > after][:limit]

    async def failed(
        self, _: str, run: int, wanted: Failures, *, after: int = 0, limit: int = 1000
    ) -> Sequence[int]:
        if run not in self._runs:
            return []
        kept = self._runs[run]
        found = [
            row.order
            for mark, row in kept.rows.items()
            if row.state is PageState.FAILED
            and row.order > after
            and mark not in kept.items
            and wanted.lowest <= (row.visit.status if row.visit else 0) <= wanted.highest
            and wanted.reason in row.reason
        ]
        return sorted(found)[:limit]

    async def retry(self, stamp: Stamp, run: int, pages: Sequence[int]) -> Retried:
        latest = self._latest()
        if stamp.revision < latest.revision:
            raise Fenced(f"revision {latest.revision} stands")
        if run < max(self._runs):
            raise Conflict(f"run {run} is not the latest any more")
        if run not in self._runs:
            return Retried(0, open=False)
        over = latest.finished
        count = latest.retry(pages)
        return Retried(count, open=not latest.finished, reopened=bool(over and count))

    async def close(self) -> None:
        """Nothing is open."""

    def _latest(self) -> MemoryRun:
        return self._runs[max(self._runs)]

    def _page(self, row: Row) -> PageRecord:
        request, visit = row.request, row.visit
        finder = self._latest().rows.get(request.parent or b"")
        return PageRecord(
            request.url,
            row.state,
            row.reason,
            visit.status if visit else 0,
            request.attempts,
            request.depth,
            request.priority,
            request.host,
            (visit.rule if visit else "") or request.rule or "",
            visit.content_type if visit else "",
            visit.size_bytes if visit else 0,
            visit.elapsed_s if visit else 0.0,
            finder.request.url if finder else "",
            row.visited_at,
        )
