"""Trying failed pages again: the database first, which makes them pending and lets their run go on,
then etcd, where the end of the run is forgotten and the crawl given anew.

The second step is harmless whatever the database says: a worker that finds the run over reports
its end once more. So a cut between the two is healed by whoever sees that etcd knows the end of a
run that the database has open, the next call or any leader's upkeep.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from crawler.coordination.catalog import Entry, current_status, units_of
from crawler.coordination.etcd import delete
from crawler.coordination.keys import STATUSES, status_key
from crawler.errors import Conflict, Fenced, NotFound
from crawler.failpoint import hit
from crawler.master.desk import Desk, refuse_deleted, restamp_parts
from crawler.master.fence import Fence
from crawler.master.survey import wish_of
from crawler.model import Desired, Failures, Resource, Retried, Stamp, State, check_name

log = structlog.get_logger(__name__)

PAGES = 5_000  # per call and transaction; crawls get their turns in between
BATCH = 500  # resources per look into the database
REASON = "failed pages are tried again"
_ENDS = (State.FINISHED, State.ERROR)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which failed pages, of which run (None: the latest). ``after``: the seq to go on after;
    ``dry``: only count them."""

    failures: Failures
    run: int | None = None
    after: int = 0
    dry: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """``pages`` of ``run`` are pending again, or would be; ``next``: the seq to go on after (0:
    these were all)."""

    run: int
    pages: int
    next: int


class Retries:
    """Carries out retries under one term. ``cluster`` is the uuid that tokens are issued under."""

    def __init__(self, desk: Desk, fence: Fence, cluster: str) -> None:
        self._desk = desk
        self._fence = fence
        self._cluster = cluster

    async def retry(self, name: str, wanted: Wanted) -> Answer:
        """Make up to `PAGES` failed pages of the latest run pending again. A run that was over goes
        on; what is paused stays so.

        Raises `NotFound`; `Conflict` for another run, and where it is stopped; `OutcomeUnknown`
        where an answer was lost.
        """
        attempt = _Attempt(self, check_name(name), wanted)
        async with self._desk.lock(attempt.name):
            return await self._desk.settle(attempt.name, attempt.step)

    async def heal(self, entries: Iterable[Entry]) -> None:
        """Let runs go on of which etcd knows the end, although the database has them open."""
        ended = {
            entry.resource.id: entry
            for entry in entries
            if entry.resource is not None and _ends(entry, State.FINISHED)
        }
        ids = list(ended)
        for start in range(0, len(ids), BATCH):
            latest = await self._fence.progress(ids[start : start + BATCH])
            for resource_id, (run, progress) in latest.items():
                entry = ended[resource_id]
                wish = wish_of(entry)
                if wish is not None and wish.run == run and not progress.finished:
                    await self._heal(entry.name)

    async def _heal(self, name: str) -> None:
        async def step(entry: Entry, avoid: set[str]) -> bool | None:
            if entry.resource is None or not _ends(entry, State.FINISHED):
                return False
            return await self.go_on(entry, entry.resource, avoid)

        async with self._desk.lock(name):
            if await self._desk.settle(name, step):
                log.info("run goes on", resource=name)

    async def look(self, resource: Resource, run: int, wanted: Wanted) -> Sequence[int]:
        """The seqs of the pages that are meant."""
        return await self._fence.failed(
            resource.id, run, wanted.failures, after=wanted.after, limit=PAGES
        )

    async def reset(self, resource: Resource, run: int, pages: Sequence[int]) -> Retried | None:
        """The database's half. None: something newer than this assignment stands there."""
        stamp = Stamp(self._cluster, resource.id, resource.part, resource.revision)
        try:
            done = await self._fence.retry(stamp, run, pages)
        except Fenced as error:
            log.info("retry was overtaken", resource=resource.name, reason=str(error))
            return None
        await hit("master.retry.after_store")
        return done

    async def go_on(self, entry: Entry, resource: Resource, avoid: set[str]) -> bool | None:
        """Etcd's half. None: something changed, nothing was written."""
        ops = [
            delete(status_key(entry.name)),
            delete(f"{STATUSES}{entry.name}/", prefix=True),
            *restamp_parts(entry),
        ]
        wish = wish_of(entry)
        if wish is not None and wish.state is not Desired.RUNNING:
            written = await self._desk.keep(entry, resource, None, REASON, ops, avoid)
        else:
            written = await self._desk.give(entry, resource, entry.definition, ops, avoid)
        if written is None:
            return None
        await hit("master.retry.after_txn")
        return True

    def tell(self, resource: Resource, run: int, pages: int, failures: Failures) -> None:
        """Say what was done, for people to read."""
        log.info("retry", resource=resource.name, run=run, pages=pages)
        detail = f"run {run}, {pages} failed pages{_told(failures)}"
        self._desk.journal.tell(resource.id, "retry", detail)


class _Attempt:
    """One call, however often it tries: pages are counted over all its tries."""

    def __init__(self, retries: Retries, name: str, wanted: Wanted) -> None:
        self.name = name
        self._retries = retries
        self._wanted = wanted
        self._pages: Sequence[int] | None = None
        self._done = 0
        self._reopened = False

    async def step(self, entry: Entry, avoid: set[str]) -> Answer | None:
        refuse_deleted(entry)
        resource = entry.resource
        if resource is None:
            raise NotFound(f"there is no resource {entry.name}")
        run = _run_of(entry, self._wanted.run)
        if self._pages is None:
            self._pages = await self._retries.look(resource, run, self._wanted)
        if not self._wanted.dry:
            if await self._carry_out(entry, resource, run, self._pages, avoid) is None:
                return None
            if self._done:
                self._retries.tell(resource, run, self._done, self._wanted.failures)
        more = len(self._pages) == PAGES
        count = len(self._pages) if self._wanted.dry else self._done
        return Answer(run, count, self._pages[-1] if more else 0)

    async def _carry_out(
        self,
        entry: Entry,
        resource: Resource,
        run: int,
        pages: Sequence[int],
        avoid: set[str],
    ) -> bool | None:
        done = await self._retries.reset(resource, run, pages)
        if done is None:
            return None
        self._done += done.pages
        self._reopened = self._reopened or done.reopened
        if done.open and (self._reopened or _ends(entry, *_ENDS)):
            return await self._retries.go_on(entry, resource, avoid)
        return True


def _run_of(entry: Entry, asked: int | None) -> int:
    """The run that is wanted. Raises `Conflict` where another is asked for, or nobody would go on
    with it."""
    wish = wish_of(entry)
    run = wish.run if wish is not None else 1
    if asked not in (None, run):
        raise Conflict(
            f"run: {asked} is not the latest run of {entry.name}, {run} is; only that can go on "
            f"(`start` begins one that fetches all pages again)"
        )
    if wish is not None and wish.state is Desired.STOPPED:
        raise Conflict(
            f"{entry.name} is stopped, which ended run {run}; start begins its next run, which "
            "fetches all pages again"
        )
    return run


def _ends(entry: Entry, *states: State) -> bool:
    """Whether an owner has reported one of these of the run that is wanted."""
    reports = (current_status(unit) for unit in units_of(entry))
    return any(status is not None and status.state in states for status in reports)


def _told(failures: Failures) -> str:
    """The filter in words."""
    low, high, reason = failures.lowest, failures.highest, failures.reason
    if (low, high) == (0, 999):
        status = ""
    elif low == high:
        status = f" with status {low}" if low else " without an answer"
    else:
        status = f" with status {low // 100}xx"
    if not reason:
        return status
    return f"{status}{' and' if status else ''} with {reason!r} in their reason"
