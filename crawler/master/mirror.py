"""What the database remembers of resources, kept equal to what etcd holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from crawler.clock import Clock
from crawler.coordination.catalog import Entry
from crawler.master.fence import Fence, Memo
from crawler.master.refill import as_memo, memo_of

BATCH = 500
# A leader that was paused in a write of this and woke after its term is not fenced here; what it
# spoiled is seen, and written again, when the whole is read anew.
RELOAD_S = 60.0


class Mirror:
    """Every write to it goes through here, one at a time, so that what is known is what is there:
    otherwise a pause and a resume between two updates would leave the pause in the database."""

    def __init__(self, fence: Fence, clock: Clock) -> None:
        self._fence = fence
        self._clock = clock
        self._loaded_at = 0.0
        self._lock = asyncio.Lock()
        self._known: dict[str, Memo] = {}

    def outdated(self) -> bool:
        """Whether it is time to look at everything anew."""
        return self._clock.elapsed() > self._loaded_at + RELOAD_S

    async def remember(self, entry: Entry) -> None:
        """Write one resource as it is in ``entry``, at once."""
        memo = memo_of(entry)
        if memo is not None:
            async with self._lock:
                await self._write([memo], self._known or await self._load())

    async def update(self, entries: Iterable[Entry], *, anew: bool) -> None:
        """Write whatever of these differs from what is there; ``anew``: they are all that there
        are, and are compared with what is read now."""
        async with self._lock:
            known = await self._load() if anew or not self._known else self._known
            memos = (memo_of(entry) for entry in entries)
            due = [memo for memo in memos if memo is not None and known.get(memo.id) != memo]
            for start in range(0, len(due), BATCH):
                await self._write(due[start : start + BATCH], known)

    async def _load(self) -> dict[str, Memo]:
        self._known = {memo.id: as_memo(memo) for memo in await self._fence.mirrored()}
        self._loaded_at = self._clock.elapsed()
        return self._known

    async def _write(self, memos: list[Memo], known: dict[str, Memo]) -> None:
        for memo in memos:
            known.pop(memo.id, None)  # if the answer is lost, it is written again
        await self._fence.mirror(memos)
        known |= {memo.id: memo for memo in memos}
