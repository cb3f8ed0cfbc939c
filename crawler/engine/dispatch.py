"""The loop of a crawl: start each request as soon as politeness lets it, until nothing is left."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, NoReturn

import structlog

from crawler.clock import Clock
from crawler.engine.commits import Commits
from crawler.engine.fetch import Rules
from crawler.engine.frontier import Frontier, Turns
from crawler.engine.lanes import Lane, Lanes
from crawler.engine.limits import allowance, reached
from crawler.engine.live import MOST_HOSTS, Latency, Live, Rate
from crawler.engine.pages import Pages
from crawler.engine.settings import EngineSettings, Manners
from crawler.engine.supply import Supply
from crawler.engine.throttle import NEVER, AutoThrottle, HostPace, Limit
from crawler.engine.turns import TurnKeeper
from crawler.engine.urls import host_of
from crawler.errors import OutcomeUnknown, StoreUnavailable
from crawler.model import HostWait, PageState, Progress, Request, Visit

log = structlog.get_logger(__name__)

_MOST_UNCOMMITTED = 1000  # visits; beyond that the store is slower than the web
_MOST_LINKS = 200_000  # uncommitted, likewise; some hundred MB
_LONGEST_NAP_S = 1.0


def open_lanes(manners: Manners, chance: random.Random) -> Lanes:
    """Lanes that are as fast as the definition wants them."""
    autothrottle = AutoThrottle(
        manners.autothrottle_start_delay,
        manners.download_delay,
        manners.autothrottle_max_delay,
        manners.autothrottle_target_concurrency,
    )
    return Lanes(
        manners.concurrent_requests_per_domain,
        manners.download_delay,
        limits=[Limit(each.events, each.per, each.burst) for each in manners.limits],
        autothrottle=autothrottle if manners.autothrottle_enabled else None,
        jitter=chance if manners.randomize_download_delay else None,
        per_address=manners.concurrent_requests_per_ip,
    )


class Dispatcher:
    """Connects supply, lanes, pages and commits. ``run`` once."""

    def __init__(
        self,
        manners: Manners,
        settings: EngineSettings,
        frontier: Frontier,
        turns: Turns,
        pages: Pages,
        clock: Clock,
        progress: Progress,
        chance: random.Random,
    ) -> None:
        self._manners = manners
        self._settings = settings
        self._frontier = frontier
        self._pages = pages
        self._clock = clock
        self._progress = progress
        self._started = clock.elapsed()
        self._rate = Rate(self._started)
        self._latency = Latency()
        self._wake = asyncio.Event()
        self._jobs: set[asyncio.Task[None]] = set()
        self._last_failure = ""  # its reason, for a run in which nothing succeeds
        self._lanes = open_lanes(manners, chance)
        self._supply = Supply(manners, frontier, self._lanes, clock, pages.meet)
        self.commits = Commits(frontier, settings, clock, self._committed)
        self.keeper = TurnKeeper(turns, self._lanes, clock, self._wake.set)

    async def run(self, group: asyncio.TaskGroup) -> str:
        """Crawl, with requests as tasks of ``group``. Returns why the run has ended.

        The services `commits.run` and `keeper.run` must be running meanwhile.
        """
        while not self._progress.finished:
            self._wake.clear()
            now = self._clock.elapsed()
            if limit := reached(self._manners, self._progress, now - self._started):
                await self._stop_jobs()
                await self._finish(limit, limit=True)
                continue
            if not self.commits.failing and self._supply.hungry(now, drained=self._drained()):
                await self._supply.refill()
                self.keeper.poke()
            self._start(group)
            if self._drained() and self._supply.exhausted(now):
                await self._finish(self._verdict(), limit=False)
            if self._idle():
                self.commits.hurry()  # only what it brings can go on
            await self._nap()
        await self._stop_jobs()
        return self._progress.finished

    def live(self) -> Live:
        """What is going on."""
        now = self._clock.elapsed()
        rate = self._rate.per_s(now)
        hosts = tuple(
            HostWait(lane.host, len(lane.queue), lane.wait.sentence(now))
            for lane in self._lanes.longest(MOST_HOSTS)
        )
        latency_s = self._latency.mean_s(now)
        return Live(self._lanes.active, rate, self._waiting(), hosts, latency_s, self._progress)

    async def tell(self, report: Callable[[Live], None]) -> NoReturn:
        """Report again and again, until cancelled."""
        while True:
            report(self.live())
            await self._clock.sleep(self._settings.report_s)

    def _committed(self, visits: Sequence[Visit], progress: Progress) -> None:
        self._progress = progress
        self._supply.committed(visits)
        now = self._clock.elapsed()
        for visit in visits:
            if visit.state is PageState.FAILED:
                self._last_failure = visit.reason
            if visit.elapsed_s > 0.0 and visit.status:
                self._latency.add(now, visit.elapsed_s)
        self._rate.add(sum(visit.state is not PageState.PENDING for visit in visits))
        self._wake.set()

    def _waiting(self) -> str:
        """Why the next request waits, for people."""
        now = self._clock.elapsed()
        if self.commits.failing:
            return f"the store takes no commits: {self.commits.failing}"
        if self._lanes.waiting:
            full = self._lanes.active >= self._manners.concurrent_requests
            return "concurrent_requests are under way" if full else self._lanes.reason(now)
        if self._supply.next_at != NEVER and not self._lanes.active:
            left_s = max(0.0, self._supply.next_at - now)
            return f"next in {left_s:.1f} s, because a retry is due then"
        return ""

    def _idle(self) -> bool:
        return not self._lanes.active and not self._lanes.waiting

    def _drained(self) -> bool:
        """Nothing at hand, nothing under way, nothing uncommitted."""
        return self._idle() and not len(self.commits)

    def _open(self) -> bool:
        """Whether one more request may be started, as far as the crawl as a whole goes."""
        uncommitted = len(self.commits)
        return (
            not self.commits.failing
            and self._lanes.active < self._manners.concurrent_requests
            and uncommitted < _MOST_UNCOMMITTED
            and self.commits.links < _MOST_LINKS
            and allowance(
                self._manners,
                self._progress,
                self._lanes.active + uncommitted,
                self.commits.items,
            )
        )

    def _start(self, group: asyncio.TaskGroup) -> None:
        """Start all that may start now."""
        now = self._clock.elapsed()
        while self._open() and (lane := self._lanes.ready(now)) is not None:
            self._launch(group, lane, now)
            now = self._clock.elapsed()  # its next may start, too, where no delay is due

    def _launch(self, group: asyncio.TaskGroup, lane: Lane, now: float) -> None:
        """Send the lane's next request, or ask for the robots.txt that it depends on."""
        until, reason = self._pages.blocked
        if until > now:
            self._lanes.hold(lane, until, reason, now)
            self.keeper.poke()
            return
        while lane.queue and self._open():
            request = self._lanes.peek(lane)
            if (unasked := self._pages.unasked(request)) is not None:
                self._lanes.take(lane)
                self.commits.add(unasked)
                continue
            rules = self._pages.rules(request.url)
            if rules is None:
                self._send(group, lane, self._learn(lane, request), reading=True)
                return
            if rules.failure is not None and not rules.final:
                self._lanes.pause(lane, rules.until, rules.failure.reason, now)
                break
            self._obey(lane, rules, now)
            self._lanes.take(lane)
            refused = self._pages.refuse(request, rules)
            if refused is None:
                self._send(group, lane, self._visit(lane, request, lane.pace))
                return
            self.commits.add(refused)
        self._lanes.schedule(lane, now)

    def _obey(self, lane: Lane, rules: Rules, now: float) -> None:
        """A host's slowest robots.txt counts: http and https, say, have one each."""
        delay_s = max(rules.delay_s, lane.pace.crawl_delay_s)
        self._lanes.slow(lane, crawl_delay_s=delay_s, now=now)

    def _send(
        self,
        group: asyncio.TaskGroup,
        lane: Lane,
        work: Coroutine[Any, Any, None],
        *,
        reading: bool = False,
    ) -> None:
        self._lanes.start(lane, self._clock.elapsed(), reading=reading)
        job = group.create_task(work, name=f"robots.txt of {lane.host}" if reading else lane.host)
        self._jobs.add(job)
        job.add_done_callback(partial(self._sent, lane, reading))

    def _sent(self, lane: Lane, reading: bool, job: asyncio.Task[None]) -> None:
        """A request is over. A callback, for a job may be cancelled before it begins."""
        self._jobs.discard(job)
        self._lanes.end(lane, self._clock.elapsed(), reading=reading)
        if lane.pace.turn is None or lane.pace.turn.wanted:
            self.keeper.poke()
        self._wake.set()

    async def _learn(self, lane: Lane, request: Request) -> None:
        rules = await self._pages.load_rules(request, self._book_at)
        self._obey(lane, rules, self._clock.elapsed())
        self._lanes.locate(lane, rules.address)

    async def _visit(self, lane: Lane, request: Request, before: HostPace) -> None:
        outcome = await self._pages.visit(request, partial(self._book, lane))
        now = self._clock.elapsed()
        if outcome.kept:
            self._lanes.excuse(lane, before, now)
            self.commits.add(outcome.visit)
            return
        if outcome.pause_s:
            self._lanes.pause(lane, now + outcome.pause_s, outcome.pause_reason, now)
            self.keeper.poke()
        self._lanes.adapt(lane, outcome.latency_s, now, good=outcome.good)
        self._lanes.locate(lane, outcome.address)
        self.commits.add(outcome.visit)

    def _book(self, lane: Lane, delay_s: float) -> float:
        """The next start on this host for a redirect that is followed at once, at least ``delay_s``
        after the last: how long to wait for it."""
        now = self._clock.elapsed()
        delay_s = max(delay_s, lane.pace.crawl_delay_s)
        self._lanes.slow(lane, crawl_delay_s=delay_s, now=now)
        return self._lanes.book(lane, now)

    def _book_at(self, url: str) -> float:
        """The next start on the host of ``url``, which a robots.txt is redirected to: how long to
        wait for it. Whether another process crawls that host is not asked."""
        return self._lanes.book(self._lanes.lane(host_of(url)), self._clock.elapsed())

    async def _stop_jobs(self) -> None:
        """Give up what is under way, which stays pending, and wait for the commit of the rest."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        while len(self.commits):
            self.commits.hurry()
            await self._wake.wait()
            self._wake.clear()

    def _verdict(self) -> str:
        """How a run ends that has nothing left to do. One that fetched nothing is no success."""
        if self._progress.done or not self._progress.failed:
            return "finished"
        return f"every page failed{f': {self._last_failure}' if self._last_failure else ''}"

    async def _finish(self, reason: str, *, limit: bool) -> None:
        """End the run, if the store agrees."""
        try:
            self._progress = await self._frontier.finish(reason, limit=limit)
            if not self._progress.finished and not self._progress.pending:
                while await self._frontier.sweep():
                    pass
                self._progress = await self._frontier.finish(reason)
        except (StoreUnavailable, OutcomeUnknown) as error:
            log.warning("end not recorded; trying again", error=str(error))
            await self._clock.sleep(_LONGEST_NAP_S)

    async def _nap(self) -> None:
        """Until something happens, or comes due."""
        now = self._clock.elapsed()
        until = min(now + _LONGEST_NAP_S, self._supply.next_look(now))
        if self._open():
            until = min(until, self._lanes.next_due())
        if self._manners.max_seconds:
            until = min(until, self._started + self._manners.max_seconds)
        alarm = asyncio.get_running_loop().call_later(max(0.0, until - now), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()
