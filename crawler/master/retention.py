"""Lets go of what definitions do not want kept: old runs, their pages, old events."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from crawler.coordination.catalog import Entry
from crawler.definition.keeping import PAUSE_S, let_go
from crawler.master.fence import Fence
from crawler.master.office import Office
from crawler.master.survey import over, wish_of
from crawler.model import Desired, State

IDLE_S = 5.0
LOOKS = 50  # at resources, before a pause: there may be ten thousand
RELOOK_S = 600.0  # between two looks at everything: sinks catch up, and events come, by themselves

_Mark = tuple[int, int, State | None]


class Retention:
    """The duty of one term. A round looks at the resources whose run or definition is another, or
    whose run is over, since the last look; the first one at all."""

    def __init__(self, office: Office, fence: Fence) -> None:
        self._office = office
        self._fence = fence
        self._seen = 0
        self._whole_at = 0.0
        self._marks: dict[str, _Mark] = {}

    async def round(self) -> None:
        """Delete what is due, then wait until there may be more. Raises `StoreUnavailable`; what
        was not done then is done in the next round."""
        catalog, clock = self._office.catalog, self._office.clock
        version, now = catalog.version, clock.elapsed()
        names, seen = catalog.changed_since(self._seen)
        if whole := now >= self._whole_at:
            names = list(catalog.entries)
            self._marks = {}
        looks = 0
        for name in names:
            entry = catalog.entries.get(name)
            if entry is None or not (whole or self._is_due(entry)):
                continue
            await self._trim(entry)
            looks += 1
            if looks % LOOKS == 0:
                await clock.sleep(PAUSE_S)
        self._seen = seen
        if whole:
            self._whole_at = now + RELOOK_S
        await clock.sleep(PAUSE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                await catalog.changed(version)

    def _is_due(self, entry: Entry) -> bool:
        """Before the end of a first run there is nothing old."""
        mark = _mark(entry)
        known = self._marks.get(entry.name)
        return mark != known and mark[1] > 1

    async def _trim(self, entry: Entry) -> None:
        resource, wish = entry.resource, wish_of(entry)
        if resource is None or (wish is not None and wish.state is Desired.DELETED):
            return
        await let_go(self._fence, resource.id, entry.definition, self._office.clock)
        self._marks[entry.name] = _mark(entry)


def _mark(entry: Entry) -> _Mark:
    wish = wish_of(entry)
    return entry.definition_revision, wish.run if wish is not None else 1, over(entry)
