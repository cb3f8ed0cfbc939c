"""The process that holds the lease: it runs in children exactly what the cluster assigned to it.

It never parses a page and waits for no child but the first to come up. The jobs outlive sessions:
`Supervisor.follow` is one session's work, `Supervisor.run_children` the process's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any, NoReturn, Protocol

import structlog
from prometheus_client.registry import Collector

from crawler.clock import Backoff, Clock
from crawler.coordination.catalog import Cluster, Entry, Load, Status, all_units
from crawler.coordination.records import Proxied
from crawler.errors import Unavailable
from crawler.model import LiveRecord, Node, Resource, State
from crawler.tasks import TaskGroup, start_loop
from crawler.telemetry.correlation import FIELD
from crawler.telemetry.relay import Relay
from crawler.worker.channel import Outcome
from crawler.worker.figures import DEATHS, Figures
from crawler.worker.order import JobOrder, Key, Strike
from crawler.worker.reconcile import Past, Situation, plan
from crawler.worker.report import StatusBoard, Writer, report_load
from crawler.worker.seat import Job, Phase, Seat
from crawler.worker.settings import SupervisorSettings

log = structlog.get_logger(__name__)

_RECONCILE_PAUSE_S = 0.05  # a burst of events is one pass
_CATCH_UP_S = 0.2
_FLUSH_S = 0.3
_RETRY = Backoff(base_s=0.2, cap_s=4.0, floor_s=0.1)  # crawls go on 5 s after the store is back
_CRASHES = 5  # in a row, then the job is an error
_PROVEN_S = 60.0  # a job that ran so long starts counting anew
_REASON_CHARS = 500  # statuses live in etcd
_TROUBLED = 2  # deaths of a child in a row, from which on people are told


_Owner = tuple[str, str, int, int]  # of strikes: resource name, resource ID, part, run


class Session(Protocol):
    """The lease, as far as starting crawls depends on it."""

    @property
    def ttl_s(self) -> int: ...

    def remaining(self) -> float:
        """Seconds until the lease may be gone."""


class Agreement(Protocol):
    """What the cluster agreed on; the catalog."""

    @property
    def entries(self) -> Mapping[str, Entry]: ...
    @property
    def cluster(self) -> Cluster | None: ...
    @property
    def revision(self) -> int: ...
    @property
    def version(self) -> int: ...

    def assigned(self, node_id: str) -> Set[str]:
        """Names of the resources of which the node was given a part."""

    async def changed(self, since: int) -> int:
        """The version, as soon as it differs from ``since``."""


class Supervisor:
    """One per worker process. ``hello`` goes to each child as it stands; what is no JSON raises
    TypeError here, not at the first child. ``trouble`` tells what keeps the worker from its work
    ("": nothing), ``proxied`` what its proxy did."""

    def __init__(
        self,
        settings: SupervisorSettings,
        child_command: Sequence[str],
        hello: Mapping[str, Any],
        clock: Clock,
        chance: random.Random | None = None,
        *,
        trouble: Callable[[], str] = str,
        proxied: Callable[[], Proxied | None] = lambda: None,
    ) -> None:
        json.dumps(hello)
        self._trouble = trouble
        self._proxied = proxied
        self._settings = settings
        self._clock = clock
        self._chance = chance or random.Random()
        self._relay = Relay()
        self._seats = [
            Seat(settings, child_command, hello, self, clock, self._chance, self._relay)
            for _ in range(settings.processes)
        ]
        self._jobs: dict[str, Job] = {}
        self._homes: dict[int, Seat] = {}  # job number to its seat
        self._numbers = itertools.count(1)
        self._strikes: dict[_Owner, list[Strike]] = {}
        self._fenced: dict[str, Key] = {}
        self._ended: dict[str, Key] = {}
        self._statuses = StatusBoard(clock, self._chance)
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._group: asyncio.TaskGroup | None = None
        self._draining = False

    @property
    def load(self) -> Load:
        """How busy this worker is."""
        active = sum(seat.active for seat in self._seats)
        return Load(active, len(self._jobs), self._trouble(), self._proxied())

    @property
    def figures(self) -> tuple[Collector, ...]:
        """What can be told of this worker and by its children in figures."""
        return self._relay, Figures(
            lambda: (len(self._jobs), sum(seat.active for seat in self._seats)),
            lambda: [seat.resident_bytes for seat in self._seats if seat.up.is_set()],
            self._trouble,
        )

    def tell(self, news: Mapping[str, Any]) -> None:
        """News for all children, those that are still to come among them."""
        for seat in self._seats:
            seat.tell(news)

    def live(self, unit: str) -> LiveRecord | None:
        """How that crawl goes; None where it does not run here, or has told nothing yet."""
        job = self._jobs.get(unit)
        return job.live if job is not None and job.phase is Phase.RUNNING else None

    @property
    def child_pids(self) -> tuple[int, ...]:
        """The processes that crawl at the moment."""
        return tuple(seat.pid for seat in self._seats if seat.pid is not None)

    async def look(self, pid: int, kind: str, seconds: float) -> str:
        """What that child is doing, see `crawler.telemetry.sampling.look`. Raises `Unavailable`."""
        for seat in self._seats:
            if seat.pid == pid:
                return await seat.look(kind, seconds)
        raise Unavailable(f"there is no child {pid}")

    # -- the process's life

    async def run_children(self) -> NoReturn:
        """Keep the children until cancelled; they are killed and reaped then.

        They come up one after another: on a busy machine the first one is there sooner.
        """
        async with TaskGroup() as group:
            self._group = group
            for number, seat in enumerate(self._seats):
                start_loop(group, f"child {number}", seat.run())
                await self._first_beat(seat)
        raise AssertionError("unreachable")

    async def ready(self) -> None:
        """Return when orders can be taken. A child that does not come up is waited for no longer
        than one may take to start: then people should at least see the worker, and its trouble."""
        if not any(seat.up.is_set() for seat in self._seats):
            await self._first_beat(self._seats[0])

    async def _first_beat(self, seat: Seat) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.start_limit_s):
                await seat.up.wait()

    async def drain(self) -> None:
        """Stop all crawls in order, what is done committed, within ``drain_limit_s``.

        Call it while `follow` still runs, so that last statuses are written; then cancel both and
        give the session back. Nothing is started any more.
        """
        self._draining = True
        log.info("draining", jobs=len(self._jobs))
        for seat in self._seats:
            seat.drain()
        await self._in_time(self._vacant(), self._settings.drain_limit_s)
        await self._in_time(self._statuses.settled(), _FLUSH_S)

    async def _vacant(self) -> None:
        await self._idle.wait()
        for seat in self._seats:
            await seat.vacated.wait()

    async def _in_time(self, work: Awaitable[object], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await work
        except TimeoutError:
            log.warning("not drained in time", jobs=len(self._jobs))

    # -- one session's work

    async def follow(
        self, session: Session, registration: Node, catalog: Agreement, writer: Writer
    ) -> NoReturn:
        """Run what is assigned to ``registration``, and report, until cancelled.

        Without a session nothing new starts; what runs goes on (or stops, as ``outage_policy``
        says). Assignments older than the registration have two TTL to be re-stamped.
        """
        try:
            async with TaskGroup() as group:
                await self._catch_up(catalog, registration)
                start_loop(group, "catalog news", self._listen(catalog))
                start_loop(group, "statuses", self._statuses.run(writer))
                start_loop(
                    group,
                    "load",
                    report_load(lambda: self.load, writer, self._clock, self._chance),
                )
                start_loop(group, "reconcile", self._reconcile(session, registration, catalog))
        finally:
            if self._settings.outage_policy == "stop":
                for job in list(self._jobs.values()):
                    self._stop(job, "no session")
        raise AssertionError("unreachable")

    async def _catch_up(self, catalog: Agreement, registration: Node) -> None:
        """Return when the catalog is as new as our registration: an older one might still say
        that what runs is assigned elsewhere."""
        while catalog.revision < registration.revision:
            try:  # the revision may rise without news
                async with asyncio.timeout(_CATCH_UP_S):
                    await catalog.changed(catalog.version)
            except TimeoutError:
                continue

    async def _listen(self, catalog: Agreement) -> NoReturn:
        version = catalog.version
        while True:
            version = await catalog.changed(version)
            self._news.set()

    async def _reconcile(self, session: Session, me: Node, catalog: Agreement) -> NoReturn:
        restamped_by = self._clock.elapsed() + 2 * session.ttl_s
        self._news.set()
        while True:
            left_s = restamped_by - self._clock.elapsed()
            try:
                async with asyncio.timeout(left_s if left_s > 0 else None):
                    await self._news.wait()
            except TimeoutError:
                log.info("time to re-stamp is over")
            self._news.clear()
            here = Situation(
                me,
                catalog.cluster.uuid if catalog.cluster else None,
                may_start=session.remaining() > 0 and not self._draining,
                overdue=self._clock.elapsed() >= restamped_by,
            )
            self._act(self._concerning(me, catalog), here)
            self._forget_deleted(catalog.entries)
            await self._clock.sleep(_RECONCILE_PAUSE_S)

    def _concerning(self, me: Node, catalog: Agreement) -> Mapping[str, Entry]:
        """The units of what is assigned to us and of what runs here: there may be a hundred times
        as many elsewhere, and something happens to one of those all the time."""
        names = catalog.assigned(me.id) | {job.order.name for job in self._jobs.values()}
        found = (catalog.entries.get(name) for name in names)
        return all_units(entry for entry in found if entry is not None)

    def _act(self, entries: Mapping[str, Entry], here: Situation) -> None:
        running = {name: job.order.key for name, job in self._jobs.items()}
        todo = plan(entries, here, running, Past(self._fenced, self._ended))
        for name, reason in todo.stops.items():
            self._stop(self._jobs[name], reason)
        for order, resource in todo.starts:
            self._start(order, resource)

    def _forget_deleted(self, entries: Mapping[str, Entry]) -> None:
        for unit in {*self._fenced, *self._ended, *self._statuses.units}:
            if unit.partition("/")[0] not in entries:
                self._fenced.pop(unit, None)
                self._ended.pop(unit, None)
                self._statuses.forget(unit)
        known = {_owner(job.order) for job in self._jobs.values()}
        for owner, strikes in list(self._strikes.items()):
            if owner not in known and not (strikes and _lives(owner, entries)):
                del self._strikes[owner]

    # -- jobs

    def _start(self, order: JobOrder, resource: Resource) -> None:
        strikes = self._strikes.setdefault(_owner(order), [])
        job = Job(next(self._numbers), order, resource, strikes)
        seat = min(self._seats, key=lambda each: each.jobs)
        self._jobs[order.unit] = job
        self._homes[job.number] = seat
        self._idle.clear()
        _log_of(job).info("start", token=order.revision, run=order.run)
        seat.place(job)

    def _stop(self, job: Job, reason: str) -> None:
        if job.phase is not Phase.STOPPING:
            _log_of(job).info("stop", reason=reason)
            self._homes[job.number].stop(job)

    def job_started(self, job: Job) -> None:
        _log_of(job).info("started")
        self._tell(job, State.RUNNING, "")

    def job_ended(self, job: Job, outcome: Outcome, reason: str) -> None:
        name = job.order.unit
        _log_of(job).info("ended", outcome=outcome.value, reason=reason)
        if outcome in (Outcome.AGAIN, Outcome.CRASHED):
            self._retry(job, outcome, reason)
            return
        if outcome is Outcome.FENCED:
            self._fenced[name] = job.order.key
            self._statuses.forget(name)
        elif outcome is Outcome.FINISHED:
            self._ended[name] = job.order.key
            self._tell(job, State.FINISHED, reason)
        elif outcome is Outcome.ERROR:
            self._ended[name] = job.order.key
            self._tell(job, State.ERROR, reason)
        self._remove(job)

    def child_lost(self, jobs: Sequence[Job], reason: str, failures: int) -> None:
        DEATHS.inc()
        log.warning("child lost", jobs=len(jobs), reason=reason, failures=failures)
        if failures >= _TROUBLED:
            for job in jobs:
                self._tell(job, State.ASSIGNED, f"{reason}; starting again")

    def _retry(self, job: Job, outcome: Outcome, reason: str) -> None:
        if self._clock.elapsed() - job.ordered_at >= _PROVEN_S:
            job.attempts = 0
        job.attempts += 1
        seat = self._homes[job.number]
        if outcome is Outcome.CRASHED and job.attempts >= _CRASHES:
            self._ended[job.order.unit] = job.order.key
            self._tell(job, State.ERROR, reason)
            seat.stop(job)
            return
        self._tell(job, State.ASSIGNED, f"{reason}; trying again")
        assert self._group is not None
        self._group.create_task(
            self._begin_later(job, seat, _RETRY.delay(job.attempts, self._chance)),
            name=f"retry job {job.number}",
        )

    async def _begin_later(self, job: Job, seat: Seat, delay_s: float) -> None:
        await self._clock.sleep(delay_s)
        if self._jobs.get(job.order.unit) is job:
            seat.begin(job)

    def _remove(self, job: Job) -> None:
        del self._jobs[job.order.unit]
        del self._homes[job.number]
        if not self._jobs:
            self._idle.set()
        self._news.set()

    def _tell(self, job: Job, state: State, reason: str) -> None:
        order = job.order
        self._statuses.note(
            job.resource,
            Status(
                state=state,
                reason=reason[:_REASON_CHARS],
                run=order.run,
                resource_id=order.resource_id,
                revision=order.revision,
                node=order.node,
                at=self._clock.wall(),
            ),
        )


def _log_of(job: Job) -> structlog.stdlib.BoundLogger:
    """For lines about it."""
    order = job.order
    request = {FIELD: order.request_id} if order.request_id else {}
    told: structlog.stdlib.BoundLogger = log.bind(resource=order.unit, job=job.number, **request)
    return told


def _owner(order: JobOrder) -> _Owner:
    return order.name, order.resource_id, order.part, order.run


def _lives(owner: _Owner, entries: Mapping[str, Entry]) -> bool:
    """Whether its resource exists, and is not another one of the same name."""
    entry = entries.get(owner[0])
    return entry is not None and entry.resource is not None and entry.resource.id == owner[1]
