"""One term of office, from taking over to its loss: placing what needs a worker, and keeping the
database in step."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from contextlib import suppress
from typing import NoReturn

import structlog

from crawler.clock import Backoff
from crawler.coordination.catalog import Entry
from crawler.coordination.instances import Ids
from crawler.errors import Compacted, Exhausted, OutcomeUnknown, Unavailable
from crawler.master.assignment import RELIEF, Decision, Kind, allowance, plan, stands
from crawler.master.batches import Change, write_all
from crawler.master.desk import Desk, assign, registered, request_of, unchanged
from crawler.master.fence import Fence
from crawler.master.journal import Journal
from crawler.master.members import Members
from crawler.master.mirror import Mirror
from crawler.master.office import Office
from crawler.master.placing import Placing
from crawler.master.resources import Resources
from crawler.master.retention import Retention
from crawler.master.retries import Retries
from crawler.master.scales import weigh
from crawler.master.situation import Job, Seat
from crawler.master.survey import Survey, seats_of, situation_of
from crawler.master.takeover import take_over
from crawler.master.timetable import Timetable
from crawler.master.upkeep import Upkeep
from crawler.master.wishes import Wishes
from crawler.tasks import TaskGroup, start_loop

log = structlog.get_logger(__name__)

IDLE_S = 5.0  # the longest time between two looks, although nothing seems to have changed
SHARE = 4  # between looks it rests or writes this many times as long: calls are answered meanwhile
LEAST_REST_S = 0.02
UPKEEP_S = 0.5
PURGE_ROWS = 2000
PURGE_PAUSE_S = 0.2
RELIEF_MEMORY_S = 1200.0  # two resources may be evened out by one move in so long
_BACKOFF = Backoff(base_s=0.1, cap_s=1.0)
_EVENTS = {
    Kind.PLACE: "assigned",
    Kind.MOVE: "moved",
    Kind.RESTAMP: "confirmed",
    Kind.UNASSIGN: "unassigned",
}


class Leader:
    """One term. Calls may be carried out once `ready` is set; every method raises `TermLost` when
    another master leads."""

    def __init__(self, office: Office, fence: Fence, instance: int) -> None:
        self._office = office
        self._fence = fence
        ids = Ids(office.etcd, office.term, instance, office.clock)
        self._journal = Journal(fence, office.clock)
        self._desk = Desk(office, Placing(), self._journal)
        self._members = Members(office.session.ttl_s)
        self._moved: deque[float] = deque()
        self._held = ""
        self._survey = Survey()
        self._seen = 0  # the number of the last change that was looked at
        self._calm: Mapping[str, Seat] | None = None  # the workers, when nothing was left to do
        self._whole_at = 0.0
        self._roused = asyncio.Event()
        self._chance = random.Random()
        self._upkeep: Upkeep | None = None
        self._wishes: Wishes | None = None
        self._retries: Retries | None = None
        self._timetable: Timetable | None = None
        self._retention = Retention(office, fence)
        self.resources = Resources(self._desk, ids, fence)
        self.since = office.clock.elapsed()
        self.ready = asyncio.Event()

    @property
    def key(self) -> str:
        """The election key of the term."""
        return self._office.term.key

    @property
    def wishes(self) -> Wishes:
        """Only once `ready`."""
        assert self._wishes is not None
        return self._wishes

    @property
    def retries(self) -> Retries:
        """Only once `ready`."""
        assert self._retries is not None
        return self._retries

    async def run(self) -> NoReturn:
        """Take over, then lead until an error or cancellation ends it."""
        await self._repeat(self._take_over, "take over", once=True)
        try:
            async with TaskGroup() as group:
                start_loop(group, "leader: members", self._watch_members())
                start_loop(group, "leader: assign", self._repeat(self._assign, "assign"))
                start_loop(group, "leader: upkeep", self._repeat(self._keep_up, "upkeep"))
                start_loop(group, "leader: schedule", self._repeat(self._begin_due, "schedule"))
                start_loop(group, "leader: purge", self._repeat(self._purge, "purge"))
                trim = self._repeat(self._retention.round, "trim")
                start_loop(group, "leader: trim", trim)
        finally:
            self.ready.clear()
        raise AssertionError("a group of endless loops ended")

    async def _repeat(
        self, step: Callable[[], Awaitable[None]], what: str, *, once: bool = False
    ) -> None:
        """Call ``step`` for ever, or until it succeeded ``once``; what may pass is waited out."""
        failures = 0
        while True:
            try:
                await step()
            except (Unavailable, OutcomeUnknown, Exhausted, Compacted) as error:
                log.warning("leading is held up", what=what, error=str(error))
                await self._office.clock.sleep(_BACKOFF.delay(failures, self._chance))
                failures += 1
            else:
                failures = 0
                if once:
                    return

    async def _take_over(self) -> None:
        cluster = await take_over(self._office, self._fence)
        office, now = self._office, self._office.clock.elapsed()
        mirror = Mirror(self._fence, office.clock)
        self._wishes = Wishes(self._desk, self._fence, mirror, cluster)
        self._retries = Retries(self._desk, self._fence, cluster)
        self._upkeep = Upkeep(
            self._desk, self.resources, self._wishes, self._retries, mirror, self._fence, cluster
        )
        # A leader that dies was last heard of a time to live before the next one takes over.
        self._timetable = Timetable(self._desk, self._fence, office.session.ttl_s + 2)
        jobs, seats = self._look()
        wanted = [job for job in jobs if job.node_id and not job.rest]
        returned = {
            job.node_id
            for job in wanted
            if job.node_id in seats and job.revision < seats[job.node_id].node.revision
        }
        self._members.begin(seats, {job.node_id for job in wanted}, now, returned)
        self._moved.extend(_reliefs(office.catalog.entries.values(), office.clock.wall(), now))
        scales = weigh(situation_of(jobs, seats, self._members, now, 0))
        self._desk.placing.renew(scales, jobs)
        log.info(
            "leading",
            term=office.term.revision,
            cluster=cluster,
            resources=len(jobs),
            workers=len(seats),
        )
        self.ready.set()

    async def _watch_members(self) -> None:
        """See every coming and going at its own time, however long an assignment takes."""
        catalog = self._office.catalog
        while True:
            version = catalog.version
            if self._members.observe(catalog.workers, self._office.clock.elapsed()):
                self._roused.set()
            await catalog.changed(version)

    async def _assign(self) -> None:
        """Look once, write what that calls for, and wait until there may be more."""
        office = self._office
        version, started = office.catalog.version, office.clock.elapsed()
        self._members.observe(office.catalog.workers, started)
        self._roused.clear()
        changes, decisions = self._decide(started) if self._unsettled(started) else ([], {})
        worked_s = office.clock.elapsed() - started
        if changes:
            await self._write(changes, decisions)
        rest_s = SHARE * worked_s - (office.clock.elapsed() - started - worked_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(LEAST_REST_S, self._left(started, rest_s))):
                await self._roused.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._left(started, IDLE_S)):
                await office.catalog.changed(version)

    def _left(self, looked_at: float, most_s: float) -> float:
        """Seconds until what was seen then calls for something else by time alone, or the most."""
        due = self._members.next_change(looked_at)
        return most_s if due is None else max(0.0, min(most_s, due - self._office.clock.elapsed()))

    def _look(self) -> tuple[tuple[Job, ...], dict[str, Seat]]:
        catalog = self._office.catalog
        seats = seats_of(catalog.workers, catalog.loads, catalog.drained)
        return self._survey.jobs(catalog.entries), seats

    def _unsettled(self, now: float) -> bool:
        """Whether everything must be looked at. While nothing happens to the workers, but that some
        vanished a moment ago, it is enough to see that what changed stands: calls are answered in
        between, and they place by themselves. Loads and what was deleted count from the next look
        at everything on."""
        catalog = self._office.catalog
        names, self._seen = catalog.changed_since(self._seen)
        jobs = self._survey.update([catalog.entries[name] for name in names])
        seats = seats_of(catalog.workers, {}, catalog.drained)
        ailing = any(load.trouble for load in catalog.loads.values())
        return (
            ailing
            or now >= self._whole_at
            or self._calm is None
            or seats != _without(self._calm, self._members.settling(now))
            or not all(stands(job, seats) for job in jobs)
        )

    def _decide(self, now: float) -> tuple[list[Change], dict[str, Decision]]:
        """One look at everything, without a pause in it: what calls place meanwhile is not counted
        twice."""
        catalog = self._office.catalog
        jobs, seats = self._look()
        self._members.hear([each for each in seats if seats[each].trouble], now)
        moves_left = allowance(len(jobs), self._moved, now)
        situation = situation_of(jobs, seats, self._members, now, moves_left)
        self._note_hold(situation.hold)
        scales = weigh(situation)
        self._desk.placing.renew(scales, jobs)  # before the plan: it must see what is under way
        # What one worker is given comes together: it hears of it, reads and reports it at once.
        decisions = sorted(
            plan(situation, scales), key=lambda each: each.node.id if each.node else ""
        )
        self._calm = None if decisions else seats_of(catalog.workers, {}, catalog.drained)
        self._whole_at = now + self._left(now, IDLE_S)
        at, term = self._office.clock.wall(), self._office.term.revision
        changes = [
            Change(
                decision.name,
                (*unchanged(unit), *registered(decision.node)),
                assign(
                    unit.resource, decision.node, decision.reason, at, term, self._request(unit)
                ),
            )
            for decision in decisions
            if (unit := self._survey.unit(decision.name)).resource is not None
        ]
        return changes, {decision.name: decision for decision in decisions}

    def _request(self, unit: Entry) -> str:
        """The request that its crawl goes back to; parts have that of their resource."""
        return request_of(self._office.catalog.entries.get(unit.name, unit))

    async def _write(self, changes: list[Change], decisions: dict[str, Decision]) -> None:
        def written(name: str, revision: int) -> None:
            decision = decisions[name]
            if decision.balance:
                self._moved.append(self._office.clock.elapsed())
            log.info(
                "decided",
                resource=name,
                kind=decision.kind.value,
                node=decision.node.id if decision.node is not None else "",
                reason=decision.reason,
                revision=revision,
            )
            self._tell(decision)

        await write_all(self._office, changes, written)
        horizon = self._office.clock.elapsed() - RELIEF_MEMORY_S
        while self._moved and self._moved[0] < horizon:
            self._moved.popleft()

    def _tell(self, decision: Decision) -> None:
        name, _, part = decision.name.partition("/")
        entry = self._office.catalog.entries.get(name)
        if entry is not None and entry.resource is not None:
            node = decision.node.id if decision.node is not None else ""
            detail = f"part {part}: {decision.reason}" if part else decision.reason
            self._journal.tell(entry.resource.id, _EVENTS[decision.kind], detail, node)

    def _note_hold(self, reason: str) -> None:
        if reason and reason != self._held:
            log.warning("reassignment waits", reason=reason, ttl_s=self._office.session.ttl_s)
        elif self._held and not reason:
            log.info("reassignment goes on")
        self._held = reason

    async def _keep_up(self) -> None:
        """One round of upkeep, then a wait until there may be more to do."""
        assert self._upkeep is not None
        catalog = self._office.catalog
        version = catalog.version
        if await self._upkeep.round():
            return
        await self._office.clock.sleep(UPKEEP_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(IDLE_S):
                await catalog.changed(version)

    async def _begin_due(self) -> None:
        assert self._timetable is not None
        await self._timetable.round()

    async def _purge(self) -> None:
        """Delete some of what buried resources left behind; crawls get their turns in between."""
        left = await self._fence.purge(PURGE_ROWS) == PURGE_ROWS
        await self._office.clock.sleep(PURGE_PAUSE_S if left else IDLE_S)


def _without(seats: Mapping[str, Seat], gone: Set[str]) -> Mapping[str, Seat]:
    """All but these."""
    return {node_id: seat for node_id, seat in seats.items() if node_id not in gone}


def _reliefs(entries: Iterable[Entry], wall: float, now: float) -> list[float]:
    """When earlier leaders moved something for balance, on this leader's clock: the limit holds
    over a change of leaders. Times from a clock that is ahead count as now."""
    ages = (
        max(0.0, wall - entry.decision.at)
        for entry in entries
        if entry.decision is not None and entry.decision.reason.startswith(RELIEF)
    )
    return sorted(now - age for age in ages if age < RELIEF_MEMORY_S)
