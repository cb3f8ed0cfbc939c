"""Requests that wait in memory, a lane per host, and which lane may start one next."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from crawler.engine.addresses import Addresses
from crawler.engine.throttle import (
    NEVER,
    AutoThrottle,
    HostPace,
    Limit,
    Turn,
    Wait,
    inherit,
    next_start,
    spend,
)
from crawler.model import Request

_NOTHING = Wait(NEVER, "")
_CROWDED = Wait(NEVER, "concurrent_requests_per_ip requests to its address are under way")


@dataclass(slots=True, eq=False)
class Lane:
    """One host: what waits, and how fast it may go. Changed only through `Lanes`."""

    host: str
    pace: HostPace
    queue: list[tuple[int, int, Request]] = field(default_factory=list)
    wait: Wait = _NOTHING
    idle_since: float = 0.0
    address: str = ""  # "": not known, or of no interest

    @property
    def busy(self) -> bool:
        return bool(self.queue) or self.pace.active > 0


class Lanes:
    """All lanes of a crawl. ``now`` is always `Clock.elapsed`.

    ``jitter`` (None: none) lengthens each gap by up to its half. ``per_address``:
    concurrent_requests_per_ip (0: no limit).
    """

    def __init__(
        self,
        limit_per_host: int,
        download_delay_s: float,
        *,
        limits: Sequence[Limit] = (),
        autothrottle: AutoThrottle | None = None,
        jitter: random.Random | None = None,
        per_address: int = 0,
    ) -> None:
        self._autothrottle = autothrottle
        self._jitter = jitter
        self._addresses = Addresses[Lane](per_address) if per_address else None
        self._fresh = HostPace(
            limit=limit_per_host,
            download_delay_s=download_delay_s,
            limits=tuple(limits),
            full_at=(-NEVER,) * len(limits),
            auto_delay_s=autothrottle.clamped(autothrottle.start_s) if autothrottle else 0.0,
        )
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

    def lane(self, host: str) -> Lane:
        """The lane of a host, a new one if there is none."""
        lane = self._lanes.get(host)
        if lane is None:
            lane = self._lanes[host] = Lane(host, self._fresh)
        return lane

    def add(self, requests: Iterable[Request], now: float) -> int:
        """Queue requests; how many new lanes that made."""
        before = len(self._lanes)
        touched = set()
        for request in requests:
            lane = self.lane(request.host)
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
        while (lane := self._next(now)) is not None:
            if not lane.queue or next_start(lane.pace, now).at > now:
                self.schedule(lane, now)
            elif self._addresses is not None and self._addresses.full(lane.address):
                lane.wait = _CROWDED
                self._addresses.park(lane)
            else:
                return lane
        return None

    def _next(self, now: float) -> Lane | None:
        """A lane that may have come due."""
        if self._addresses is not None and (lane := self._addresses.unpark()) is not None:
            return lane
        while self._due and self._due[0][0] <= now:
            at, _, lane = heapq.heappop(self._due)
            if at == lane.wait.at:  # otherwise it was scheduled anew since
                return lane
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
        lane.pace = pace._replace(
            active=pace.active + 1,
            last_start=now,
            served=pace.served + 1,
            reading=reading or pace.reading,
            full_at=spend(pace.limits, pace.full_at, now) if pace.limits else (),
            stretch=self._stretch(),
        )
        self._count(lane, 1)
        self.active += 1
        self.schedule(lane, now)

    def _stretch(self) -> float:
        return 1.0 if self._jitter is None else self._jitter.uniform(1.0, 1.5)

    def _count(self, lane: Lane, by: int) -> None:
        if self._addresses is not None:
            self._addresses.count(lane.address, by)

    def locate(self, lane: Lane, address: str) -> None:
        """The host has answered from there."""
        if self._addresses is not None and address and address != lane.address:
            self._count(lane, -lane.pace.active)
            lane.address = address
            self._count(lane, lane.pace.active)

    def adapt(self, lane: Lane, latency_s: float, now: float, *, good: bool) -> None:
        """The host took so long to answer."""
        if self._autothrottle is None:
            return
        delay_s = self._autothrottle.adapted(lane.pace.auto_delay_s, latency_s, good=good)
        lane.pace = lane.pace._replace(auto_delay_s=delay_s)
        self.schedule(lane, now)

    def knows_more(self, lane: Lane) -> bool:
        """Whether the lane has learned a delay that a new lane would not begin with."""
        return lane.pace.auto_delay_s > self._fresh.auto_delay_s

    def book(self, lane: Lane, now: float) -> float:
        """Take the next start for a request that one under way leads to, a redirect followed at
        once; seconds until then."""
        pace = lane.pace
        turn_at = pace.turn.not_before if pace.turn is not None else 0.0
        at = max(now, pace.earliest, turn_at)
        full_at = spend(pace.limits, pace.full_at, at)
        lane.pace = pace._replace(last_start=at, served=pace.served + 1, full_at=full_at)
        self.schedule(lane, now)
        return at - now

    def end(self, lane: Lane, now: float, *, reading: bool = False) -> None:
        """That request is over."""
        pace = lane.pace
        lane.pace = pace._replace(active=pace.active - 1, reading=pace.reading and not reading)
        lane.idle_since = now
        self.active -= 1
        self._count(lane, -1)
        self.schedule(lane, now)

    def excuse(self, lane: Lane, before: HostPace, now: float) -> None:
        """The request that was started at the pace of ``before`` never went to the host: no delay
        is due for it, unless another has started since."""
        pace = lane.pace
        if pace.turn != before.turn or pace.served != before.served + 1:
            return
        if pace.full_at != spend(pace.limits, before.full_at, pace.last_start):
            return
        lane.pace = pace._replace(
            last_start=before.last_start, full_at=before.full_at, served=before.served
        )
        self.schedule(lane, now)

    def slow(self, lane: Lane, *, crawl_delay_s: float, now: float) -> None:
        """The host asks for this delay."""
        if lane.pace.crawl_delay_s != crawl_delay_s:
            lane.pace = lane.pace._replace(crawl_delay_s=crawl_delay_s)
            self.schedule(lane, now)

    def pause(self, lane: Lane, until: float, reason: str, now: float) -> None:
        """The host asks to be left alone."""
        if until > lane.pace.paused_until:
            lane.pace = lane.pace._replace(paused_until=until, paused=reason)
            self.schedule(lane, now)

    def hold(self, lane: Lane, until: float, reason: str, now: float) -> None:
        """Nothing can be sent before, whatever the host would say to it."""
        lane.pace = lane.pace._replace(held_until=until, held=reason)
        self.schedule(lane, now)

    def grant(self, lane: Lane, turn: Turn | None, now: float) -> None:
        """A turn begins (served starts anew), is renewed (same ``since``) or ends (None)."""
        old = lane.pace.turn
        fresh = turn is None or old is None or old.since != turn.since
        lane.pace = lane.pace._replace(turn=turn, served=0 if fresh else lane.pace.served)
        self.schedule(lane, now)

    def inherit(self, lane: Lane, at: float, *, known: bool, now: float) -> None:
        """Others may have asked the host up to ``at``. ``known``: they said that the next request
        may start then, so one token is left in each bucket; otherwise their last request may have
        been at that very moment."""
        pace = lane.pace
        lane.pace = pace._replace(
            last_start=pace.last_start if known else max(pace.last_start, at),
            full_at=inherit(pace.limits, pace.full_at, at, int(known)),
        )
        self.schedule(lane, now)

    def drop(self, lane: Lane) -> None:
        """Forget a lane that is not busy and holds no turn."""
        if self._lanes.get(lane.host) is lane:
            del self._lanes[lane.host]

    def reason(self, now: float) -> str:
        """Why the next request waits, for people."""
        waits = [lane.wait for lane in self._lanes.values() if lane.queue]
        return min(waits, key=lambda wait: wait.at).sentence(now) if waits else ""

    def longest(self, count: int) -> list[Lane]:
        """The lanes in which most requests wait, the longest first."""
        waiting = (lane for lane in self._lanes.values() if lane.queue)
        return heapq.nlargest(count, waiting, key=lambda lane: len(lane.queue))
