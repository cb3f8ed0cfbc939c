"""What the leader did to resources, on its way into the database for people to read."""

from __future__ import annotations

from collections import deque

from prometheus_client import Counter

from crawler.clock import Clock
from crawler.master.fence import Fence
from crawler.model import Event
from crawler.telemetry.correlation import current_id

DECISIONS = Counter(
    "crawler_decisions", "What this master did to resources while it led, by kind.", ["kind"]
)
BATCH = 500
KEPT = 20_000  # while the database is away; beyond that the oldest are dropped


class Journal:
    """Events that are not written yet. They explain and decide nothing, so that a leader that
    dies may take the last of them along, and no change waits for the database because of them."""

    def __init__(self, fence: Fence, clock: Clock) -> None:
        self._fence = fence
        self._clock = clock
        self._events: deque[tuple[str, Event]] = deque(maxlen=KEPT)
        self._writing: list[tuple[str, Event]] = []  # until the database has it

    def tell(self, resource_id: str, kind: str, detail: str = "", node: str = "") -> None:
        """Remember an event of now, as of the request that is being dealt with."""
        DECISIONS.labels(kind=kind).inc()
        event = Event(0, self._clock.wall(), kind, detail, node, current_id())
        self._events.append((resource_id, event))

    async def flush(self) -> None:
        """Write what was told so far. An answer that is lost may double an event."""
        while self._writing or self._events:
            while self._events and len(self._writing) < BATCH:
                self._writing.append(self._events.popleft())
            await self._fence.note(self._writing)
            self._writing = []
