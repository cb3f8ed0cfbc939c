"""The leader's timetable: begins runs when they are due, and costs little while none is."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from crawler.coordination.catalog import Entry
from crawler.coordination.etcd import put
from crawler.coordination.keys import wish_key
from crawler.coordination.records import encode_wish
from crawler.definition import Schedule, schedule_of
from crawler.failpoint import hit
from crawler.master.desk import Desk, restamp_parts
from crawler.master.fence import Fence
from crawler.master.schedule import (
    Call,
    Turn,
    begun,
    call_of,
    is_open,
    run_for,
    settled_until,
    told,
    upcoming,
)
from crawler.master.survey import wish_of
from crawler.tasks import TaskGroup

log = structlog.get_logger(__name__)

IDLE_S = 5.0  # the longest sleep: so late is it seen that the clock was put back
LEAST_REST_S = 0.05  # between two looks: a burst of changes is one
AT_ONCE = 16  # runs begun at a time
PLANNED_AT_ONCE = 50  # resources, before calls get their turn
STEP_S = 1  # from here on a clock was put back, and all is planned anew


@dataclass(frozen=True, slots=True)
class _Plan:
    """When a resource is looked at next, and after which time due times count then."""

    due: int
    after: int


@dataclass(frozen=True, slots=True)
class _Due:
    """A resource whose due time has come."""

    entry: Entry
    schedule: Schedule
    call: Call


class Timetable:
    """The due times of one term. ``horizon_s``: how long before it an earlier leader may have been
    silent, so that skipped due times are told from then on."""

    def __init__(self, desk: Desk, fence: Fence, horizon_s: float) -> None:
        self._desk = desk
        self._office = desk.office
        self._fence = fence
        self._schedules: dict[str, tuple[int, Schedule | None]] = {}  # by definition revision
        self._plans: dict[str, _Plan] = {}
        self._heap: list[tuple[int, str]] = []  # with plans that were replaced since
        self._settled: dict[str, int] = {}  # by name: what is known beyond what etcd says
        self._seen = 0
        clock = self._office.clock
        self._ahead_s = clock.wall() - clock.elapsed()
        self._horizon = int(clock.wall() - horizon_s)

    async def round(self) -> None:
        """Begin what is due now, then wait until there may be more. Raises `StoreUnavailable` and
        what etcd raises; what was not done then is done in the next round."""
        version = self._office.catalog.version
        await self._look()
        await self._serve(self._due())
        await self._rest(version)

    async def _look(self) -> None:
        """Plan what changed, and everything where the clock was put back."""
        catalog, clock = self._office.catalog, self._office.clock
        ahead_s = clock.wall() - clock.elapsed()
        if ahead_s < self._ahead_s - STEP_S:
            log.warning("the clock was put back", seconds=round(self._ahead_s - ahead_s))
            self._seen, self._horizon = 0, min(self._horizon, self._now())
            self._settled.clear()
        self._ahead_s = ahead_s
        names, self._seen = catalog.changed_since(self._seen)
        for number, name in enumerate(names, start=1):
            self._plan(name)
            if number % PLANNED_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _now(self) -> int:
        return int(self._office.clock.wall())

    def _schedule(self, entry: Entry) -> Schedule | None:
        """Read once per definition."""
        if entry.definition is None:
            return None
        known = self._schedules.get(entry.name)
        if known is not None and known[0] == entry.definition_revision:
            return known[1]
        schedule = schedule_of(entry.definition)
        if schedule is None:
            self._schedules.pop(entry.name, None)
        else:
            self._schedules[entry.name] = entry.definition_revision, schedule
        return schedule

    def _plan(self, name: str) -> None:
        """Look at the resource again at its next due time."""
        entry = self._office.catalog.entries.get(name)
        schedule = self._schedule(entry) if entry is not None else None
        if entry is None or schedule is None or not is_open(entry):
            self._forget(name)
            return
        now = self._now()
        after = max(settled_until(entry, schedule, now), min(now, self._settled.get(name, 0)))
        due = upcoming(entry, schedule, after)
        if due is not None and due <= now:
            call = call_of(entry, schedule, after, now)
            if call is None:
                after = now
            elif call.turn is Turn.SKIP:
                after = max(after, self._horizon)
            elif call.turn is Turn.WAIT:
                due = None  # its end is a change
            if call is None or call.turn is Turn.SKIP:
                due = upcoming(entry, schedule, after)
        if due is None:
            self._plans.pop(name, None)
            return
        before, self._plans[name] = self._plans.get(name), _Plan(due, after)
        if before is None or before.due != due:
            heapq.heappush(self._heap, (due, name))
            if len(self._heap) > 2 * len(self._plans) + 64:
                self._heap = [(plan.due, each) for each, plan in self._plans.items()]
                heapq.heapify(self._heap)

    def _forget(self, name: str) -> None:
        for known in (self._plans, self._settled):
            known.pop(name, None)
        if name not in self._office.catalog.entries:
            self._schedules.pop(name, None)

    def _due(self) -> list[_Due]:
        """What has come due. It stays planned until it is served."""
        now, names = self._now(), set[str]()
        while self._heap and self._heap[0][0] <= now:
            due, name = heapq.heappop(self._heap)
            if name in self._plans and self._plans[name].due == due:
                names.add(name)
        found = []
        for name in names:
            plan = self._plans[name]
            heapq.heappush(self._heap, (plan.due, name))
            if (each := self._called(name, plan.after, now)) is not None:
                found.append(each)
            else:
                self._plan(name)
        return found

    def _called(self, name: str, after: int, now: int) -> _Due | None:
        entry = self._office.catalog.entries.get(name)
        schedule = self._schedule(entry) if entry is not None else None
        if entry is None or schedule is None:
            return None
        call = call_of(entry, schedule, after, now)
        return None if call is None else _Due(entry, schedule, call)

    async def _serve(self, found: list[_Due]) -> None:
        """Do what each calls for, and plan its next due time."""
        for each in found:
            if each.call.turn is Turn.SKIP:
                self._skip(each)
            elif each.call.turn is Turn.WAIT:
                self._plan(each.entry.name)
        starts = [each for each in found if each.call.turn in (Turn.START, Turn.REPLACE)]
        if starts:
            await self._begin_all(starts)

    def _skip(self, each: _Due) -> None:
        resource, wish = each.entry.resource, wish_of(each.entry)
        assert resource is not None
        assert wish is not None
        detail = f"due {told(each.schedule, each.call.due)}: run {wish.run} goes on"
        log.info("skipped", resource=resource.name, due=each.call.due, run=wish.run)
        self._desk.journal.tell(resource.id, "skipped", detail)
        self._settled[resource.name] = each.call.due
        self._plan(resource.name)

    async def _begin_all(self, starts: list[_Due]) -> None:
        wanted = {
            each.entry.resource.id: each.call.due
            for each in starts
            if each.entry.resource is not None
        }
        runs = await self._fence.due_runs(wanted)
        waiting = iter(starts)

        async def begin_some(waiting: Iterable[_Due]) -> None:
            for each in waiting:
                assert each.entry.resource is not None
                await self._begin(each, *runs.get(each.entry.resource.id, (0, 0)))

        try:
            async with TaskGroup() as tasks:
                for number in range(min(AT_ONCE, len(starts))):
                    tasks.create_task(begin_some(waiting), name=f"begin runs {number}")
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures

    async def _begin(self, due: _Due, holder: int, highest: int) -> None:
        """Begin the run unless somebody did, or the resource does not want it any more."""
        name = due.entry.name

        async def step(entry: Entry, avoid: set[str]) -> bool | None:
            return await self._step(entry, due, holder, highest, avoid)

        async with self._desk.lock(name):
            settled = await self._desk.settle(name, step, due.entry)
        if settled:
            self._settled[name] = due.call.due
        self._plan(name)

    async def _step(
        self, entry: Entry, due: _Due, holder: int, highest: int, avoid: set[str]
    ) -> bool | None:
        """One try, in one transaction; whether the due time has its run.

        What was decided on a guess is decided again on what is there: a run that began meanwhile,
        for this due time or by hand, is enough.
        """
        resource, wish = entry.resource, wish_of(entry)
        if resource is None or wish is None or wish != wish_of(due.entry):
            return False
        if schedule_of(entry.definition) != due.schedule:
            return False
        call = call_of(entry, due.schedule, due.call.due - 1, due.call.due)
        if call is None or call.turn is not due.call.turn:
            return False
        run = run_for(wish, holder, highest)
        if run is None:
            return True
        ops = [put(wish_key(entry.name), encode_wish(begun(wish, run, call.due)))]
        if call.turn is Turn.REPLACE:
            ops += restamp_parts(entry)
        await hit("master.schedule.before_txn")
        written = await self._desk.give(entry, resource, entry.definition, ops, avoid)
        if written is None:
            return None
        await hit("master.schedule.after_txn")
        self._tell(due, resource.id, wish.run, run)
        return True

    def _tell(self, due: _Due, resource_id: str, before: int, run: int) -> None:
        name, call = due.entry.name, due.call
        log.info("due", resource=name, run=run, due=call.due, turn=call.turn.value)
        instead = f" instead of run {before}" if call.turn is Turn.REPLACE else ""
        detail = f"run {run}{instead}, due {told(due.schedule, call.due)}"
        self._desk.journal.tell(resource_id, "start", detail)

    async def _rest(self, version: int) -> None:
        clock = self._office.clock
        await clock.sleep(LEAST_REST_S)
        left_s = self._heap[0][0] - clock.wall() if self._heap else math.inf
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(IDLE_S, left_s))):
                await self._office.catalog.changed(version)
