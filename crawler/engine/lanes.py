"""Requests that wait in memory, a lane per host, and which lane may start one next."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from crawler.engine.throttle import NEVER, HostPace, Turn, Wait, next_start
from crawler.model import Request

_NOTHING = Wait(NEVER, "")


@dataclass(slots=True, eq=False)
class Lane:
    """One host: what waits, and how fast it may go. Changed only through `Lanes`."""

    host: str
    pace: HostPace
    queue: list[tuple[int, int, Request]] = field(default_factory=list)
    wait: Wait = _NOTHING
    idle_since: float = 0.0

    @property
    def busy(self) -> bool:
        return bool(self.queue) or self.pace.active > 0


class Lanes:
    """All lanes of a crawl. ``now`` is always `Clock.elapsed`."""

    def __init__(self, limit_per_host: int, download_delay_s: float) -> None:
        self._fresh = HostPace(limit=limit_per_host, download_delay_s=download_delay_s)
        self._lanes: dict[str, Lane] = {}
        self._due: list[tuple[float, int, Lane]] = []
        self._order = itertools.count()
        self.waiting = 0  # requests in all queues
        self.active = 0  # requests under way

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def __len__(self) -> int:
        return len(self._lanes)

    def get(self, host: str) -> Lane | None:
        """The lane of a host, if there is one."""
        return self._lanes.get(host)

    def add(self, requests: Iterable[Request], now: float) -> int:
        """Queue requests; how many new lanes that made."""
        before = len(self._lanes)
        touched = set()
        for request in requests:
            lane = self._lanes.get(request.host)
            if lane is None:
                lane = self._lanes[request.host] = Lane(request.host, self._fresh)
            heapq.heappush(lane.queue, (-request.priority, next(self._order), request))
            self.waiting += 1
            touched.add(lane)
        for lane in touched:
            self.schedule(lane, now)
        return len(self._lanes) - before

    def schedule(self, lane: Lane, now: float) -> None:
        """Compute anew when the lane may start its next request."""
        if not lane.queue:
            lane.wait = _NOTHING
            return
        lane.wait = next_start(lane.pace, now)
        if lane.wait.at != NEVER:
            heapq.heappush(self._due, (lane.wait.at, next(self._order), lane))

    def ready(self, now: float) -> Lane | None:
        """A lane that may start a request now; it must be scheduled again afterwards."""
        while self._due and self._due[0][0] <= now:
            at, _, lane = heapq.heappop(self._due)
            if at != lane.wait.at or not lane.queue:
                continue  # the lane was scheduled anew since
            verdict = next_start(lane.pace, now)
            if verdict.at <= now:
                return lane
            self.schedule(lane, now)
        return None

    def next_due(self) -> float:
        """When `ready` may have something, if nothing else happens; `NEVER` if not."""
        while self._due and (self._due[0][0] != self._due[0][2].wait.at):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else NEVER

    def peek(self, lane: Lane) -> Request:
        """The request that the lane would start next."""
        return lane.queue[0][2]

    def take(self, lane: Lane) -> Request:
        """Remove that request from its queue."""
        self.waiting -= 1
        return heapq.heappop(lane.queue)[2]

    def start(self, lane: Lane, now: float, *, reading: bool = False) -> None:
        """A request to the host is sent; ``reading``: for its robots.txt."""
        pace = lane.pace
        lane.pace = replace(
            pace,
            active=pace.active + 1,
            last_start=now,
            served=pace.served + 1,
            reading=reading or pace.reading,
        )
        self.active += 1
        self.schedule(lane, now)

    def end(self, lane: Lane, now: float, *, reading: bool = False) -> None:
        """That request is over."""
        pace = lane.pace
        lane.pace = replace(pace, active=pace.active - 1, reading=pace.reading and not reading)
        lane.idle_since = now
        self.active -= 1
        self.schedule(lane, now)

    def slow(self, lane: Lane, *, crawl_delay_s: float, now: float) -> None:
        """The host asks for this delay."""
        if lane.pace.crawl_delay_s != crawl_delay_s:
            lane.pace = replace(lane.pace, crawl_delay_s=crawl_delay_s)
            self.schedule(lane, now)

    def pause(self, lane: Lane, until: float, now: float) -> None:
        """The host asks to be left alone."""
        if until > lane.pace.paused_until:
            lane.pace = replace(lane.pace, paused_until=until)
            self.schedule(lane, now)

    def grant(self, lane: Lane, turn: Turn | None, now: float) -> None:
        """A turn begins (served starts anew), is renewed (same ``since``) or ends (None)."""
        old = lane.pace.turn
        fresh = turn is None or old is None or old.since != turn.since
        lane.pace = replace(lane.pace, turn=turn, served=0 if fresh else lane.pace.served)
        self.schedule(lane, now)

    def drop(self, lane: Lane) -> None:
        """Forget a lane that is not busy and holds no turn."""
        if self._lanes.get(lane.host) is lane:
            del self._lanes[lane.host]

    def reason(self, now: float) -> str:
        """Why the next request waits, for people."""
        waits = [lane.wait for lane in self._lanes.values() if lane.queue]
        return min(waits, key=lambda wait: wait.at).sentence(now) if waits else ""
