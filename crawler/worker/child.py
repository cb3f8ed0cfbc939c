"""The child's side: runs the jobs that its supervisor orders, and never outlives it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, Protocol

import structlog

from crawler.engine.figures import REGISTRY
from crawler.errors import CrawlerError, Exhausted, Fenced, OutcomeUnknown, Unavailable
from crawler.model import LiveRecord
from crawler.tasks import TaskGroup, start_loop
from crawler.telemetry.correlation import bind_id
from crawler.telemetry.recent import RECENT
from crawler.telemetry.relay import Family, families_of
from crawler.telemetry.sampling import look
from crawler.worker.channel import (
    Beat,
    Channel,
    Counted,
    Drain,
    Ended,
    Going,
    Hello,
    Look,
    Order,
    Outcome,
    Report,
    Said,
    Seen,
    Start,
    Started,
    Stop,
    Told,
)
from crawler.worker.memory import Board
from crawler.worker.order import JobOrder

log = structlog.get_logger(__name__)

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_ORPHAN_GRACE_S = 0.3
_GRAVITY = (Outcome.FENCED, Outcome.CRASHED, Outcome.ERROR, Outcome.AGAIN)


class JobReport(Protocol):
    """How a job talks to its supervisor. Neither call waits."""

    def started(self) -> None:
        """The claim stands, and the strikes of the order are committed under it."""

    def live(self, live: LiveRecord) -> None:
        """How it goes."""


Parsing = Callable[[bytes | None], None]


class CrawlJob(Protocol):
    """Claims, commits the order's strikes, reports `JobReport.started`, and crawls.

    Returns the reason why the run is finished. Raises `Fenced` when a newer owner stands,
    `Unavailable` or `OutcomeUnknown` where running the same order again is right, any other
    `CrawlerError` when the crawl cannot go on as it is. Cancellation means: commit what is done
    if that is quick, then stop. ``parsing`` is told the fingerprint before a page is parsed and
    None after it.
    """

    async def __call__(self, order: JobOrder, parsing: Parsing, report: JobReport) -> str: ...


Hear = Callable[[Mapping[str, Any]], None]
# Opens what all jobs of a process share (the store) from the settings in the supervisor's hello.
# Who is to hear what that tells of the cluster is given to the second argument.
Prepare = Callable[
    [Mapping[str, Any], Callable[[Hear], None]], AbstractAsyncContextManager[CrawlJob]
]


async def serve_child(prepare: Prepare, fd: int = 0) -> int:
    """Obey the supervisor at the other end of ``fd``; the result is the process's exit code.

    Call it on the main thread of a fresh process. The kernel kills this process when the thread
    that started it ends. A parent that died before that was arranged shows as the end of the
    channel or as another parent pid.
    """
    _die_with_parent()
    channel = await Channel.open(_take_over(fd))
    try:
        orders = channel.receive()
        hello = await anext(orders, None)
        if not isinstance(hello, Hello) or os.getppid() != hello.parent:
            log.warning("child without supervisor", parent=os.getppid())
            return 1
        return await _serve(prepare, hello, orders, channel)
    finally:
        await channel.flush()
        channel.close()


async def _serve(
    prepare: Prepare, hello: Hello, orders: AsyncIterator[Order | Report], channel: Channel
) -> int:
    board = Board(hello.memory_fd)
    code = 0
    try:
        async with TaskGroup() as group:
            jobs = _Jobs(group, channel, board)
            loops = (
                start_loop(group, "beat", jobs.beat(hello.beat_s)),
                start_loop(group, "log lines", _tell_lines(channel)),
            )
            async with prepare(hello.settings, jobs.hearers.append) as crawl:
                await jobs.obey(orders, crawl)
            for loop in loops:
                loop.cancel()
    except* CrawlerError as failed:
        log.error("child cannot work", errors=[str(each) for each in failed.exceptions])
        code = 1
    finally:
        board.close()
    return code


async def _tell_lines(channel: Channel) -> NoReturn:
    """Send the supervisor what is logged about crawls. Before one that is paused nothing piles up:
    what the ring then loses is lost to it."""
    since = 0.0
    while True:
        with suppress(Exhausted):
            async for line in RECENT.watch(since=since, follow=True):
                channel.send(Said(line.resource, line.text, line.at))
                await channel.flush()
                since = line.at


def _die_with_parent() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def _take_over(fd: int) -> socket.socket:
    """Our end of the channel under a number that no library knows; ``fd`` reads as empty."""
    end = socket.socket(fileno=os.dup(fd))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, fd)
    os.close(nothing)
    return end


@dataclass(slots=True, eq=False)
class _Job:
    """One order in work; the report that its crawl is given."""

    number: int
    channel: Channel
    active: int = 0
    task: asyncio.Task[tuple[Outcome, str]] | None = None

    def started(self) -> None:
        self.channel.send(Started(self.number))

    def live(self, live: LiveRecord) -> None:
        self.active = live.active
        if self.channel.unsent_bytes == 0:  # nothing piles up before a supervisor that is paused
            self.channel.send(Going(self.number, _plain(live)))


class _Jobs:
    """The jobs of this process, each a task of its own."""

    def __init__(self, group: asyncio.TaskGroup, channel: Channel, board: Board) -> None:
        self._group = group
        self._channel = channel
        self._board = board
        self._jobs: dict[int, _Job] = {}
        self._looks: set[asyncio.Task[None]] = set()
        self._counted: list[Family] = []
        self.hearers: list[Hear] = []

    async def beat(self, seconds: float) -> None:
        """Show that this loop turns. Beats don't pile up before a supervisor that is paused."""
        while True:
            if self._channel.unsent_bytes == 0:
                self._channel.send(Beat(sum(job.active for job in self._jobs.values())))
                self.count()
            await asyncio.sleep(seconds)

    def count(self) -> None:
        """Tell what was counted, if that is more than was told."""
        families = families_of(REGISTRY)
        if families != self._counted:
            self._counted = families
            self._channel.send(Counted(families))

    async def obey(self, orders: AsyncIterator[Order | Report], crawl: CrawlJob) -> None:
        """Return when drained or when the supervisor is gone, all jobs ended."""
        grace_s = _ORPHAN_GRACE_S
        async for order in orders:
            if isinstance(order, Start):
                self._start(order, crawl)
            elif isinstance(order, Stop) and (job := self._jobs.get(order.number)):
                self._group.create_task(
                    _cancel(job, order.grace_s), name=f"stop job {order.number}"
                )
            elif isinstance(order, Look):
                self._look(order)
            elif isinstance(order, Told):
                for hear in self.hearers:
                    hear(order.news)
            elif isinstance(order, Drain):
                grace_s = order.grace_s
                break
        await self._stop_all(grace_s)
        for task in self._looks:
            task.cancel()
        self.count()

    def _look(self, order: Look) -> None:
        before = set(self._looks)
        task = self._group.create_task(self._show(order, before), name=f"look {order.number}")
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _show(self, order: Look, before: set[asyncio.Task[None]]) -> None:
        """One look at a time: nobody waits for earlier ones any more, and two would spoil each
        other's traces."""
        for task in before:
            task.cancel()
        if before:
            await asyncio.wait(before)
        self._channel.send(Seen(order.number, await look(order.kind, order.seconds)))

    def _start(self, start: Start, crawl: CrawlJob) -> None:
        job = _Job(start.number, self._channel)
        self._jobs[start.number] = job
        mark = partial(self._board.mark, start.slot, start.number)
        job.task = self._group.create_task(
            _attempt(crawl, start.order, mark, job), name=f"job {start.order.unit}"
        )
        job.task.add_done_callback(partial(self._ended, job, mark))

    def _ended(self, job: _Job, mark: Parsing, task: asyncio.Task[tuple[Outcome, str]]) -> None:
        del self._jobs[job.number]
        mark(None)
        outcome, reason = (Outcome.STOPPED, "") if task.cancelled() else task.result()
        self._channel.send(Ended(job.number, outcome, reason))

    async def _stop_all(self, grace_s: float) -> None:
        jobs = list(self._jobs.values())
        await asyncio.gather(*(_cancel(job, grace_s) for job in jobs))
        if any(job.task and not job.task.done() for job in jobs):
            log.error("jobs swallow their cancellation", count=len(self._jobs))
            os._exit(1)  # they must not outlive their supervisor


async def _attempt(
    crawl: CrawlJob, order: JobOrder, mark: Parsing, job: _Job
) -> tuple[Outcome, str]:
    structlog.contextvars.bind_contextvars(resource=order.unit, token=order.revision)
    if order.request_id:
        bind_id(order.request_id)
    try:
        return Outcome.FINISHED, await crawl(order, mark, job)
    except Exception as error:
        outcome = outcome_of(error)
        if outcome is Outcome.CRASHED:  # the other jobs of this process have no part in it
            log.exception("job crashed")
            return outcome, f"internal error: {error!r}"
        return outcome, str(error)


def _plain(live: LiveRecord) -> LiveRecord:
    """Without what a crawl tells beyond it: counters come from the store."""
    return LiveRecord(live.active, live.pages_per_s, live.waiting, live.hosts, live.latency_s)


def outcome_of(error: BaseException) -> Outcome:
    """What an error of a job calls for; of a group, the gravest of its members."""
    if isinstance(error, BaseExceptionGroup):
        return min((outcome_of(each) for each in error.exceptions), key=_GRAVITY.index)
    if isinstance(error, Fenced):
        return Outcome.FENCED
    if isinstance(error, Unavailable | OutcomeUnknown):
        return Outcome.AGAIN
    return Outcome.ERROR if isinstance(error, CrawlerError) else Outcome.CRASHED


async def _cancel(job: _Job, grace_s: float) -> None:
    """Cancel the job, after ``grace_s`` its clean-up too, and give that a moment to end."""
    if job.task is None:
        return
    for patience_s in (grace_s, _ORPHAN_GRACE_S):
        job.task.cancel()
        done, _ = await asyncio.wait({job.task}, timeout=patience_s)
        if done:
            return
    log.warning("job does not stop", number=job.number)
