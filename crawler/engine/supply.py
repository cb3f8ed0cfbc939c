"""Keeps requests at hand: what to fetch from the store, how much of it, and when to look again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from crawler.clock import Backoff, Clock
from crawler.engine.frontier import Frontier, Window
from crawler.engine.lanes import Lane, Lanes
from crawler.engine.settings import Manners
from crawler.engine.throttle import NEVER
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.model import PageState, Request, Visit

log = structlog.get_logger(__name__)

_AHEAD_S = 5.0  # so many seconds of work per host are kept at hand
_MOST_PER_HOST = 100
_MOST_WAITING = 4096
_POLL_S = 1.0  # between looks at a frontier that is empty here, but not everywhere
_PAUSE_S = 0.05  # between looks that brought nothing
_SEARCH_S = 5.0  # between looks for hosts that we have none of, while requests could be started


class Supply:
    """Moves pending requests from the store into the lanes. Knows what it has taken."""

    def __init__(
        self,
        manners: Manners,
        frontier: Frontier,
        lanes: Lanes,
        clock: Clock,
        meet: Callable[[Request], None],
    ) -> None:
        self._manners = manners
        self._frontier = frontier
        self._lanes = lanes
        self._clock = clock
        self._meet = meet
        self._held: set[bytes] = set()  # in lanes, under way, or waiting for their commit
        self._fresh = True  # the store may have something that was not seen yet
        self._new_hosts = True  # the last look brought hosts that were not here
        self._looked_at = -NEVER
        self._next_at = NEVER  # when something that waits in the store comes due
        self._look_at = 0.0  # not to look before
        self._per_host = _per_host(manners)
        self._divided = manners.partitions > 1
        self._target = 2 * manners.concurrent_requests + 32

    @property
    def next_at(self) -> float:
        """When something pending in the store comes due; `NEVER` if nothing is known to."""
        return self._next_at

    def next_look(self, now: float) -> float:
        """When to ask `hungry` again, if nothing else happens."""
        at = max(self._next_at, self._look_at) if self._next_at != NEVER else self._look_at
        return at if at > now else NEVER

    def committed(self, visits: Sequence[Visit]) -> None:
        """The store has these visits now."""
        for visit in visits:
            self._held.discard(visit.request.fingerprint)
            self._fresh = self._fresh or bool(visit.links) or visit.unchanged
            if visit.state is PageState.PENDING:
                self._wait(visit.retry_after_s)

    def hungry(self, now: float, *, drained: bool) -> bool:
        """Whether to look into the store now. ``drained``: there is nothing else to do."""
        if now < self._look_at:
            return False
        if now >= self._next_at:
            self._fresh, self._next_at = True, NEVER
        if self._divided and now - self._looked_at >= _SEARCH_S:
            self._fresh = True  # other parts may have found something for this one
        if drained or not self._fresh:
            return drained
        return self._useful() < self._target or (
            self._lanes.waiting < _MOST_WAITING and self._searching(now)
        )

    def _useful(self) -> int:
        """Requests here that may be started within the next seconds."""
        return sum(min(len(lane.queue), self._share(lane)) for lane in self._lanes if lane.queue)

    def _share(self, lane: Lane) -> int:
        gap_s = lane.pace.mean_gap_s
        return self._per_host if gap_s * self._per_host <= _AHEAD_S else 1 + int(_AHEAD_S / gap_s)

    def _searching(self, now: float) -> bool:
        """Whether other hosts would help: the ones here may all be slow."""
        if self._lanes.active >= self._manners.concurrent_requests:
            return False
        few = len(self._lanes) < 10 * self._manners.concurrent_requests
        return (self._new_hosts and few) or now - self._looked_at >= _SEARCH_S

    async def refill(self) -> None:
        """Look into the store, and queue what there is room for.

        Commits may land while the store looks: what they bring may have come too late for it, so
        it is still fresh afterwards, and what they end may still look pending to it (`_window`).
        """
        self._fresh, self._next_at = False, NEVER
        limit = max(self._target, 2 * self._per_host)
        window = await self._window(limit)
        now = self._looked_at = self._clock.elapsed()
        taken = [each for each in window.requests if self._admits(each)]
        for request in taken:
            self._held.add(request.fingerprint)
            self._meet(request)
        counts = Counter(request.host for request in window.requests)
        full = len(window.requests) >= limit or max(counts.values(), default=0) >= self._per_host
        self._fresh = self._fresh or full
        self._new_hosts = self._lanes.add(taken, now) > 0
        if window.next_in_s is not None:
            self._wait(window.next_in_s)
        if full and not taken:
            self._look_at = now + _PAUSE_S

    def _admits(self, request: Request) -> bool:
        """Whether there is room for it: a slow host must not fill the memory."""
        if request.fingerprint in self._held:
            return False
        lane = self._lanes.get(request.host)
        return lane is None or len(lane.queue) < 4 * self._per_host

    async def _window(self, limit: int) -> Window:
        delays = Backoff().delays()
        while True:
            try:
                # A copy: what was held when the store began to look must not come back, although
                # its commit may have landed by the time the answer is here.
                held = frozenset(self._held)
                return await self._frontier.window(limit, self._per_host, held)
            except (StoreUnavailable, OutcomeUnknown) as error:
                log.warning("frontier not readable; trying again", error=str(error))
                await self._clock.sleep(next(delays))

    def _wait(self, seconds: float) -> None:
        """The store has just said that something comes due then."""
        self._next_at = min(self._next_at, self._clock.elapsed() + seconds)

    def exhausted(self, now: float) -> bool:
        """Whether, with nothing at hand, the store has nothing for us either. If so, or if
        something comes due later, the next look is put off."""
        if self._fresh or now < self._look_at:
            return False
        if self._next_at != NEVER:
            self._look_at = min(self._next_at, now + 5 * _POLL_S)
            return False
        self._look_at = now + _POLL_S
        return True


def _per_host(manners: Manners) -> int:
    """How many requests of one host are worth having at hand."""
    slots = manners.concurrent_requests_per_domain
    slowest_s = max((each.per / each.events for each in manners.limits), default=0.0)
    gap_s = max(manners.download_delay, slowest_s, _AHEAD_S / _MOST_PER_HOST)
    return min(_MOST_PER_HOST, max(2 * slots, math.ceil(_AHEAD_S / gap_s)))
