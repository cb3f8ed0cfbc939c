"""The database's half of ownership in memory, with a switch to make it unreachable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from crawler.errors import Conflict, Fenced, StoreUnavailable
from crawler.master.fence import Memo
from crawler.model import Event, Failures, Keep, Progress, Retried, Stamp


class MemoryFence:
    """A `Fence`. While ``down``, every call raises `StoreUnavailable` and does nothing."""

    def __init__(self, store_id: str = "store-1") -> None:
        self.id = store_id
        self.down = False
        self.epochs: dict[str, int] = {}
        self.highest: dict[str, int] = {}
        self.fences: dict[tuple[str, int], tuple[int, int]] = {}
        self.buried: set[str] = set()
        self.memos: dict[str, Memo] = {}
        self.runs: dict[str, dict[int, int]] = {}  # what was claimed: by resource ID, run to due
        self.counters: dict[str, tuple[int, Progress]] = {}  # by resource ID: its latest run
        self.old: dict[str, int] = {}  # rows that need not be kept, by resource ID
        self.trims: list[tuple[str, Keep]] = []
        self.events: list[tuple[str, Event]] = []
        self._news = asyncio.Event()

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until calls have made it so."""
        while not true():
            await self._news.wait()

    def _reach(self) -> None:
        if self.down:
            raise StoreUnavailable("the database is down")
        asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def open_epoch(self, cluster: str, revision: int) -> int:
        self._reach()
        epoch = self.epochs.setdefault(cluster, len(self.epochs) + 1)
        if epoch < len(self.epochs) or revision < self.highest.get(cluster, 0):
            raise Conflict("etcd went back in time")
        self.highest[cluster] = revision
        return epoch

    async def raise_fence(self, stamp: Stamp) -> None:
        self._reach()
        token = (self.epochs[stamp.cluster], stamp.revision)
        key = stamp.resource_id, stamp.part
        self.fences[key] = max(token, self.fences.get(key, (0, 0)))

    async def bury(self, resource_id: str) -> None:
        self._reach()
        self.buried.add(resource_id)
        self.memos.pop(resource_id, None)

    async def mirror(self, entries: Sequence[Memo]) -> None:
        self._reach()
        self.memos |= {memo.id: memo for memo in entries if memo.id not in self.buried}

    async def note(self, events: Sequence[tuple[str, Event]]) -> None:
        self._reach()
        self.events += [each for each in events if each[0] not in self.buried]

    async def purge(self, limit: int) -> int:
        self._reach()
        gone = [each for each in self.events if each[0] in self.buried][:limit]
        self.events = [each for each in self.events if each not in gone]
        return len(gone)

    async def trim(self, resource_id: str, keep: Keep, limit: int) -> bool:
        self._reach()
        self.trims.append((resource_id, keep))
        self.old[resource_id] = max(0, self.old.get(resource_id, 0) - limit)
        return self.old[resource_id] > 0

    async def due_runs(self, due: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
        self._reach()
        found = {}
        for resource_id, at in due.items():
            runs = self.runs.get(resource_id, {})
            holder = next((run for run, due_at in runs.items() if due_at == at), 0)
            found[resource_id] = holder, max(runs, default=0)
        return found

    async def progress(self, resource_ids: Sequence[str]) -> Mapping[str, tuple[int, Progress]]:
        self._reach()
        return {each: self.counters[each] for each in resource_ids if each in self.counters}

    async def failed(
        self, resource_id: str, run: int, wanted: Failures, *, after: int = 0, limit: int = 1000
    ) -> Sequence[int]:
        """The failed pages are numbered from 1 on, whatever is wanted."""
        self._reach()
        latest, progress = self.counters.get(resource_id, (0, Progress()))
        return range(after + 1, progress.failed + 1)[:limit] if run == latest else ()

    async def retry(self, stamp: Stamp, run: int, pages: Sequence[int]) -> Retried:
        self._reach()
        token = (self.epochs[stamp.cluster], stamp.revision)
        if token < self.fences.get((stamp.resource_id, stamp.part), (0, 0)):
            raise Fenced("something newer stands")
        latest, before = self.counters.get(stamp.resource_id, (0, Progress()))
        if run != latest or stamp.resource_id in self.buried:
            return Retried(0, open=False)
        count = min(before.failed, len(pages))
        after = replace(before, failed=before.failed - count)
        if count:
            after = replace(after, finished="")
        self.counters[stamp.resource_id] = latest, after
        return Retried(count, open=not after.finished, reopened=before.finished != after.finished)

    async def mirrored(self) -> Sequence[Memo]:
        self._reach()
        return tuple(self.memos.values())

    def fenced(self, resource_id: str, revision: int, part: int = 0) -> bool:
        """Whether a claim with this revision, of the newest epoch, could still commit nothing."""
        return resource_id in self.buried or (
            (len(self.epochs), revision) <= self.fences.get((resource_id, part), (0, 0))
        )
