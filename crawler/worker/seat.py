"""A place for one child that is kept occupied: it watches the child, reaps it, replaces it.

Jobs sit on the seat, not in the process: after a death they go on in the next child, under the
same token with a new claim.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn, Protocol

import structlog

from crawler.clock import Backoff, Clock
from crawler.errors import Unavailable
from crawler.model import LiveRecord, Resource
from crawler.tasks import bounded
from crawler.telemetry.recent import RECENT
from crawler.telemetry.relay import Relay
from crawler.worker.channel import (
    Beat,
    Counted,
    Drain,
    Ended,
    Going,
    Look,
    Outcome,
    Report,
    Said,
    Seen,
    Start,
    Started,
    Stop,
    Told,
)
from crawler.worker.children import Child, describe_exit
from crawler.worker.memory import SLOTS
from crawler.worker.order import JobOrder, Strike
from crawler.worker.settings import SupervisorSettings

log = structlog.get_logger(__name__)

_TICK_S = 0.25
_MEMORY_EVERY = 4  # ticks
_PROVEN_S = 5.0  # a child that lived so long is no repeated death
_LAST_WORDS_S = 0.5
_REAP_S = 5.0
_LOOK_S = 5.0  # for the answer, beyond what was asked for
_LOOKS = itertools.count(1)
# A child that worked is soon replaced, whatever killed it; one that never came up waits longer.
_AFTER_DEATH = Backoff(base_s=0.05, cap_s=0.5)
_AFTER_FALSE_START = Backoff(base_s=0.2, cap_s=5.0)
_HOPELESS = 5  # deaths in quick succession: whatever it is, haste does not help


class Phase(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"  # for a child, or for its next try
    ORDERED = "ordered"  # the child has not confirmed its claim yet
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(slots=True, eq=False)
class Job:
    """A crawl of ours. ``strikes`` are those no child has confirmed; the list outlives the job."""

    number: int
    order: JobOrder
    resource: Resource
    strikes: list[Strike] = field(default_factory=list)
    phase: Phase = Phase.WAITING
    attempts: int = 0  # failed tries in a row
    ordered_at: float = 0.0
    patience_s: float = 0.0  # how much longer a stop may take
    live: LiveRecord | None = None  # as its child told last


class Listener(Protocol):
    """Who learns what becomes of jobs."""

    def job_started(self, job: Job) -> None:
        """Its claim stands."""

    def job_ended(self, job: Job, outcome: Outcome, reason: str) -> None:
        """Its task is gone, and it left the seat, except for AGAIN and CRASHED: then it waits."""

    def child_lost(self, jobs: Sequence[Job], reason: str, failures: int) -> None:
        """These jobs wait for the next child; ``failures`` deaths came in quick succession."""


class Seat:
    """One place."""

    def __init__(
        self,
        settings: SupervisorSettings,
        command: Sequence[str],
        hello: Mapping[str, Any],
        listener: Listener,
        clock: Clock,
        chance: random.Random,
        relay: Relay,
    ) -> None:
        self._settings = settings
        self._command = command
        self._hello = hello
        self._listener = listener
        self._clock = clock
        self._chance = chance
        self._relay = relay
        self._jobs: dict[int, Job] = {}  # by slot
        self._numbers: dict[int, int] = {}  # number to slot
        self._free: list[int] = []
        self._child: Child | None = None
        self._looks: dict[int, asyncio.Future[str]] = {}
        self._news: Mapping[str, Any] | None = None
        self._silent_s = 0.0
        self._beaten = False
        self._draining = False
        self.active = 0  # pages in work, as of the last beat
        self.up = asyncio.Event()  # a child is there that takes orders
        self.vacated = asyncio.Event()  # no child lives
        self.vacated.set()

    @property
    def jobs(self) -> int:
        return len(self._jobs)

    @property
    def pid(self) -> int | None:
        """The child's pid; None while the seat is empty."""
        return self._child.pid if self._child else None

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the child; 0 while there is none."""
        return self._child.resident_bytes() if self._child else 0

    async def look(self, kind: str, seconds: float) -> str:
        """What its child is doing, see `crawler.telemetry.sampling.look`. Raises `Unavailable`."""
        if self._child is None:
            raise Unavailable("this process is gone")
        number = next(_LOOKS)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._looks[number] = answer
        self._child.channel.send(Look(number, kind, seconds))
        try:
            done, _ = await asyncio.wait({answer}, timeout=seconds + _LOOK_S)
        finally:
            self._looks.pop(number, None)
        if not done or answer.cancelled():
            raise Unavailable("this process has ended" if done else "this process gives no answer")
        return answer.result()

    # -- orders

    def tell(self, news: Mapping[str, Any]) -> None:
        """News for its child, and for each that comes after."""
        self._news = news
        if self._child is not None:
            self._child.channel.send(Told(news))

    def place(self, job: Job) -> None:
        """Seat a new job and start it as soon as there is a child."""
        slot = self._free.pop() if self._free else len(self._jobs)
        assert slot < SLOTS, "more jobs than shared memory has slots"
        self._jobs[slot] = job
        self._numbers[job.number] = slot
        self.begin(job)

    def begin(self, job: Job) -> None:
        """Order a job that waits; without a child it goes on waiting."""
        if self._child is None or job.phase is not Phase.WAITING or self._draining:
            return
        job.phase, job.ordered_at, job.live = Phase.ORDERED, self._clock.elapsed(), None
        order = job.order.with_strikes(job.strikes)
        self._child.channel.send(Start(job.number, self._numbers[job.number], order))

    def stop(self, job: Job) -> None:
        """Ask for the job's end; one that no child has ends here and now."""
        if job.phase is Phase.STOPPING:
            return
        if job.phase is Phase.WAITING:
            self._leave(job, Outcome.STOPPED, "")
            return
        job.phase, job.patience_s = Phase.STOPPING, self._settings.stop_limit_s
        if self._child is not None:  # a dead child's job ends when that is reaped
            self._child.channel.send(Stop(job.number, self._settings.stop_grace_s))

    def drain(self) -> None:
        """Ask for the end of all jobs and of the child, which is not replaced."""
        self._draining = True
        for job in [each for each in self._jobs.values() if each.phase is Phase.WAITING]:
            self._leave(job, Outcome.STOPPED, "")
        for job in self._jobs.values():
            job.phase, job.patience_s = Phase.STOPPING, self._settings.drain_limit_s
        if self._child is not None and self._beaten:
            self._child.channel.send(Drain(self._settings.stop_grace_s))
        elif self._child is not None:
            self._child.kill()  # it is coming up and has done nothing yet

    def _leave(self, job: Job, outcome: Outcome, reason: str) -> None:
        slot = self._numbers.pop(job.number)
        del self._jobs[slot]
        self._free.append(slot)
        self._listener.job_ended(job, outcome, reason)

    # -- the life of children

    async def run(self) -> NoReturn:
        """Keep a child on this seat until cancelled; it is killed and reaped then."""
        failures = 0
        while not self._draining:
            born = self._clock.elapsed()
            cause = await self._one_life()
            lasted = self._beaten and self._clock.elapsed() - born >= _PROVEN_S
            failures = 0 if lasted else failures + 1
            if not self._draining:
                self._listener.child_lost(list(self._jobs.values()), cause, failures)
                await self._clock.sleep(self._pause_s(failures))
        await asyncio.Event().wait()  # nobody sits here any more; the owner cancels
        raise AssertionError("unreachable")

    def _pause_s(self, failures: int) -> float:
        if failures <= 1 and self._beaten:
            return 0.0
        quick = self._beaten and failures < _HOPELESS
        backoff = _AFTER_DEATH if quick else _AFTER_FALSE_START
        return backoff.delay(failures, self._chance)

    async def _one_life(self) -> str:
        """From a child's start to its reaping; returns why it ended."""
        self._silent_s, self._beaten = 0.0, False
        self.vacated.clear()
        try:
            child = await Child.spawn(self._command, self._hello, self._settings.beat_s)
        except Unavailable as error:
            self.vacated.set()
            return str(error)
        log.info("child started", pid=child.pid)
        try:
            self._child = child
            if self._draining:
                return "draining"
            if self._news is not None:
                child.channel.send(Told(self._news))
            for job in self._jobs.values():
                self.begin(job)
            cause = await self._watch(child)
            self._child = None
            await self._bury(child, cause)
            return cause
        finally:
            self._child, self.active = None, 0
            self._relay.bury(self)
            for look in self._looks.values():
                look.cancel()
            self._looks.clear()
            self.up.clear()
            try:
                await bounded(child.end(), _REAP_S, f"end child {child.pid}")
            finally:
                self.vacated.set()

    async def _watch(self, child: Child) -> str:
        """Follow the child to its death, or to the reason why it must be killed."""
        dying = asyncio.create_task(self._death(child), name=f"child {child.pid}: death")
        reading = asyncio.create_task(self._read(child), name=f"child {child.pid}: reports")
        guarding = asyncio.create_task(self._guard(child), name=f"child {child.pid}: guard")
        tasks = (dying, guarding, reading)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():  # the end of the channel comes a moment before the death
                await asyncio.wait((dying,), timeout=_LAST_WORDS_S)
            child.kill()
            cause = next(each.result() for each in tasks if each.done())
            await asyncio.wait((reading,), timeout=_LAST_WORDS_S)
            return cause
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _death(self, child: Child) -> str:
        return f"its process ended ({describe_exit(await child.died())})"

    async def _read(self, child: Child) -> str:
        async for report in child.channel.receive():
            self._heed(report)
        return "its process closed the channel"

    def _heed(self, report: object) -> None:
        if isinstance(report, Beat):
            self._silent_s, self._beaten, self.active = 0.0, True, report.active
            self.up.set()
        elif isinstance(report, Said):
            RECENT.add(report.resource, report.text, report.at)
        elif isinstance(report, Counted):
            self._relay.hear(self, report.families)
        elif isinstance(report, Seen) and report.number in self._looks:
            self._looks.pop(report.number).set_result(report.text)
        elif isinstance(report, Started | Going | Ended):
            slot = self._numbers.get(report.number)
            if slot is not None:
                self._hear(self._jobs[slot], report)

    def _hear(self, job: Job, report: Report) -> None:
        if isinstance(report, Started):
            job.strikes.clear()
            if job.phase is Phase.ORDERED:
                job.phase = Phase.RUNNING
                self._listener.job_started(job)
        elif isinstance(report, Going):
            job.live = report.live
        elif isinstance(report, Ended):
            again = report.outcome in (Outcome.AGAIN, Outcome.CRASHED)
            if again and job.phase is not Phase.STOPPING:
                job.phase = Phase.WAITING
                self._listener.job_ended(job, report.outcome, report.reason)
            else:
                self._leave(job, Outcome.STOPPED if again else report.outcome, report.reason)

    async def _guard(self, child: Child) -> str:
        """Return when the child must be killed, with the reason.

        Time is counted in ticks of our own, so that a pause of this process, in which it heard
        nothing, is not taken for the child's silence. Nor is the time that the child waited for a
        processor: to kill on a crowded machine what would have come makes that more crowded.
        """
        last, waited_s, ticks = self._clock.elapsed(), 0.0, 0
        while True:
            await self._clock.sleep(_TICK_S)
            now = self._clock.elapsed()
            passed_s, last, ticks = min(now - last, 2 * _TICK_S), now, ticks + 1
            before_s, waited_s = waited_s, child.waited_s()
            self._silent_s = max(0.0, self._silent_s + passed_s - (waited_s - before_s))
            reason = self._verdict(passed_s)
            if not reason and ticks % _MEMORY_EVERY == 0:
                reason = self._too_big(child)
            if reason:
                return reason

    def _verdict(self, passed_s: float) -> str:
        limit_s = self._settings.parse_limit_s if self._beaten else self._settings.start_limit_s
        if self._silent_s > limit_s:
            return "parse timeout" if self._beaten else "its process did not come up"
        if self._silent_s > 2 * (self._settings.beat_s + _TICK_S):
            return ""  # a child that hangs can't stop anything; its silence is counted
        for job in self._jobs.values():
            if job.phase is Phase.STOPPING:
                job.patience_s -= passed_s
                if job.patience_s <= 0:
                    return f"{job.order.unit} did not stop"
        return ""

    def _too_big(self, child: Child) -> str:
        size, limit = child.resident_bytes(), self._settings.child_memory_bytes
        return f"memory limit ({size >> 20} of {limit >> 20} MiB)" if size > limit else ""

    async def _bury(self, child: Child, cause: str) -> None:
        """Reap, however long that takes: what is not reaped may still crawl, and is not replaced.
        Then read in its memory which pages it was parsing."""
        code = await child.died()
        pages = 0
        for slot, job in list(self._jobs.items()):
            fingerprint = child.board.parsing(slot, job.number)
            if fingerprint is not None:
                job.strikes.append(Strike(fingerprint.hex(), cause))
                pages += 1
            if job.phase is Phase.STOPPING:
                self._leave(job, Outcome.STOPPED, "")
            else:
                job.phase = Phase.WAITING
        log.info("child ended", pid=child.pid, exit=describe_exit(code), cause=cause, strikes=pages)
